import { z } from "zod";
import { Keep } from "../library.ts";
import type { Rest } from "./origin.ts";
import type { RequestHead } from "./requestHead.ts";

/** Where an HTTP connection stands. Only what is plain data can move; `forwarding` cannot. */
export type Exchange =
  | { readonly phase: "idle" }
  /** A safe request whose answer has not begun: any member may ask again. */
  | { readonly phase: "asking"; readonly head: RequestHead }
  /** An answer under way that any origin with the same version can go on with. */
  | { readonly phase: "sending"; readonly head: RequestHead; readonly rest: Rest }
  | { readonly phase: "forwarding"; readonly head: RequestHead; readonly why: string };

const head = z.object({
  method: z.string(),
  target: z.string(),
  minor: z.union([z.literal(0), z.literal(1)]),
  fields: z.array(z.tuple([z.string(), z.string()])),
  body: z.object({ kind: z.literal("none") }),
  keepAlive: z.boolean(),
  expectsContinue: z.boolean(),
});
const offset = z.number().int().nonnegative();
const rest = z.object({ etag: z.string(), total: offset, next: offset, end: offset }).refine((r) => r.next <= r.end && r.end <= r.total);
const state = z.object({
  version: z.literal(1),
  input: z.base64(),
  clientEnded: z.boolean(),
  exchange: z.discriminatedUnion("phase", [z.object({ phase: z.literal("idle") }), z.object({ phase: z.literal("asking"), head }), z.object({ phase: z.literal("sending"), head, rest })]),
});

export interface HttpState {
  readonly input: Buffer;
  readonly clientEnded: boolean;
  readonly exchange: Exchange;
}

/** Throws Keep with the reason when the exchange cannot move. */
export function encodeHttpState({ input, clientEnded, exchange }: HttpState): Uint8Array {
  if (exchange.phase === "forwarding") throw new Keep(`${exchange.head.method} ${exchange.head.target}: ${exchange.why}`);
  return Buffer.from(JSON.stringify({ version: 1, input: input.toString("base64"), clientEnded, exchange }));
}

/** Throws ZodError or SyntaxError. */
export function decodeHttpState(bytes: Uint8Array): HttpState {
  const { input, clientEnded, exchange } = state.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  return { input: Buffer.from(input, "base64"), clientEnded, exchange };
}
