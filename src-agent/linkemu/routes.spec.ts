import { describe, expect, it } from "vitest";
import { addressBytes } from "../../src-shared/net/address.ts";
import { Routes } from "./routes.ts";

describe("Routes", () => {
  const routes = new Routes([
    { prefix: "2001:db8::/33", host: 2 },
    { prefix: "2001:db8:f::/64", host: 0 },
    { prefix: "2001:db8:f::1/128", host: 1 },
    { prefix: "2001:db8:8000::/35", host: 3 },
  ]);
  it.each([
    ["2001:db8:f::1", 1],
    ["2001:db8:f::2", 0],
    ["2001:db8:f:1::1", 2],
    ["2001:db8:7fff:ffff::", 2],
    ["2001:db8:9fff::1", 3],
    ["2001:db8:a000::1", -1],
    ["::", -1],
  ])("sends %s to host %i", (address, host) => {
    expect(routes.find(Buffer.concat([Buffer.alloc(5), addressBytes(address)]), 5)).toBe(host);
  });
});
