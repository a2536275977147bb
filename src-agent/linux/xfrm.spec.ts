import { describe, expect, it } from "vitest";
import { parseAddress } from "../../src-shared/net/address.ts";
import { policyMessage, stateMessage } from "./xfrm.ts";

/** What iproute2 6.1 sends for the same request (strace -xx -e sendmsg), without the netlink header. */
const zeros = (count: number): string => "00".repeat(count);
const noLimits = `${"ff".repeat(32)}${zeros(64)}`;
const X = "20010db8000f00000000000000000001";
const client = "20010db8000c00000000000000000002";
const careOf = "20010db8000100000000000000000002";
const tag = "df1b0000";

describe("XFRM requests", () => {
  it("are byte for byte what `ip xfrm state add src C dst X proto route2 reqid 7135 mode ro coa A` sends", () => {
    const expected = [zeros(56), X, "00000000", "2b000000", client, noLimits, zeros(16), tag, "0a00", "02", zeros(9), "14000e00", careOf].join("");
    const state = { header: "routing", source: parseAddress("2001:db8:c::2"), destination: parseAddress("2001:db8:f::1"), careOf: parseAddress("2001:db8:1::2"), tag: 7135 } as const;
    expect(stateMessage(state).toString("hex")).toBe(expected);
  });

  it("… with `src :: dst ::` and `flag wildrecv`", () => {
    const expected = [zeros(72), "00000000", "2b000000", zeros(16), noLimits, zeros(16), tag, "0a00", "02", "0008", zeros(7), "14000e00", careOf].join("");
    expect(stateMessage({ header: "routing", careOf: parseAddress("2001:db8:1::2"), tag: 7135, wildcard: true }).toString("hex")).toBe(expected);
  });

  it("… `ip xfrm policy add src ::/0 dst X dir in ptype sub priority 7135 tmpl src :: dst :: proto route2 reqid 7135 mode ro level use`", () => {
    const selector = [X, zeros(16), zeros(8), "0a00", "8000", zeros(12)].join("");
    const template = [zeros(16), "00000000", "2b000000", "0a000000", zeros(16), tag, "02000100", "ff".repeat(12)].join("");
    const expected = [selector, noLimits, tag, "00000000", "00000000", zeros(4), "0a001000", "010000000000", "0000", "44000500", template].join("");
    const policy = policyMessage({ direction: "in", type: "sub", destination: parseAddress("2001:db8:f::1"), priority: 7135, template: { header: "routing", tag: 7135 } });
    expect(policy.toString("hex")).toBe(expected);
  });

  it("… `ip -6 xfrm policy add dir out ptype sub priority 7134 mark 0x616c6162 mask 0xffffffff`", () => {
    const selector = [zeros(40), "0a00", "0000", zeros(12)].join("");
    const expected = [selector, noLimits, "de1b0000", "00000000", "01000000", zeros(4), "0a001000", "010000000000", "0000", "0c001500", "62616c61", "ffffffff"].join("");
    expect(policyMessage({ direction: "out", type: "sub", mark: 0x616c6162, priority: 7134 }).toString("hex")).toBe(expected);
  });
});
