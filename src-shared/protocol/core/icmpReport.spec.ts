import { describe, expect, it } from "vitest";
import { parseAddress } from "../../net/address.ts";
import { encodeIcmp, type IcmpError } from "../wire/icmp.ts";
import { encapsulate } from "../wire/ipv6.ts";
import type { MobilityPacket } from "../wire/message.ts";
import { encodePacket } from "../wire/packet.ts";
import { readIcmpReport } from "./icmpReport.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const K = parseAddress("2001:db8:2::21");
const C = parseAddress("2001:db8:1::10");
const R = parseAddress("2001:db8:9::9");
const cookie = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const init = (source = K): MobilityPacket => ({ source, destination: C, message: { kind: source === X ? "homeTestInit" : "careOfTestInit", cookie, options: [] } });
const acknowledgement: MobilityPacket = {
  source: C,
  destination: K,
  routingHomeAddress: X,
  message: { kind: "bindingAcknowledgement", status: 0, keyManagement: false, sequence: 1, lifetimeUnits: 1, options: [] },
};
const update: MobilityPacket = {
  source: K,
  destination: C,
  homeAddress: X,
  message: { kind: "bindingUpdate", sequence: 1, acknowledge: true, homeRegistration: false, linkLocalCompatibility: false, keyManagement: false, lifetimeUnits: 1, options: [] },
};
const error = (source: string, destination: string, message: IcmpError): Uint8Array => encodeIcmp({ source: source as typeof K, destination: destination as typeof K, message });
const problem = (code: number, pointer: number, invoking: Uint8Array): IcmpError => ({ kind: "parameterProblem", code, pointer, invoking });

describe("an ICMPv6 error", () => {
  it("of code 1 at the Mobility Header says that the client has none, and quotes our cookie", () => {
    const invoking = encodePacket(init());
    expect(readIcmpReport(error(C, K, problem(1, 6, invoking)))).toEqual({ own: K, about: "mobilityHeader", client: C, cookie });
    // A quote that is cut before the cookie's end is no proof.
    expect(readIcmpReport(error(C, K, problem(1, 6, invoking.subarray(0, 50))))).toEqual({ own: K, about: "mobilityHeader", client: C, cookie: cookie.subarray(0, 2) });
    const bindingUpdate = encodePacket(update);
    expect(readIcmpReport(error(C, K, problem(1, 40, bindingUpdate)))).toEqual({ own: K, about: "mobilityHeader", client: C, home: X });
  });

  it("about a Home Test Init comes to the home address, in the home tunnel", () => {
    const tunnelled = encapsulate(error(C, X, problem(1, 6, encodePacket(init(X)))), { source: H, destination: K });
    expect(readIcmpReport(tunnelled)).toEqual({ own: X, about: "mobilityHeader", client: C, cookie, tunnel: { source: H, destination: K } });
  });

  it("counts only from the client itself, at that field, about what a mobile node sends, to where that came from", () => {
    const invoking = encodePacket(init());
    expect(readIcmpReport(error(R, K, problem(1, 6, invoking)))).toBeUndefined();
    expect(readIcmpReport(error(C, K, problem(1, 7, invoking)))).toBeUndefined();
    expect(readIcmpReport(error(C, K, problem(0, 6, invoking)))).toBeUndefined();
    expect(readIcmpReport(error(C, R, problem(1, 6, invoking)))).toBeUndefined();
    expect(readIcmpReport(error(K, C, problem(1, 40, encodePacket(acknowledgement))))).toBeUndefined();
  });

  it("of code 2 at the Home Address option says that the client does not know it", () => {
    expect(readIcmpReport(error(C, K, problem(2, 46, encodePacket(update))))).toEqual({ own: K, about: "homeAddressOption", client: C, home: X });
    expect(readIcmpReport(error(C, K, problem(2, 42, encodePacket(update))))).toBeUndefined();
    expect(readIcmpReport(error(R, K, problem(2, 46, encodePacket(update))))).toBeUndefined();
  });

  it("of destination unreachable, from any node, is about a binding when it quotes a type 2 routing header", () => {
    const unreachable: IcmpError = { kind: "destinationUnreachable", code: 3, invoking: encodePacket(acknowledgement) };
    expect(readIcmpReport(error(R, C, unreachable))).toEqual({ own: C, about: "binding", home: X, careOf: K });
    // A node that knows no type 2 routing header is no mobile node, but only if it says so itself.
    expect(readIcmpReport(error(K, C, problem(0, 42, encodePacket(acknowledgement))))).toEqual({ own: C, about: "binding", home: X, careOf: K });
    expect(readIcmpReport(error(R, C, problem(0, 42, encodePacket(acknowledgement))))).toBeUndefined();
    expect(readIcmpReport(error(R, K, { ...unreachable, invoking: encodePacket(init()) }))).toBeUndefined();
  });

  it("that is anything else, cut anywhere, says nothing and never throws", () => {
    const whole = encapsulate(error(C, X, problem(1, 6, encodePacket(init(X)))), { source: H, destination: K });
    for (let length = 0; length < whole.length; length++) expect(readIcmpReport(whole.subarray(0, length))).toBeUndefined();
    expect(readIcmpReport(encodePacket(init()))).toBeUndefined();
  });
});
