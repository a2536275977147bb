import { describe, expect, it } from "vitest";
import { parseAddress } from "../../net/address.ts";
import { fromHex, loadVectors, toHex } from "../../../test/vectors/vectors.ts";
import { decodeIcmp, encodeIcmp, readQuoted, type IcmpError } from "./icmp.ts";

const source = parseAddress("2001:db8:1::10");
const destination = parseAddress("2001:db8:2::21");
const invoking = loadVectors().find(({ name }) => name === "signed binding update")?.bytes as Uint8Array;

const errors: readonly IcmpError[] = [
  { kind: "destinationUnreachable", code: 1, invoking },
  { kind: "packetTooBig", mtu: 0xffff_fffe, invoking },
  { kind: "timeExceeded", code: 0, invoking },
  { kind: "parameterProblem", code: 2, pointer: 46, invoking },
];

/**
 * IPv6(src, dst) / ICMPv6ParamProblem(code=2, ptr=46) / Raw(signed binding update), by scapy.
 */
const BY_SCAPY =
  "6000000000683a4020010db800010000000000000000001020010db8000200000000000000000021040284c40000002e6000000000383c4020010db800020000000000000000002120010db8000100000000000000000010870201020000c91020010db8000f000000000000000000013b030500819a006580000069040400010001050ca6fb147ad6af3f3cb0b7d62d";

describe("ICMPv6 errors", () => {
  it("encodes to scapy's bytes", () => {
    expect(toHex(encodeIcmp({ source, destination, message: errors[3] as IcmpError }))).toBe(BY_SCAPY);
  });

  it.each(errors)("$kind reads back", (message) => {
    const bytes = encodeIcmp({ source, destination, message }, { hopLimit: 255 });
    expect(bytes[7]).toBe(255);
    expect(decodeIcmp(bytes)).toEqual({ ok: true, packet: { source, destination, message } });
  });

  it("quotes no more than the minimum MTU allows", () => {
    const message = { kind: "packetTooBig", mtu: 1280, invoking: new Uint8Array(3000) } as const;
    expect(encodeIcmp({ source, destination, message })).toHaveLength(1280);
  });

  it("is refused with a reason when cut at any length, damaged, or something else", () => {
    const bytes = fromHex(BY_SCAPY);
    const reason = (packet: Uint8Array) => {
      const decoded = decodeIcmp(packet);
      return decoded.ok ? "none" : decoded.reason;
    };
    const cut = Array.from(bytes, (_, length) => reason(bytes.slice(0, length)));
    expect(new Set(cut)).toEqual(new Set(["truncated"]));
    const damaged = bytes.slice();
    damaged[60] = (damaged[60] as number) ^ 1;
    expect(reason(damaged)).toBe("badChecksum");
    expect(reason(invoking)).toBe("notIcmpError");
    // An echo request with a right checksum.
    expect(reason(fromHex(ECHO_REQUEST))).toBe("notIcmpError");
  });
});

/** IPv6(src, dst) / ICMPv6EchoRequest(id=1, seq=1), by scapy. */
const ECHO_REQUEST = "6000000000083a4020010db800010000000000000000001020010db80002000000000000000000218000241500010001";

describe("readQuoted", () => {
  const X = "2001:db8:f::1";
  it("finds addresses and MH type of a whole and of a cut quote", () => {
    const quoted = { source: "2001:db8:2::21", destination: "2001:db8:1::10", homeAddress: X, upper: 135, at: 64 };
    expect(readQuoted(invoking)).toEqual({ ...quoted, mobilityType: 5 });
    expect(readQuoted(invoking.subarray(0, 67))).toEqual({ ...quoted, mobilityType: 5 });
    expect(readQuoted(invoking.subarray(0, 66))).toEqual(quoted);
  });

  it("is undefined when the headers are not all there", () => {
    expect(readQuoted(invoking.subarray(0, 63))).toBeUndefined();
    expect(readQuoted(new Uint8Array(0))).toBeUndefined();
  });

  it("finds the routing header's home address", () => {
    const acknowledgement = loadVectors().find(({ name }) => name === "signed binding acknowledgement")?.bytes as Uint8Array;
    expect(readQuoted(acknowledgement)).toMatchObject({ routingHomeAddress: X, mobilityType: 6 });
  });
});
