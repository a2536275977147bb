import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFrame, encodeFrame, FrameError } from "./wire.ts";

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.string(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie("any"), { maxLength: 5 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("$bytes", "$$bytes", "$", "__proto__")), tie("any"), { maxKeys: 5, noNullPrototype: true }),
  ),
})).any;

describe("frames", () => {
  it("carry any value and its bytes unchanged, whatever its keys are called", () => {
    const comesBack = fc.property(value, (v) => {
      expect(decodeFrame(encodeFrame(v))).toEqual(v);
    });
    fc.assert(comesBack, { numRuns: 500 });
  });

  it("lay bytes out raw after the JSON", () => {
    const frame = encodeFrame({ data: new Uint8Array([1, 2, 255]) });
    const json = '{"data":{"$bytes":3}}';
    expect(Buffer.from(frame).toString("hex")).toBe(`000000${json.length.toString(16)}${Buffer.from(json).toString("hex")}0102ff`);
  });

  it("are refused at every truncation and with anything left over", () => {
    const frame = encodeFrame({ a: [new Uint8Array(5), "x"], b: new Uint8Array(3) });
    for (let length = 0; length < frame.length; length++) expect(() => decodeFrame(frame.subarray(0, length)), `${length} bytes`).toThrow(FrameError);
    expect(() => decodeFrame(new Uint8Array([...frame, 0]))).toThrow("1 bytes left over");
  });

  it.each(["-1", "1.5", '"3"', "null", "1e99", "[3]"])("refuse a length of %s", (length) => {
    const json = Buffer.from(`{"$bytes":${length}}`);
    expect(() => decodeFrame(Buffer.concat([Buffer.from([0, 0, 0, json.length]), json, Buffer.alloc(3)]))).toThrow(FrameError);
  });

  it("find bytes however their mark is spelt", () => {
    const json = Buffer.from('{"data":{"\\u0024bytes":2}}');
    expect(decodeFrame(new Uint8Array([0, 0, 0, json.length, ...json, 7, 8]))).toEqual({ data: new Uint8Array([7, 8]) });
  });

  it("do not let content reach a prototype", () => {
    const json = Buffer.from('{"__proto__":{"polluted":1}}');
    const decoded = decodeFrame(Buffer.concat([Buffer.from([0, 0, 0, json.length]), json])) as object;
    expect("polluted" in decoded).toBe(false);
  });
});
