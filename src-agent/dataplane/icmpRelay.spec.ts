import { describe, expect, it } from "vitest";
import { parseAddress } from "../../src-shared/net/address.ts";
import { decodeIcmp, encodeIcmp, type IcmpError } from "../../src-shared/protocol/wire/icmp.ts";
import { clientOf } from "./errorTarget.ts";
import { forSender, forSocket, tooBigForTunnel, translateError, type TranslatedError } from "./icmpRelay.ts";

const address = (tail: string) => parseAddress(`2001:db8::${tail}`);
const hex = (tail: string): string => `20010db80000000000000000${tail.padStart(8, "0")}`;
/** X = ::f, client ::c, care-of ::1, home agent ::a, router ::7. */
const tcp = "00500051000000010000000250100000abcd0000";
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
const original = `60000000 0014 06 40 ${hex("f")} ${hex("c")} ${tcp}`;
const withOption = `60000000 002c 3c 40 ${hex("1")} ${hex("c")} 06 02 01 02 0000 c910 ${hex("f")} ${tcp}`;
const withRouting = `60000000 002c 2b 40 ${hex("c")} ${hex("1")} 06 02 02 01 00000000 ${hex("f")} ${tcp}`;
const tunnelled = `60000000 003c 29 40 ${hex("1")} ${hex("a")} ${original}`;

const about = (quoted: string, message: Partial<IcmpError> = {}, to = "1"): Uint8Array =>
  encodeIcmp({ source: address("7"), destination: address(to), message: { kind: "packetTooBig", mtu: 1400, invoking: bytes(quoted), ...message } as IcmpError });

describe("ICMPv6 errors about translated packets", () => {
  it.each([
    ["a Home Address option", withOption, original, 1376],
    ["a tunnel", tunnelled, original, 1360],
  ])("are turned back past %s", (_, quoted, expected, mtu) => {
    const relayed = translateError(about(quoted));
    expect(relayed).toMatchObject({ source: address("f"), destination: address("c") });
    const decoded = decodeIcmp(forSocket(relayed as TranslatedError));
    expect(decoded).toEqual({ ok: true, packet: { source: address("7"), destination: address("f"), message: { kind: "packetTooBig", mtu, invoking: bytes(expected) } } });
  });

  it("are turned back past a type 2 routing header", () => {
    const relayed = translateError(about(withRouting, {}, "c"));
    expect(relayed).toMatchObject({ source: address("c"), destination: address("f"), added: { kind: "extension", towards: address("1") } });
    const decoded = decodeIcmp(forSocket(relayed as TranslatedError));
    expect(decoded).toMatchObject({ packet: { message: { mtu: 1376, invoking: bytes(original.replace(`${hex("f")} ${hex("c")}`, `${hex("c")} ${hex("f")}`)) } } });
  });

  it("never report less than the smallest MTU of IPv6", () => {
    const relayed = translateError(about(tunnelled, { mtu: 1290 } as Partial<IcmpError>));
    expect(decodeIcmp(forSocket(relayed as TranslatedError))).toMatchObject({ packet: { message: { mtu: 1280 } } });
  });

  it("become unreachable instead of pointing into headers that the sender never made", () => {
    const relayed = translateError(about(withOption, { kind: "parameterProblem", code: 2, pointer: 46 } as Partial<IcmpError>));
    expect(decodeIcmp(forSocket(relayed as TranslatedError))).toMatchObject({ packet: { message: { kind: "destinationUnreachable", code: 0, invoking: bytes(original) } } });
  });

  it.each(["destinationUnreachable", "timeExceeded", "parameterProblem"] as const)("say address unreachable when a tunnel fails: %s", (kind) => {
    const relayed = translateError(about(tunnelled, { kind, code: 0, pointer: 6 } as Partial<IcmpError>)) as TranslatedError;
    expect(relayed.added).toEqual({ kind: "tunnel", towards: address("a") });
    const decoded = decodeIcmp(forSender(relayed));
    expect(decoded).toMatchObject({ packet: { source: address("1"), destination: address("f"), message: { kind: "destinationUnreachable", code: 3, invoking: bytes(original) } } });
  });

  it("must have come to whoever sent what they quote", () => {
    expect(translateError(about(tunnelled, {}, "2"))).toBeUndefined();
  });

  it("are left alone when they are about something else, broken, or about an error", () => {
    expect(translateError(about(original))).toBeUndefined();
    expect(translateError(about(withOption.replace(/\s/g, "").slice(0, 2 * 60)))).toBeUndefined();
    const spoilt = about(withOption);
    spoilt[50] = (spoilt[50] as number) ^ 1;
    expect(translateError(spoilt)).toBeUndefined();
    const inner = Buffer.from(encodeIcmp({ source: address("f"), destination: address("c"), message: { kind: "packetTooBig", mtu: 1300, invoking: bytes(original) } })).toString("hex");
    const length = (inner.length / 2).toString(16).padStart(4, "0");
    expect(translateError(about(`60000000 ${length} 29 40 ${hex("1")} ${hex("a")} ${inner}`))).toBeUndefined();
  });

  it("survive every truncation", () => {
    const whole = about(tunnelled);
    for (let length = 0; length < whole.length; length++) expect(() => translateError(whole.subarray(0, length))).not.toThrow();
  });

  it("belong to the client that they are about", () => {
    const error = encodeIcmp({ source: address("7"), destination: address("f"), message: { kind: "packetTooBig", mtu: 1400, invoking: bytes(original) } });
    expect(clientOf(error)).toBe(address("c"));
    const forged = encodeIcmp({ source: address("7"), destination: address("e"), message: { kind: "packetTooBig", mtu: 1400, invoking: bytes(original) } });
    expect(clientOf(forged)).toBe(address("7"));
    expect(clientOf(bytes(original))).toBe(address("f"));
  });
});

describe("packets that do not fit the tunnel", () => {
  it("are answered with what is left of the link", () => {
    const answer = tooBigForTunnel(bytes(original), address("a"), 1500);
    expect(answer?.destination).toBe(address("f"));
    expect(decodeIcmp(answer?.packet as Uint8Array)).toEqual({
      ok: true,
      packet: { source: address("a"), destination: address("f"), message: { kind: "packetTooBig", mtu: 1460, invoking: bytes(original) } },
    });
  });

  it("are not answered when RFC 4443 §2.4 (e) forbids it: errors, also behind other headers, redirects, sources that are not one node", () => {
    expect(tooBigForTunnel(about(original), address("a"), 1500)).toBeUndefined();
    const behind = (next: string, icmp: string) => bytes(`60000000 0010 ${next} 40 ${hex("c")} ${hex("f")} 3a00 010400000000 ${icmp} 00 0000 00000000`);
    expect(tooBigForTunnel(behind("3c", "01"), address("a"), 1500)).toBeUndefined();
    expect(tooBigForTunnel(behind("3c", "80"), address("a"), 1500)).toBeDefined();
    expect(tooBigForTunnel(bytes(`60000000 0008 3a 40 ${hex("c")} ${hex("f")} 8900 0000 00000000`), address("a"), 1500)).toBeUndefined();
    expect(tooBigForTunnel(bytes(original.replace(hex("f"), "00".repeat(16))), address("a"), 1500)).toBeUndefined();
    expect(tooBigForTunnel(bytes(original.replace(hex("f"), `ff02${"00".repeat(14)}`)), address("a"), 1500)).toBeUndefined();
  });
});
