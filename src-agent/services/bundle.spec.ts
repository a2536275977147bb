import { describe, expect, it } from "vitest";
import { DecodeError } from "../../src-shared/bytes/decodeError.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import { maximumAppState } from "../../src-shared/api/adapter.ts";
import type { TcpSnapshot } from "../tcp/snapshot.ts";
import { decodeBundle, encodeBundle, maximumBundleConnections, type BundleEntry } from "./bundle.ts";

const tcp: TcpSnapshot = {
  local: { address: parseAddress("2001:db8::1"), port: 7 },
  peer: { address: parseAddress("2001:db8::2"), port: 40001 },
  segmentLimit: 1440,
  scales: null,
  sackPermitted: false,
  timestamp: null,
  window: { lastWindowUpdate: 1, sendWindow: 2, maximumWindow: 3, receiveWindow: 4, receiveWindowUpdate: 5 },
  sendSequence: 10,
  sentBytes: 0,
  sendQueue: Uint8Array.of(1),
  ended: false,
  receiveSequence: 20,
  receiveQueue: new Uint8Array(0),
  peerEnded: false,
  rtt: 1,
  congestionWindow: 10,
  congestionControl: "bbr",
  sendBuffer: 1000,
  settings: { noDelay: 1, keepAlive: 0, keepIdle: 1, keepInterval: 1, keepCount: 1, userTimeout: 0, trafficClass: 0 },
};
const entries: BundleEntry[] = [
  { service: "echo", phase: "serving", state: Uint8Array.of(1, 2, 3), tcp },
  { service: "web", phase: "fresh", state: new Uint8Array(0), tcp: { ...tcp, local: { ...tcp.local, port: 80 } } },
  { service: "web", phase: "closing", state: new Uint8Array(0), tcp },
];

describe("bundle", () => {
  it("comes back as it was, also when empty", () => {
    expect(decodeBundle(new Uint8Array(encodeBundle(entries)))).toEqual(entries);
    expect(decodeBundle(encodeBundle([]))).toEqual([]);
  });

  it("refuses every truncation and anything after its end", () => {
    const bytes = encodeBundle(entries);
    for (let length = 0; length < bytes.length; length++) expect(() => decodeBundle(bytes.subarray(0, length)), `${length} bytes`).toThrow(DecodeError);
    expect(() => decodeBundle(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(/trailing/);
  });

  it("refuses another version, an unknown phase, too many connections, too much state", () => {
    const with_ = (at: number, value: number) => {
      const bytes = Buffer.from(encodeBundle(entries));
      bytes[at] = value;
      return bytes;
    };
    expect(() => decodeBundle(with_(0, 9))).toThrow(/bundle version/);
    expect(() => decodeBundle(with_(3, 7))).toThrow(/phase/);
    expect(() => decodeBundle(with_(1, 0xff))).toThrow(/connections/);
    const state = Buffer.from(encodeBundle(entries));
    state.writeUInt32BE(maximumAppState + 1, 3 + 2 + 4);
    expect(() => decodeBundle(state)).toThrow(/state length/);
    expect(() => encodeBundle(Array.from({ length: maximumBundleConnections + 1 }, () => entries[0] as BundleEntry))).toThrow(RangeError);
  });

  it("answers any change of a byte with a bundle or a DecodeError", () => {
    const valid = encodeBundle(entries);
    const unexpected: unknown[] = [];
    for (let at = 0; at < valid.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const bytes = Uint8Array.from(valid);
        bytes[at] = value;
        try {
          decodeBundle(bytes);
        } catch (error) {
          if (!(error instanceof DecodeError)) unexpected.push(error);
        }
      }
    }
    expect(unexpected).toEqual([]);
  });
});
