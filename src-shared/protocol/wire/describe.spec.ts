import { describe as group, expect, it } from "vitest";
import { loadVectors } from "../../../test/vectors/vectors.ts";
import { describe } from "./describe.ts";

const lines = new Map(loadVectors().map(({ name, packet }) => [name, describe(packet)]));

group("one line for each packet", () => {
  it.each([
    ["binding refresh request", "BRR 2001:db8:1::10 -> 2001:db8:f::1"],
    [
      "home test init through the home agent",
      "HoTI 2001:db8:f::1 -> 2001:db8:1::10 cookie 8cd17f54c8ab4bf2, tunnel 2001:db8:2::21 -> 2001:db8:f::ffff",
    ],
    ["care-of test", "CoT 2001:db8:1::10 -> 2001:db8:2::21 nonce 7 cookie 8cd17f54c8ab4bf2 token 8f…"],
    [
      "signed binding update for another node",
      "BU 2001:db8:2::21 (home 2001:db8:f::1) -> 2001:db8:1::10 seq 101 A life 420 s, nonces 1/1, alt CoA 2001:db8:3::31, authorised",
    ],
    ["binding acknowledgement 135", "BA 2001:db8:1::10 -> 2001:db8:2::21 (home 2001:db8:f::1) status 135 (sequence number out of window) seq 40000 life 0 s"],
    [
      "authenticated registration reply",
      "BA 2001:db8:f::ffff -> 2001:db8:2::21 (home 2001:db8:f::1) status 0 (accepted) seq 7 K life 600 s, refresh after 400 s, " +
        "identifier 1 6e6f6465406578616d706c652e6f7267, timestamp 2026-01-02T03:04:05.500Z, authenticated 1 SPI 305419896",
    ],
    ["binding error 1", "BE 2001:db8:1::10 -> 2001:db8:2::21 status 1 home 2001:db8:f::1"],
    ["care-of test with an unknown option", "CoT 2001:db8:1::10 -> 2001:db8:2::21 nonce 7 cookie 8cd17f54c8ab4bf2 token 8f…, option 201 68656c6c6f"],
  ])("%s", (name, line) => {
    expect(lines.get(name)).toBe(line);
  });

  it("is one line, whatever the packet, and never shows a whole keygen token", () => {
    expect([...lines.values()].filter((line) => /[\n]|undefined|8fa79127/.test(line))).toEqual([]);
  });
});
