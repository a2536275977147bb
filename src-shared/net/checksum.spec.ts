import { describe, expect, it } from "vitest";
import { parseAddress } from "./address.ts";
import { upperLayerChecksum } from "./checksum.ts";

const scope = { source: parseAddress("2001:db8:1::10"), destination: parseAddress("2001:db8:f::1"), protocol: 135 };
/** A Home Test that a stock Linux correspondent sent between these two. */
const HOME_TEST = Uint8Array.from(Buffer.from("3b0203000e9f00018cd17f54c8ab4bf28fa79127d07e4519", "hex"));

describe("upperLayerChecksum", () => {
  it("is 0 over a packet of another implementation, and its checksum when the field is 0", () => {
    expect(upperLayerChecksum(scope, HOME_TEST)).toBe(0);
    const cleared = HOME_TEST.slice();
    cleared.fill(0, 4, 6);
    expect(upperLayerChecksum(scope, cleared)).toBe(0x0e9f);
  });

  it("covers the protocol, both addresses and the length", () => {
    expect(upperLayerChecksum({ ...scope, protocol: 58 }, HOME_TEST)).not.toBe(0);
    expect(upperLayerChecksum({ ...scope, source: parseAddress("2001:db8:1::11") }, HOME_TEST)).not.toBe(0);
    expect(upperLayerChecksum({ ...scope, destination: parseAddress("2001:db8:f::2") }, HOME_TEST)).not.toBe(0);
    expect(upperLayerChecksum(scope, Uint8Array.of(...HOME_TEST, 0, 0))).not.toBe(0);
  });

  it("pads an odd byte with zero on the right (RFC 1071)", () => {
    const zero = parseAddress("::");
    expect(upperLayerChecksum({ source: zero, destination: zero, protocol: 0 }, Uint8Array.of(0x12))).toBe(~(0x1200 + 1) & 0xffff);
  });

  it("carries more than once, and counts lengths beyond 16 bits", () => {
    const zero = parseAddress("::");
    const ones = new Uint8Array(70_000).fill(0xff);
    // All words 0xffff sum to 0xffff, to which the length 0x1_1170 adds 0x1 + 0x1170.
    expect(upperLayerChecksum({ source: zero, destination: zero, protocol: 0 }, ones)).toBe(~0x1171 & 0xffff);
  });
});
