import { describe, expect, it } from "vitest";
import { parseAddress } from "./address.ts";
import { formatPrefix, parsePrefix, prefixContains } from "./prefix.ts";
import { isLinkLocal, isMulticast, isUnicastRoutable } from "./scope.ts";

describe("Prefix", () => {
  it.each(["::/0", "2001:db8::/32", "2001:db8:0:0:8000::/65", "2001:db8::1/128", "2001:db8:8000::/33"])("%s formats as it was written", (text) => {
    expect(formatPrefix(parsePrefix(text))).toBe(text);
  });

  it.each([
    ["::/0", "ffff::", true],
    ["2001:db8:f::/48", "2001:db8:f:ffff::1", true],
    ["2001:db8:f::/48", "2001:db8:e:ffff::1", false],
    ["2001:db8:8000::/33", "2001:db8:ffff::", true],
    ["2001:db8:8000::/33", "2001:db8:7fff::", false],
    ["2001:db8::1/128", "2001:db8::1", true],
    ["2001:db8::1/128", "2001:db8::", false],
  ])("%s contains %s: %s", (prefix, address, inside) => {
    expect(prefixContains(parsePrefix(prefix), parseAddress(address))).toBe(inside);
  });

  it.each(["2001:db8::", "2001:db8::/129", "2001:db8::/", "2001:db8::/6 4", "2001:db8::/64/64", "/64", "10.0.0.0/8"])("refuses %s and names it", (text) => {
    expect(() => parsePrefix(text)).toThrow(RangeError);
  });

  it("says which prefix was likely meant", () => {
    expect(() => parsePrefix("2001:db8::1/64")).toThrow(/did you mean 2001:db8::\/64\?/);
  });
});

describe("scope", () => {
  it.each([
    ["ff02::1", true],
    ["ff::1", false],
    ["2001:db8::ff02:1", false],
  ])("%s is multicast: %s", (address, yes) => {
    expect(isMulticast(parseAddress(address))).toBe(yes);
  });

  it.each([
    ["fe80::1", true],
    ["febf::1", true],
    ["fec0::1", false],
    ["fe8::1", false],
  ])("%s is link-local: %s", (address, yes) => {
    expect(isLinkLocal(parseAddress(address))).toBe(yes);
  });

  it.each([
    ["2001:db8::1", true],
    ["fd00::1", true],
    ["ff0e::1", false],
    ["fe80::1", false],
    ["::", false],
    ["::1", false],
    ["::ffff:10.0.0.1", false],
    ["::ffff:1", true],
  ])("%s is a unicast routable address: %s", (address, yes) => {
    expect(isUnicastRoutable(parseAddress(address))).toBe(yes);
  });
});
