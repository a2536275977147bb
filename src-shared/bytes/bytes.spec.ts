import { describe, expect, it } from "vitest";
import { DecodeError } from "./decodeError.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

describe("Reader", () => {
  it("reads back what Writer wrote, at the ends of each range", () => {
    const w = new Writer().u8(0).u8(255).u16(0xfffe).u32(0xffff_fffd).u64(0xffff_ffff_ffff_fffcn).put(Uint8Array.of(1, 2)).zeros(2);
    const r = new Reader(w.bytes());
    expect([r.u8("a"), r.u8("b"), r.u16("c"), r.u32("d"), r.u64("e")]).toEqual([0, 255, 0xfffe, 0xffff_fffd, 0xffff_ffff_ffff_fffcn]);
    expect(r.rest("f")).toEqual(Uint8Array.of(1, 2, 0, 0));
    expect(r.remaining).toBe(0);
  });

  it("reads from a part of a larger buffer", () => {
    const whole = Uint8Array.of(9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 7, 9);
    const r = new Reader(whole.subarray(2), 1, 9);
    expect([r.u64("e"), r.remaining]).toEqual([7n, 0]);
  });

  it.each([
    ["u8", 1],
    ["u16", 2],
    ["u32", 4],
    ["u64", 8],
  ] as const)("%s names the field that is cut off, and reads nothing", (read, size) => {
    const r = new Reader(new Uint8Array(size - 1));
    expect(() => r[read]("nonce index")).toThrow(expect.objectContaining({ code: "truncated", field: "nonce index" }));
    expect(() => r[read]("nonce index")).toThrow(DecodeError);
  });

  it("does not read past its own end into the buffer", () => {
    const r = new Reader(new Uint8Array(8), 0, 4);
    expect(() => r.take(5, "cookie")).toThrow(/truncated: cookie/);
    expect(() => r.sub(5, "cookie")).toThrow(/truncated: cookie/);
    expect(r.take(4, "cookie")).toHaveLength(4);
  });

  it("hands out copies", () => {
    const buffer = Uint8Array.of(1, 2, 3);
    const taken = new Reader(buffer).take(3, "cookie");
    buffer.fill(0);
    expect(taken).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe("Writer", () => {
  it("grows", () => {
    const w = new Writer();
    for (let i = 0; i < 1000; i++) w.u16(i);
    expect(new Reader(w.bytes(), 1998).u16("last")).toBe(999);
  });

  it.each([-1, 256, 1.5, Number.NaN])("refuses %s as a byte", (value) => {
    expect(() => new Writer().u8(value)).toThrow(RangeError);
  });

  it("refuses what does not fit", () => {
    expect(() => new Writer().u32(2 ** 32)).toThrow(/4294967296 does not fit 32 bits/);
    expect(() => new Writer().u64(-1n)).toThrow(RangeError);
    expect(() => new Writer().put(new Uint8Array(7), 8)).toThrow(/7 bytes in a field of 8/);
  });
});
