import { describe as group, expect, it } from "vitest";
import { addressBytes, parseAddress } from "../../net/address.ts";
import { upperLayerChecksum } from "../../net/checksum.ts";
import { fromHex, loadVectors, toHex } from "../../../test/vectors/vectors.ts";
import { readHeaderChain } from "./headerChain.ts";
import type { MobilityOption, MobilityPacket } from "./message.ts";
import { setChecksum } from "./mobilityHeader.ts";
import { decodePacket, encodePacket, type Decoded } from "./packet.ts";

const X = parseAddress("2001:db8:f::1");
const CLIENT = parseAddress("2001:db8:1::10");
const CARE_OF = parseAddress("2001:db8:2::21");
const HOME_AGENT = parseAddress("2001:db8:f::ffff");
const COOKIE = fromHex("8cd17f54c8ab4bf2");

interface Around {
  readonly source?: string;
  readonly destination?: string;
  /** Extension headers in hex, the first one's number, and the addresses that the checksum is over. */
  readonly extensions?: string;
  readonly first?: number;
  readonly checksumSource?: string;
  readonly checksumDestination?: string;
  readonly corrupt?: boolean;
}

/** An IPv6 packet around a Mobility Header in hex whose checksum field is 0, with the checksum put right unless told otherwise. */
function craft(header: string, around: Around = {}): Uint8Array {
  const source = parseAddress(around.source ?? CARE_OF);
  const destination = parseAddress(around.destination ?? CLIENT);
  const mobility = fromHex(header);
  const ends = { source: parseAddress(around.checksumSource ?? source), destination: parseAddress(around.checksumDestination ?? destination) };
  const length = 8 * (1 + (mobility[1] as number));
  const checksum = upperLayerChecksum({ ...ends, protocol: 135 }, mobility.subarray(0, length)) ^ (around.corrupt ? 1 : 0);
  new DataView(mobility.buffer).setUint16(4, checksum);
  const payload = fromHex(`${around.extensions ?? ""}${toHex(mobility)}`);
  const head = `60000000${payload.length.toString(16).padStart(4, "0")}${(around.first ?? 135).toString(16).padStart(2, "0")}40`;
  return fromHex(head + toHex(addressBytes(source)) + toHex(addressBytes(destination)) + toHex(payload));
}

function outcome(decoded: Decoded): string {
  return decoded.ok ? decoded.packet.message.kind : `${decoded.reason}: ${decoded.field}`;
}

const CARE_OF_TEST_INIT = `3b01020000000000${toHex(COOKIE)}`;
const HAO = `c910${toHex(addressBytes(X))}`;
/** Destination options and type 2 routing headers, the Mobility Header following. */
const HOME_ADDRESS_HEADER = `870201020000${HAO}`;
const ROUTING_HEADER = `8702020100000000${toHex(addressBytes(X))}`;
const UPDATE = "3b010500000000010000000101020000";
const withHomeAddress: Around = { extensions: HOME_ADDRESS_HEADER, first: 60, checksumSource: X };
const withRouting: Around = { extensions: ROUTING_HEADER, first: 43, checksumDestination: X };

group("Mobility Header checks of §9.2", () => {
  it("reserved bits are ignored", () => {
    expect(outcome(decodePacket(craft(`3b0102ff0000ffff${toHex(COOKIE)}`)))).toBe("careOfTestInit");
    const update = decodePacket(craft("3b0105ff000000010fff000101020000", withHomeAddress));
    expect(update).toMatchObject({ packet: { message: { acknowledge: false, homeRegistration: false, linkLocalCompatibility: false, keyManagement: false } } });
  });

  it("payload proto other than 59 is answered with a Parameter Problem there", () => {
    const bytes = craft(`06${CARE_OF_TEST_INIT.slice(2)}`);
    expect(decodePacket(bytes)).toEqual({
      ok: false,
      reason: "badPayloadProto",
      field: "payload proto",
      answer: { kind: "parameterProblem", source: CLIENT, destination: CARE_OF, code: 0, pointer: 40, invoking: bytes },
    });
  });

  it.each([
    ["home test init", 1, 0],
    ["care-of test init", 2, 0],
    ["home test", 3, 1],
    ["care-of test", 4, 1],
    ["binding update", 5, 0],
    ["binding acknowledgement", 6, 0],
    ["binding error", 7, 1],
  ])("a %s whose header len is below its minimum is answered with a Parameter Problem there", (_, type, headerLength) => {
    const bytes = craft(`3b0${headerLength}0${type}00${"00".repeat(4 + 8 * headerLength)}`);
    expect(decodePacket(bytes)).toMatchObject({ reason: "headerTooShort", answer: { kind: "parameterProblem", code: 0, pointer: 41 } });
  });

  it("pointers count from the IPv6 header, past extension headers, and inside a tunnel from the inner one", () => {
    const short = craft("3b00050000000001", withHomeAddress);
    expect(decodePacket(short)).toMatchObject({ reason: "headerTooShort", answer: { pointer: 40 + 24 + 1, invoking: short } });
    const outer = fromHex(`60000000${short.length.toString(16).padStart(4, "0")}2940${toHex(addressBytes(HOME_AGENT))}${toHex(addressBytes(CARE_OF))}`);
    expect(decodePacket(Uint8Array.of(...outer, ...short))).toMatchObject({ answer: { source: CLIENT, destination: CARE_OF, pointer: 65, invoking: short } });
  });

  it("an unknown type is answered with Binding Error 2, naming the home address if there was one", () => {
    const unknown = "3b00170000000000";
    const answer = (homeAddress: string) => ({
      kind: "bindingError",
      packet: { source: CLIENT, destination: CARE_OF, message: { kind: "bindingError", status: 2, homeAddress, options: [] } },
    });
    expect(decodePacket(craft(unknown))).toEqual({ ok: false, reason: "unknownMobilityType", field: "MH type 23", answer: answer("::") });
    expect(decodePacket(craft(unknown, withHomeAddress))).toMatchObject({ reason: "unknownMobilityType", answer: answer(X) });
  });

  it("an unknown type counts before a wrong payload proto, a wrong checksum before both", () => {
    expect(outcome(decodePacket(craft("0600170000000000")))).toBe("unknownMobilityType: MH type 23");
    const answer = decodePacket(craft("0600170000000000", { corrupt: true }));
    expect(answer).toEqual({ ok: false, reason: "badChecksum", field: "checksum" });
  });

  it("nothing is answered to a multicast destination", () => {
    const around = { destination: "ff0e::1" };
    expect(decodePacket(craft("3b00170000000000", around))).not.toHaveProperty("answer");
    expect(decodePacket(craft("0601020000000000".padEnd(32, "0"), around))).toEqual({ ok: false, reason: "badPayloadProto", field: "payload proto" });
  });

  it("the checksum is over the home addresses, not over those of the IPv6 header", () => {
    expect(outcome(decodePacket(craft(UPDATE, { ...withHomeAddress, checksumSource: CARE_OF })))).toBe("badChecksum: checksum");
    expect(outcome(decodePacket(craft("3b010600000000000001000101020000", { ...withRouting, checksumDestination: CLIENT })))).toBe("badChecksum: checksum");
  });
});

group("mobility options", () => {
  /** A Binding Update, the option area of which is `area`, a multiple of 8 bytes long with the 4 that are left of the first. */
  const update = (area: string) => {
    const headerLength = (12 + area.length / 2) / 8 - 1;
    return outcome(decodePacket(craft(`3b${headerLength.toString(16).padStart(2, "0")}05000000000100000001${area}`, withHomeAddress)));
  };
  const zeros = (count: number) => "00".repeat(count);
  const alternate = (address: string) => `0310${toHex(addressBytes(address))}`;

  it.each([
    ["Pad1 and PadN", "00000000", "bindingUpdate"],
    ["PadN with other bytes than zero", "0102ffff", "bindingUpdate"],
    ["an unknown option", "c802ffff", "bindingUpdate"],
    ["a type without its length", "000000c8", "badOption: mobility option length"],
    ["a length past the end", "c803ffff", "badOption: mobility option length"],
    ["PadN past the end", "01030000", "badOption: mobility option length"],
    ["nonce indices of 3", `0403000100${zeros(7)}`, "badOption: mobility option length"],
    ["nonce indices of 5", `04050001000200${zeros(5)}`, "badOption: mobility option length"],
    ["nonce indices twice", "040400010001040400010001", "badOption: nonceIndices"],
    ["a care-of address of 15", `030f${"20".repeat(15)}${zeros(3)}`, "badOption: mobility option length"],
    ["a multicast care-of address", `0100${alternate("ff0e::1")}`, "badOption: alternate care-of address"],
    ["a link-local care-of address", `0100${alternate("fe80::1")}`, "badOption: alternate care-of address"],
    ["the unspecified care-of address", `0100${alternate("::")}`, "badOption: alternate care-of address"],
    ["an authenticator of 11", `050b${zeros(11)}${zeros(7)}`, "badOption: mobility option length"],
    ["an authenticator that is not last", `010400000000050c${"11".repeat(12)}0106${zeros(6)}`, "badOption: bindingAuthorization"],
    ["an authenticator followed by Pad1", `050c${"11".repeat(12)}${zeros(6)}`, "badOption: bindingAuthorization"],
    ["an authentication option of 4", `090401000000${zeros(6)}`, "badOption: mobility option length"],
    ["an empty identifier", "08000000", "badOption: mobility option length"],
    ["a timestamp of 7", `0a07${"01".repeat(7)}${zeros(3)}`, "badOption: mobility option length"],
  ])("%s", (_, area, expected) => {
    expect((area.length / 2) % 8).toBe(4);
    expect(update(area)).toBe(expected);
  });

  it("two authentication options of different subtypes are two things (RFC 4285 §5)", () => {
    const mac = (subtype: string) => `09110${subtype}00000100${"11".repeat(12)}`;
    expect(update(`${mac("1")}${mac("2")}${zeros(6)}`)).toBe("bindingUpdate");
    expect(update(`${mac("1")}${mac("1")}${zeros(6)}`)).toBe("badOption: authentication subtype 1");
  });
});

group("extension headers", () => {
  const destinationOptions = (options: string, next = "87") => `${next}${((options.length / 2 + 2) / 8 - 1).toString(16).padStart(2, "0")}${options}`;

  it("a Binding Update with a Home Address option, wherever it starts in its header", () => {
    const around = { first: 60, checksumSource: X };
    const late = destinationOptions(`010200000100${HAO}0104${"00".repeat(4)}`.padEnd(60, "0"));
    expect(decodePacket(craft(UPDATE, { ...around, extensions: late }))).toMatchObject({ packet: { homeAddress: X } });
  });

  it.each([
    ["home test init", CARE_OF_TEST_INIT.replace("3b0102", "3b0101")],
    ["care-of test init", CARE_OF_TEST_INIT],
    ["binding acknowledgement", "3b010600000000000001000101020000"],
    ["binding refresh request", "3b00000000000000"],
  ])("a %s must not carry a Home Address option", (_, header) => {
    expect(decodePacket(craft(header, withHomeAddress))).toMatchObject({ ok: false, reason: "badHomeAddress" });
    expect(decodePacket(craft(header, withHomeAddress))).not.toHaveProperty("answer");
  });

  it.each([
    ["twice in one header", destinationOptions(`01020000${HAO}01020000${HAO}`.padEnd(92, "0")), 60],
    ["in two headers", `3c0201020000${HAO}${HOME_ADDRESS_HEADER}`, 60],
    ["hop by hop", HOME_ADDRESS_HEADER, 0],
    ["before a routing header", `2b0201020000${HAO}${ROUTING_HEADER}`, 60],
    ["of 15 bytes", destinationOptions(`01020000c90f${toHex(addressBytes(X))}`.padEnd(44, "0")), 60],
    ["with a multicast address", HOME_ADDRESS_HEADER.replace(toHex(addressBytes(X)), toHex(addressBytes("ff0e::1"))), 60],
    ["with a link-local address", HOME_ADDRESS_HEADER.replace(toHex(addressBytes(X)), toHex(addressBytes("fe80::1"))), 60],
  ])("a Home Address option %s is refused silently", (_, extensions, first) => {
    const decoded = decodePacket(craft(UPDATE, { extensions, first, checksumSource: X }));
    expect(decoded).toMatchObject({ ok: false, reason: "badHomeAddress" });
    expect(decoded).not.toHaveProperty("answer");
  });

  const acknowledgement = "3b010600000000000001000101020000";
  it.each([
    ["with no segment left", ROUTING_HEADER.replace("87020201", "87020200")],
    ["with two segments left", ROUTING_HEADER.replace("87020201", "87020202")],
    ["with two addresses", `87040201${ROUTING_HEADER.slice(8)}${toHex(addressBytes(X))}`],
    ["with no address", "8700020100000000"],
    ["with a multicast address", ROUTING_HEADER.replace(toHex(addressBytes(X)), toHex(addressBytes("ff0e::1")))],
    ["twice", `2b${ROUTING_HEADER.slice(2)}${ROUTING_HEADER}`],
  ])("a type 2 routing header %s is refused silently", (_, extensions) => {
    const decoded = decodePacket(craft(acknowledgement, { extensions, first: 43, checksumDestination: X }));
    expect(decoded).toMatchObject({ ok: false, reason: "badRoutingHeader" });
    expect(decoded).not.toHaveProperty("answer");
  });

  it("a routing header of another type is skipped when it is done with, else answered at its type", () => {
    expect(outcome(decodePacket(craft(CARE_OF_TEST_INIT, { extensions: "8700000000000000", first: 43 })))).toBe("careOfTestInit");
    const answer = { kind: "parameterProblem", code: 0, pointer: 42 };
    expect(decodePacket(craft(CARE_OF_TEST_INIT, { extensions: "8700000100000000", first: 43 }))).toMatchObject({ reason: "badExtensionHeader", answer });
  });

  it.each([
    ["0x1e", "skipped", { ok: true }],
    ["0x5e", "dropped silently", { ok: false, reason: "badExtensionHeader" }],
    ["0x9e", "answered at its type", { reason: "badExtensionHeader", answer: { code: 2, pointer: 44 } }],
    ["0xde", "answered at its type", { reason: "badExtensionHeader", answer: { code: 2, pointer: 44 } }],
  ])("an unknown destination option %s is %s", (type, _, expected) => {
    const extensions = destinationOptions(`0100${type.slice(2)}020000`);
    expect(decodePacket(craft(CARE_OF_TEST_INIT, { extensions, first: 60 }))).toMatchObject(expected);
  });

  it("hop-by-hop options come first or not at all", () => {
    const pad = "010400000000";
    expect(outcome(decodePacket(craft(CARE_OF_TEST_INIT, { extensions: destinationOptions(pad), first: 0 })))).toBe("careOfTestInit");
    const late = craft(CARE_OF_TEST_INIT, { extensions: destinationOptions(pad, "00") + destinationOptions(pad), first: 60 });
    expect(decodePacket(late)).toMatchObject({ reason: "badExtensionHeader", answer: { code: 1, pointer: 40 } });
  });

  it("fragments are left to others, atomic ones read", () => {
    expect(outcome(decodePacket(craft(CARE_OF_TEST_INIT, { extensions: "8700000000000001", first: 44 })))).toBe("careOfTestInit");
    expect(outcome(decodePacket(craft(CARE_OF_TEST_INIT, { extensions: "8700000100000001", first: 44 })))).toMatch(/^fragment/);
    expect(outcome(decodePacket(craft(CARE_OF_TEST_INIT, { extensions: "8700000800000001", first: 44 })))).toMatch(/^fragment/);
  });
});

group("IPv6 and tunnels", () => {
  const wrap = (inner: Uint8Array, source: string = HOME_AGENT, destination: string = CARE_OF, extension = "") => {
    const length = (inner.length + extension.length / 2).toString(16).padStart(4, "0");
    const head = `60000000${length}${extension ? "3c" : "29"}40${toHex(addressBytes(source))}${toHex(addressBytes(destination))}${extension}`;
    return Uint8Array.of(...fromHex(head), ...inner);
  };
  const inner = craft(CARE_OF_TEST_INIT);

  it.each([
    ["IPv4", fromHex("45000014".padEnd(80, "0")), "notIpv6: version"],
    ["a multicast source", craft(CARE_OF_TEST_INIT, { source: "ff02::1" }), "badAddress: source address"],
    ["the unspecified source", craft(CARE_OF_TEST_INIT, { source: "::" }), "badAddress: source address"],
    ["the unspecified destination", craft(CARE_OF_TEST_INIT, { destination: "::" }), "badAddress: destination address"],
    ["TCP", craft(CARE_OF_TEST_INIT, { first: 6 }), "notMobility: next header"],
    ["a tunnel in a tunnel", wrap(wrap(inner)), "badTunnel: next header"],
    ["a Home Address option around a tunnel", wrap(inner, HOME_AGENT, CARE_OF, `290201020000${HAO}`), "badTunnel: outer extension headers"],
    ["an inner packet cut off", wrap(inner.slice(0, -1)), "truncated: payload"],
    ["nothing inside", wrap(new Uint8Array(0)), "truncated: version"],
  ])("%s: refused", (_, bytes, expected) => {
    expect(outcome(decodePacket(bytes))).toBe(expected);
  });

  it("the tunnel encapsulation limit of RFC 2473 is skipped", () => {
    const decoded = decodePacket(wrap(inner, HOME_AGENT, CARE_OF, "2900040104010100"));
    expect(decoded).toMatchObject({ ok: true, packet: { tunnel: { source: HOME_AGENT, destination: CARE_OF } } });
  });

  it("hop limits are as asked, and the inner one is reported", () => {
    const packet: MobilityPacket = {
      source: X,
      destination: CLIENT,
      tunnel: { source: CARE_OF, destination: HOME_AGENT },
      message: { kind: "homeTestInit", cookie: COOKIE, options: [] },
    };
    const bytes = encodePacket(packet, { hopLimit: 7 });
    expect([bytes[7], bytes[47]]).toEqual([7, 7]);
    bytes[7] = 3;
    expect(decodePacket(bytes)).toMatchObject({ ok: true, hopLimit: 7, packet });
  });
});

group("encodePacket refuses our own mistakes", () => {
  const update = (options: readonly MobilityOption[], more: object = {}): MobilityPacket => ({
    source: CARE_OF,
    destination: CLIENT,
    homeAddress: X,
    message: {
      kind: "bindingUpdate",
      sequence: 1,
      acknowledge: true,
      homeRegistration: false,
      linkLocalCompatibility: false,
      keyManagement: false,
      lifetimeUnits: 1,
      options,
      ...more,
    },
  });
  const authenticator = new Uint8Array(12);

  it.each([
    ["a sequence of 17 bits", update([], { sequence: 65536 })],
    ["a negative lifetime", update([], { lifetimeUnits: -1 })],
    ["an authenticator that is not last", update([{ kind: "bindingAuthorization", authenticator }, { kind: "nonceIndices", home: 1, careOf: 1 }])],
    ["an authenticator of 11 bytes", update([{ kind: "bindingAuthorization", authenticator: authenticator.slice(1) }])],
    ["an option of 256 bytes", update([{ kind: "unknown", type: 200, data: new Uint8Array(256) }])],
    ["more options than a header holds", update(Array.from({ length: 9 }, () => ({ kind: "unknown", type: 200, data: new Uint8Array(255) }) as const))],
    ["a cookie of 7 bytes", { source: X, destination: CLIENT, message: { kind: "homeTestInit", cookie: COOKIE.slice(1), options: [] } }],
    ["a Home Address option on a Care-of Test Init", { ...update([]), message: { kind: "careOfTestInit", cookie: COOKIE, options: [] } }],
  ] as readonly (readonly [string, MobilityPacket])[])("%s", (_, packet) => {
    expect(() => encodePacket(packet)).toThrow(RangeError);
  });
});

group("anything at all", () => {
  /** Park–Miller: the same packets each time. */
  function* numbers(seed: number): Generator<number, never> {
    for (let x = seed; ; ) {
      x = (x * 48271) % 0x7fff_ffff;
      yield x;
    }
  }

  it("decodes or is refused, and what decodes encodes to something that decodes to the same", () => {
    const random = numbers(20260102);
    const next = (below: number) => random.next().value % below;
    const bases = loadVectors().map(({ bytes }) => bytes);
    const decoded = Array.from({ length: 6_000 }, () => {
      const bytes = (bases[next(bases.length)] as Uint8Array).slice();
      for (let i = next(4); i >= 0; i--) bytes[next(bytes.length)] = next(256);
      mendChecksum(bytes);
      return decodePacket(bytes);
    }).filter((one) => one.ok);
    expect(decoded.length).toBeGreaterThan(600);
    expect(decoded.map(({ packet }) => decodePacket(encodePacket(packet)))).toMatchObject(decoded.map(({ packet }) => ({ ok: true, packet })));
  });

  /** Puts the checksum right, where the headers allow one, so that mangled packets reach the checks behind it. */
  function mendChecksum(bytes: Uint8Array): void {
    try {
      const outer = readHeaderChain(bytes);
      const inner = outer.upper === 41 ? bytes.subarray(outer.at, outer.end) : bytes;
      const chain = readHeaderChain(inner);
      const header = inner.subarray(chain.at, chain.at + 8 * (1 + (inner[chain.at + 1] as number)));
      const source = chain.homeAddress ?? chain.source;
      const destination = chain.routingHomeAddress ?? chain.destination;
      setChecksum(header, 0);
      setChecksum(header, upperLayerChecksum({ source, destination, protocol: 135 }, header));
    } catch {
      // Beyond mending: decodePacket has to refuse it by itself.
    }
  }
});
