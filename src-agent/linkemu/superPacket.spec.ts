import { describe, expect, it } from "vitest";
import { checksumAccepted, packet } from "../../test/support/linkemu.ts";
import { cutSegments, payloadOf, segmentation, wireBytes } from "./superPacket.ts";

const cutAll = (source: Buffer, per: number) => {
  const cut = segmentation(source, 0, source.length);
  const parts: Buffer[] = [];
  for (let from = 0; from < cut.segments; from += per) {
    const target = Buffer.alloc(70_000, 0xee);
    const length = cutSegments(source, 0, source.length, cut, from, Math.min(cut.segments, from + per), target, 100);
    parts.push(Buffer.from(target.subarray(100, 100 + length)));
  }
  return parts;
};

describe("super-packets", () => {
  it.each([0, 24])("are cut into TCP packets that a receiver accepts, %i bytes of options before TCP", (options) => {
    const source = packet({ from: 0, to: 1, payload: 10 * 1400 + 333, segment: 1400, options, flags: 0x99 }); // CWR ACK PSH FIN
    const parts = cutAll(source, 3);
    expect(parts.length).toBe(4);
    const tcp = 64 + options;
    let at = 0;
    for (const [i, part] of parts.entries()) {
      const payload = part.subarray(tcp + 20);
      expect(part.readUInt32BE(tcp + 4)).toBe((0xfffffff0 + at) % 2 ** 32);
      expect(payload.equals(source.subarray(tcp + 20 + at, tcp + 20 + at + payload.length))).toBe(true);
      expect(part.readUInt16BE(28)).toBe(part.length - 64);
      expect(part[tcp + 13]).toBe(i === 0 ? 0x90 : i === 3 ? 0x19 : 0x10);
      expect(checksumAccepted(part)).toBe(true);
      at += payload.length;
    }
    expect(at).toBe(10 * 1400 + 333);
  });

  it("are ordinary packets when one segment is left", () => {
    const source = packet({ from: 0, to: 1, payload: 2800, segment: 1400 });
    const [first] = cutAll(source, 1);
    expect([...first!.subarray(0, 6)]).toEqual([1, 0, 0, 0, 0, 0]); // the checksum is still to be finished
    expect(segmentation(first!, 0, first!.length).segments).toBe(1);
    expect(checksumAccepted(first!)).toBe(true);
  });

  it("shorten the lengths of tunnelled headers too", () => {
    const inner = packet({ from: 0, to: 1, payload: 2800, segment: 1400 });
    const outer = Buffer.concat([inner.subarray(0, 64), inner.subarray(24)]);
    outer[30] = 41;
    outer.writeUInt16BE(outer.length - 64, 28);
    outer.writeUInt16LE(inner.readUInt16LE(6) + 40, 6);
    const parts = cutAll(outer, 1);
    for (const part of parts) {
      expect(part.readUInt16BE(28)).toBe(part.length - 64);
      expect(part.readUInt16BE(68)).toBe(part.length - 104);
    }
  });

  it("count headers once per segment on the wire", () => {
    const source = packet({ from: 0, to: 1, payload: 3000, segment: 1400 });
    const cut = segmentation(source, 0, source.length);
    expect(cut).toMatchObject({ segments: 3, headers: 60, segment: 1400 });
    expect(wireBytes(cut, 3, payloadOf(cut, source.length - 24, 0, 3))).toBe(3000 + 3 * 60);
  });

  it("of unknown kind or with broken offsets count as one packet", () => {
    const odd = packet({ from: 0, to: 1, payload: 3000, segment: 1400 });
    for (const change of [(b: Buffer) => (b[1] = 3), (b: Buffer) => b.writeUInt16LE(0, 4), (b: Buffer) => b.writeUInt16LE(60_000, 6), (b: Buffer) => b.writeUInt16LE(3, 6)]) {
      const b = Buffer.from(odd);
      change(b);
      expect(segmentation(b, 0, b.length)).toMatchObject({ segments: 1, headers: 40, segment: b.length - 64 });
    }
  });
});
