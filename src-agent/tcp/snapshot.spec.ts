import { describe, expect, it } from "vitest";
import { DecodeError } from "../../src-shared/bytes/decodeError.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import { decodeSnapshot, encodeSnapshot, maximumQueue, type TcpSnapshot } from "./snapshot.ts";

const sample: TcpSnapshot = {
  local: { address: parseAddress("2001:db8:ffff::1"), port: 80 },
  peer: { address: parseAddress("2001:db8:a::2"), port: 40000 },
  segmentLimit: 1428,
  scales: { send: 7, receive: 9 },
  sackPermitted: true,
  timestamp: 0xfffffffe,
  window: { lastWindowUpdate: 1, sendWindow: 65535, maximumWindow: 65536, receiveWindow: 64000, receiveWindowUpdate: 0xffffffff },
  sendSequence: 0xfffffff0,
  sentBytes: 3,
  sendQueue: Uint8Array.of(1, 2, 3, 4, 5),
  ended: true,
  receiveSequence: 7,
  receiveQueue: Uint8Array.of(9, 8),
  peerEnded: false,
  rtt: 40_000,
  congestionWindow: 123,
  congestionControl: "cubic",
  sendBuffer: 87040,
  settings: { noDelay: 1, keepAlive: 0, keepIdle: 7200, keepInterval: 75, keepCount: 9, userTimeout: 0, trafficClass: 0 },
};

/** Deterministic, so that a failure can be repeated. */
function* randomBytes(seed: number): Generator<number> {
  for (let x = seed; ; ) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    yield x >>> 24;
  }
}

describe("snapshot", () => {
  it("comes back as it was", () => {
    for (const s of [sample, { ...sample, scales: null, timestamp: null, sackPermitted: false, ended: false, peerEnded: true, sendQueue: new Uint8Array(0), sentBytes: 0 }]) {
      expect(decodeSnapshot(new Uint8Array(encodeSnapshot(s)))).toEqual(s);
    }
  });

  it("keeps its layout: another member may run another build", () => {
    const hex = Buffer.from(encodeSnapshot(sample)).toString("hex");
    expect(hex).toBe(
      "010f" + // version, flags: scales, SACK, timestamps, ended
        "20010db8ffff000000000000000000010050" +
        "20010db8000a000000000000000000029c40" +
        "05940709" + // segment limit, scales
        "fffffffe" +
        "000000010000ffff000100000000fa00ffffffff" +
        "fffffff000000003" + // send sequence, sent bytes
        "00000007" + // receive sequence
        "00009c400000007b" + // rtt, congestion window
        "63756269630000000000000000000000" +
        "00015400" + // send buffer
        "000000010000000000001c200000004b000000090000000000000000" + // settings
        "0000000500000002" +
        "0102030405" +
        "0908",
    );
  });

  it("refuses every truncation, naming the field", () => {
    const bytes = encodeSnapshot(sample);
    for (let length = 0; length < bytes.length; length++) expect(() => decodeSnapshot(bytes.subarray(0, length)), `${length} bytes`).toThrow(DecodeError);
    expect(() => decodeSnapshot(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(/trailing/);
  });

  it("refuses other versions, unknown flags, impossible ports, scales, queues and names", () => {
    const bad: [at: number, value: number, field: RegExp][] = [
      [0, 2, /version/],
      [1, 0x20, /flags/],
      [40, 15, /send scale/],
      [41, 15, /receive scale/],
      [86, 0x2f, /congestion control/],
    ];
    for (const [at, value, field] of bad) {
      const bytes = Buffer.from(encodeSnapshot(sample));
      bytes[at] = value;
      expect(() => decodeSnapshot(bytes), `byte ${at}`).toThrow(field);
    }
    const huge = Buffer.from(encodeSnapshot(sample));
    huge.writeUInt32BE(maximumQueue + 1, huge.length - 7 - 8);
    expect(() => decodeSnapshot(huge)).toThrow(/send queue length/);
    expect(() => decodeSnapshot(encodeSnapshot({ ...sample, sentBytes: 6 }))).toThrow(/sent bytes/);
    expect(() => decodeSnapshot(encodeSnapshot({ ...sample, peer: { ...sample.peer, port: 0 } }))).toThrow(/peer port/);
  });

  it("answers anything at all with a snapshot or a DecodeError, and allocates no more than it was given", () => {
    const random = randomBytes(7135);
    const valid = encodeSnapshot(sample);
    for (let i = 0; i < 20_000; i++) {
      const bytes = Uint8Array.from(valid);
      for (let flips = 1 + ((random.next().value as number) & 3); flips > 0; flips--) bytes[((random.next().value as number) * 256 + (random.next().value as number)) % bytes.length] = random.next().value as number;
      try {
        const s = decodeSnapshot(bytes);
        expect(s.sendQueue.length + s.receiveQueue.length).toBeLessThanOrEqual(bytes.length);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }
  });
});
