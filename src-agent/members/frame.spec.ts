import { describe, expect, it } from "vitest";
import { parseAddress } from "../../src-shared/net/address.ts";
import { encodeFrame, FrameReader, maxFrameBytes, type LinkMessage } from "./frame.ts";

const client = parseAddress("2001:db8:c1::1");
const offer: LinkMessage = {
  kind: "offer",
  handoff: "h1",
  client,
  mode: "full",
  lease: { next: 65530, last: 1 },
  grant: { token: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), nonceIndex: 7, ageMs: 12.5 },
  early: true,
};
const state: LinkMessage = { kind: "state", handoff: "h1", client, connections: 2, drainMs: 0, bundle: Uint8Array.from({ length: 3000 }, (_, i) => i & 0xff) };
const messages: readonly LinkMessage[] = [
  { kind: "ping", nonce: 1 },
  offer,
  { kind: "frozen", handoff: "h1", client },
  state,
  { kind: "accepted", handoff: "h1", client, sequence: null, lifetimeSeconds: 0, connections: 1, drainMs: 3, bytes: 10 },
  { kind: "bindingLost", client, why: "noData" },
  { kind: "activity", client, active: false },
];

describe("member frames", () => {
  it("come back as they were sent, however the stream is cut", () => {
    const bytes = Buffer.concat(messages.flatMap((m) => encodeFrame(m)));
    for (const size of [1, 3, 7, 1000, bytes.length]) {
      const reader = new FrameReader();
      const read: LinkMessage[] = [];
      for (let at = 0; at < bytes.length; at += size) read.push(...reader.push(bytes.subarray(at, at + size)));
      expect(read).toEqual(messages);
    }
  });

  it("carry tokens that are Buffers, as decoders hand them out", () => {
    const grant = { token: Buffer.from([8, 7, 6, 5, 4, 3, 2, 1]), nonceIndex: 1, ageMs: 0 };
    const [read] = new FrameReader().push(Buffer.concat(encodeFrame({ kind: "rebind", client, lease: { next: 1, last: 2 }, grant })));
    expect(read).toMatchObject({ grant: { token: Uint8Array.from(grant.token) } });
  });

  it("are refused when they claim to be too large, before anything is kept for them", () => {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(maxFrameBytes + 1, 0);
    expect(() => new FrameReader().push(head)).toThrow(/at most/);
  });

  it("are refused when malformed", () => {
    const frame = (json: string, extra = 0): Buffer => {
      const body = Buffer.from(json);
      const head = Buffer.alloc(8);
      head.writeUInt32BE(4 + body.length + extra, 0);
      head.writeUInt32BE(body.length, 4);
      return Buffer.concat([head, body, Buffer.alloc(extra)]);
    };
    const bad = [
      '{"kind":"activity","client":"not an address","active":true}',
      '{"kind":"unheard of"}',
      '{"kind":"rebound","client":"::1","sequence":65536,"lifetimeSeconds":4}',
      "not json",
    ];
    for (const json of bad) expect(() => new FrameReader().push(frame(json)), json).toThrow();
    expect(() => new FrameReader().push(frame('{"kind":"ping","nonce":1}', 4))).toThrow(/unexpected bytes/);
  });
});
