import { z } from "zod";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import type { MemberMessage } from "../../src-shared/protocol/core/group/memberMessage.ts";

/**
 * A frame between members: | length 32 | JSON length 32 | JSON | bundle |; length counts all that follows it. The bundle (a client's connections)
 * stays outside the JSON because it may be megabytes. Everything read is validated: a member is trusted with its clients, not with our memory.
 */
export type LinkMessage =
  | MemberMessage
  | { readonly kind: "ping"; readonly nonce: number }
  | { readonly kind: "pong"; readonly nonce: number }
  /** Means nothing: opens the congestion window, so that a client's state later crosses in one go. */
  | { readonly kind: "padding"; readonly bundle: Uint8Array };

/** Largest frame accepted, bytes: some hundred connections with full queues. */
export const maxFrameBytes = 64 << 20;

const address = z.string().transform((text, context): Address => {
  try {
    return parseAddress(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
    return z.NEVER;
  }
});
const name = z.string().min(1).max(64);
const id = z.string().min(1).max(64);
const u16 = z.number().int().min(0).max(0xffff);
const ms = z.number().nonnegative();
const count = z.number().int().nonnegative();
const lease = z.object({ next: u16, last: u16 });
const token = z
  .base64()
  .length(12)
  .transform((text) => new Uint8Array(Buffer.from(text, "base64")));
const grant = z.object({ token, nonceIndex: u16, ageMs: ms });
const mode = z.enum(["full", "prepared"]);

const message = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ping"), nonce: count }),
  z.object({ kind: z.literal("pong"), nonce: count }),
  z.object({ kind: z.literal("padding") }),
  z.object({ kind: z.literal("take"), handoff: id, client: address, acceptor: name, mode, drain: z.boolean(), lease, grant: grant.nullable() }),
  z.object({ kind: z.literal("expect"), handoff: id, client: address, donor: name }),
  z.object({ kind: z.literal("offer"), handoff: id, client: address, mode, lease, grant: grant.nullable(), early: z.boolean() }),
  z.object({ kind: z.literal("frozen"), handoff: id, client: address }),
  z.object({ kind: z.literal("state"), handoff: id, client: address, connections: count, drainMs: ms }),
  z.object({ kind: z.literal("withdrawn"), handoff: id, client: address }),
  z.object({ kind: z.literal("accepted"), handoff: id, client: address, sequence: u16.nullable(), lifetimeSeconds: count, connections: count, drainMs: ms, bytes: count }),
  z.object({ kind: z.literal("refused"), handoff: id, client: address, step: z.string().max(64), reason: z.string().max(1000), lastSequence: u16.nullable() }),
  z.object({ kind: z.literal("rebind"), client: address, lease, grant }),
  z.object({ kind: z.literal("rebound"), client: address, sequence: u16, lifetimeSeconds: count }),
  z.object({ kind: z.literal("rebindFailed"), client: address, reason: z.string().max(1000), lastSequence: u16.nullable() }),
  z.object({ kind: z.literal("bindingLost"), client: address, why: z.enum(["unbound", "homeAddressOption", "noData"]) }),
  z.object({ kind: z.literal("activity"), client: address, active: z.boolean() }),
]);

/** The bytes of one frame. */
export function encodeFrame(m: LinkMessage): Buffer[] {
  const bundle = "bundle" in m ? m.bundle : new Uint8Array(0);
  // By hand and not by a replacer, because a Buffer's own toJSON would come first.
  const grant = "grant" in m && m.grant ? { ...m.grant, token: Buffer.from(m.grant.token).toString("base64") } : undefined;
  const json = Buffer.from(JSON.stringify({ ...m, ...(grant ? { grant } : {}), bundle: undefined }));
  const head = Buffer.alloc(8);
  head.writeUInt32BE(4 + json.length + bundle.length, 0);
  head.writeUInt32BE(json.length, 4);
  return [head, json, Buffer.from(bundle.buffer, bundle.byteOffset, bundle.byteLength)];
}

/** Cuts a byte stream into messages. `push` throws RangeError or ZodError on anything malformed: the caller ends the connection. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #size = 0;

  push(chunk: Buffer): LinkMessage[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const out: LinkMessage[] = [];
    for (;;) {
      const length = this.#peekLength();
      if (length === null || this.#size < 4 + length) return out;
      const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      out.push(decodeBody(all.subarray(4, 4 + length)));
      const rest = all.subarray(4 + length);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#size = rest.length;
    }
  }

  #peekLength(): number | null {
    if (this.#size < 4) return null;
    if ((this.#chunks[0] as Buffer).length < 4) this.#chunks = [Buffer.concat(this.#chunks)];
    const length = (this.#chunks[0] as Buffer).readUInt32BE(0);
    if (length < 4 || length > maxFrameBytes) throw new RangeError(`member frame of ${length} bytes, at most ${maxFrameBytes} are accepted`);
    return length;
  }
}

function decodeBody(body: Buffer): LinkMessage {
  const jsonLength = body.readUInt32BE(0);
  if (jsonLength > body.length - 4) throw new RangeError(`member frame announces ${jsonLength} bytes of JSON in ${body.length - 4}`);
  const parsed = message.parse(JSON.parse(body.toString("utf8", 4, 4 + jsonLength)));
  const bundle = body.subarray(4 + jsonLength);
  if (parsed.kind === "state" || parsed.kind === "padding") return { ...parsed, bundle: new Uint8Array(bundle) };
  if (bundle.length > 0) throw new RangeError(`member frame "${parsed.kind}" carries ${bundle.length} unexpected bytes`);
  return parsed;
}
