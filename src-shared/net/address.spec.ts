import { isIPv6 } from "node:net";
import { describe, expect, it } from "vitest";
import { addressBytes, formatAddress, parseAddress } from "./address.ts";

describe("parseAddress", () => {
  it.each([
    ["2001:0DB8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ])("%s is %s (RFC 5952 §4)", (text, canonical) => {
    expect(parseAddress(text)).toBe(canonical);
    expect(formatAddress(addressBytes(canonical))).toBe(canonical);
  });

  it("refuses what is not an address, naming it", () => {
    expect(() => parseAddress("fe80::1%eth0")).toThrow('not an IPv6 address: "fe80::1%eth0"');
  });

  it("accepts and refuses what Node does", () => {
    const parts = ["", "0", "1", "ffff", "12345", "g", "00", "1.2.3.4", "1.2.3.256", "1.2.3"];
    const texts = Array.from({ length: 20_000 }, (_, seed) => made(seed, parts));
    const disagreements = texts.filter((text) => accepted(text) !== isIPv6(text));
    expect(disagreements).toEqual([]);
    expect(texts.filter((text) => isIPv6(text)).length).toBeGreaterThan(100);
  });

  /** One to nine parts, now and then joined by "::"; every seed another. */
  function made(seed: number, parts: readonly string[]): string {
    let x = seed + 1;
    const roll = (sides: number) => (x = (x * 48271) % 0x7fff_ffff) % sides;
    const plain = () => (roll(12) === 0 ? parts[roll(parts.length)] : parts[1 + roll(3)]) as string;
    roll(2);
    return Array.from({ length: 1 + roll(9) }, (_, i) => (i === 0 ? "" : roll(6) === 0 ? "::" : ":") + plain()).join("");
  }

  function accepted(text: string): boolean {
    try {
      parseAddress(text);
      return true;
    } catch {
      return false;
    }
  }
});
