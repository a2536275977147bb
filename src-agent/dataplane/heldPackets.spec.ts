import { describe, expect, it } from "vitest";
import { HeldPackets } from "./heldPackets.ts";

const limits = { held: 100, unknown: 50, unknownMs: 1000, total: 150 };
const packet = (name: number, length = 10): Uint8Array => new Uint8Array(length).fill(name);
const namesOf = (packets: readonly Uint8Array[]): number[] => packets.map((p) => p[0] as number);

describe("held packets", () => {
  it("come back in order, once", () => {
    const held = new HeldPackets<string, Uint8Array>(limits);
    for (const name of [1, 2, 3]) expect(held.keep("a", packet(name), true, 0)).toBe(0);
    expect(namesOf(held.take("a"))).toEqual([1, 2, 3]);
    expect(held.take("a")).toEqual([]);
    expect(held.empty).toBe(true);
  });

  it("make room by dropping the oldest, and say how many", () => {
    const held = new HeldPackets<string, Uint8Array>(limits);
    for (let name = 0; name < 10; name++) held.keep("a", packet(name), true, 0);
    expect(held.keep("a", packet(10, 15), true, 0)).toBe(2);
    expect(namesOf(held.take("a"))).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it("bound everybody together", () => {
    const held = new HeldPackets<string, Uint8Array>(limits);
    for (let name = 0; name < 10; name++) held.keep("a", packet(name), true, 0);
    for (let name = 0; name < 5; name++) expect(held.keep("b", packet(name), true, 0)).toBe(0);
    expect(held.keep("b", packet(5), true, 0)).toBe(1);
    expect(held.take("a")).toHaveLength(10);
    expect(namesOf(held.take("b"))).toEqual([1, 2, 3, 4, 5]);
  });

  it("expire for unannounced clients only, counted from the first packet", () => {
    const held = new HeldPackets<string, Uint8Array>(limits);
    held.keep("stranger", packet(1), false, 0);
    held.keep("stranger", packet(2), false, 900);
    held.keep("held", packet(3), true, 0);
    expect(held.expire(999)).toBe(0);
    expect(held.expire(1000)).toBe(2);
    expect(held.expire(1e9)).toBe(0);
    expect(namesOf(held.take("held"))).toEqual([3]);
  });

  it("stay once the client is announced", () => {
    const held = new HeldPackets<string, Uint8Array>(limits);
    held.keep("a", packet(1), false, 0);
    held.announce("a");
    expect(held.expire(5000)).toBe(0);
    expect(held.keep("a", packet(2, 60), true, 5000)).toBe(0);
    expect(namesOf(held.take("a"))).toEqual([1, 2]);
  });

  it("of unannounced clients have less room", () => {
    const held = new HeldPackets<string, Uint8Array>(limits);
    for (let name = 0; name < 5; name++) held.keep("a", packet(name), false, 0);
    expect(held.keep("a", packet(5), false, 0)).toBe(1);
  });
});
