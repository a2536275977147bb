import { describe, expect, it } from "vitest";
import { parseAddress } from "../../src-shared/net/address.ts";
import { upperLayerChecksum } from "../../src-shared/net/checksum.ts";
import { encapsulated, fragmentsOf, NarrowTunnels, needsFragments } from "./tunnelFragments.ts";
import { Frame } from "./userspace/frame.ts";

const H = parseAddress("2001:db8:a::2");
const K = parseAddress("2001:db8:1::2");
const inner = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i === 0 ? 0x6a : i === 1 ? 0xb0 : i & 0xff));

/** RFC 8200 §4.5, as a receiver does it: offsets in any order, no gap, no overlap. */
function reassemble(fragments: readonly Uint8Array[]): { readonly next: number; readonly payload: Uint8Array } {
  const parts = fragments.map((fragment) => {
    const view = new DataView(fragment.buffer, fragment.byteOffset, fragment.byteLength);
    const field = view.getUint16(42);
    expect(view.getUint16(4)).toBe(fragment.length - 40);
    return { offset: field & 0xfff8, more: (field & 1) === 1, id: view.getUint32(44), next: fragment[40] as number, data: fragment.subarray(48) };
  });
  const sorted = parts.toSorted((a, b) => a.offset - b.offset);
  expect(new Set(sorted.map(({ id }) => id)).size).toBe(1);
  let end = 0;
  for (const [i, part] of sorted.entries()) {
    expect(part.offset).toBe(end);
    expect(part.more).toBe(i < sorted.length - 1);
    end += part.data.length;
  }
  return { next: sorted[0]?.next ?? -1, payload: Buffer.concat(sorted.map(({ data }) => data)) };
}

describe("fragments of tunnel packets", () => {
  it.each([1241, 1280, 1300, 4000])("of an inner packet of %s bytes fit the minimum MTU and make the packet again", (length) => {
    const outer = encapsulated(inner(length), H, K, 64);
    expect(outer.subarray(0, 4)).toEqual(inner(4));
    const fragments = fragmentsOf(outer, 0xdeadbeef);
    expect(fragments.length).toBeGreaterThan(1);
    for (const fragment of fragments) {
      expect(fragment.length).toBeLessThanOrEqual(1280);
      expect(fragment[6]).toBe(44);
      expect(fragment.subarray(7, 40)).toEqual(outer.subarray(7, 40));
    }
    expect(reassemble(fragments)).toEqual({ next: 41, payload: Buffer.from(inner(length)) });
  });

  it("are not made of what fits", () => {
    const outer = encapsulated(inner(1240), H, K, 64);
    expect(fragmentsOf(outer, 1)).toEqual([outer]);
    expect([1240, 1241, 1280, 1281].map(needsFragments)).toEqual([false, true, true, false]);
  });
});

describe("narrow ways", () => {
  it("are those that leave just the minimum, for ten minutes since last told", () => {
    const narrow = new NarrowTunnels();
    expect(narrow.learn(K, 1281, 0)).toBe(false);
    expect(narrow.has(K, 0)).toBe(false);
    expect(narrow.learn(K, 1280, 0)).toBe(true);
    expect(narrow.learn(K, 1280, 300_000)).toBe(false);
    expect(narrow.has(K, 899_999)).toBe(true);
    expect(narrow.has(K, 900_000)).toBe(false);
    expect(narrow.expire(899_999)).toEqual([]);
    expect(narrow.expire(900_000)).toEqual([K]);
    expect(narrow.size).toBe(0);
  });

  it("are bounded", () => {
    const narrow = new NarrowTunnels();
    for (let i = 0; i < 2000; i++) narrow.learn(`2001:db8::${i}`, 1280, 0);
    expect(narrow.size).toBe(1024);
  });
});

describe("checksums that were left to the device", () => {
  it.each([20, 21])("are finished over %s bytes", (length) => {
    const [source, destination] = [H, K];
    const segment = Uint8Array.from({ length }, (_, i) => (7 * i + 3) & 0xff);
    segment.set([0, 0], 6);
    const right = upperLayerChecksum({ source, destination, protocol: 17 }, segment);
    const packet = encapsulated(segment, source, destination, 64);
    packet[6] = 17;
    const partial = ~upperLayerChecksum({ source, destination, protocol: 17 }, new Uint8Array(0)) & 0xffff;
    const sum = partial + length;
    const frame = Frame.of(packet);
    frame.checksumFrom = frame.at + 40;
    Object.assign(frame, { checksumOffset: 6 });
    frame.bytes.writeUInt16BE((sum & 0xffff) + (sum >>> 16), frame.at + 46);
    frame.finishChecksum();
    expect(frame.bytes.readUInt16BE(frame.at + 46)).toBe(right);
    expect(frame.checksumFrom).toBe(-1);
  });
});
