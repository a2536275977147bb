import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Sha256 } from "./sha256.ts";

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
const expected = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

describe("SHA-256", () => {
  it("agrees with OpenSSL around every block boundary", () => {
    for (let length = 0; length <= 200; length++) expect(Sha256.start().update(bytes(length)).hex(), `${length} bytes`).toBe(expected(bytes(length)));
  });

  it("agrees for data in odd pieces, saved and restored between any two of them", () => {
    const data = bytes(100_003);
    let hash = Sha256.start();
    for (let at = 0, piece = 1; at < data.length; at += piece, piece = (piece * 7) % 251) {
      hash.update(data.subarray(at, at + piece));
      hash = Sha256.restore(JSON.parse(JSON.stringify(hash.save())));
    }
    expect(hash.hex()).toBe(expected(data));
  });

  it("refuses states that it did not make", () => {
    const good = Sha256.start().update(bytes(70)).save();
    expect(() => Sha256.restore({ ...good, h: good.h.slice(1) })).toThrow(RangeError);
    expect(() => Sha256.restore({ ...good, length: 71 })).toThrow(RangeError);
    expect(() => Sha256.restore({ ...good, h: good.h.map((word, i) => (i ? word : -1)) })).toThrow(RangeError);
  });
});
