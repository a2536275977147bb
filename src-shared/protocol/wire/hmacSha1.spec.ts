import { createHmac } from "node:crypto";
import { array, assert, property, uint8Array } from "fast-check";
import { expect, it } from "vitest";
import { hmacSha1 } from "./hmacSha1.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

it("gives the digests of RFC 2202", () => {
  expect(hex(hmacSha1(new Uint8Array(20).fill(0x0b), Buffer.from("Hi There")))).toBe("b617318655057264e28bc0b6fb378c8ef146be00");
  expect(hex(hmacSha1(Buffer.from("Jefe"), Buffer.from("what do ya want "), Buffer.from("for nothing?")))).toBe("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  expect(hex(hmacSha1(new Uint8Array(80).fill(0xaa), Buffer.from("Test Using Larger Than Block-Size Key - Hash Key First")))).toBe("aa4ae5e15272d00e95705637ce8a3b55ed402112");
});

it("is OpenSSL's, whatever the lengths", () => {
  assert(
    property(uint8Array({ maxLength: 150 }), array(uint8Array({ maxLength: 200 }), { maxLength: 4 }), (key, parts) => {
      const expected = createHmac("sha1", key);
      for (const part of parts) expected.update(part);
      expect(hex(hmacSha1(key, ...parts))).toBe(expected.digest("hex"));
    }),
  );
});
