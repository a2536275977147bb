import { describe as group, expect, it } from "vitest";
import { parseAddress } from "../../net/address.ts";
import { fromHex, loadVectors, toHex, type Vector } from "../../../test/vectors/vectors.ts";
import * as auth from "./authenticator.ts";
import type { MobilityOption, MobilityPacket } from "./message.ts";
import { decodePacket, encodePacket } from "./packet.ts";

const X = parseAddress("2001:db8:f::1");
const CLIENT = parseAddress("2001:db8:1::10");
const CARE_OF = parseAddress("2001:db8:2::21");
const OTHER_CARE_OF = parseAddress("2001:db8:3::31");

const vectors = loadVectors();

function received(vector: Vector) {
  const decoded = decodePacket(vector.bytes);
  if (!decoded.ok) throw new Error(`${vector.name}: ${decoded.reason}`);
  return decoded;
}

function without(packet: MobilityPacket, kind: MobilityOption["kind"]): MobilityPacket {
  return { ...packet, message: { ...packet.message, options: packet.message.options.filter((option) => option.kind !== kind) } };
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}

group("a stock Linux mobile node and correspondent", () => {
  const kbm = auth.bindingManagementKey(fromHex("8fa79127d07e4519"), fromHex("535c375ed637d80a"));

  it("make the same Kbm", () => {
    expect(toHex(kbm)).toBe("344b595a37448b14266b02e42670e88de20f6b49");
  });

  it("sign a Binding Update as we do", () => {
    const update = {
      kind: "bindingUpdate",
      sequence: 101,
      acknowledge: true,
      homeRegistration: false,
      linkLocalCompatibility: false,
      keyManagement: false,
      lifetimeUnits: 0xffff,
      options: [{ kind: "nonceIndices", home: 1, careOf: 1 }],
    } as const;
    const signed = auth.signBindingUpdate({ source: CARE_OF, destination: CLIENT, homeAddress: X, message: update }, kbm);
    const bytes = encodePacket(signed);
    const header = bytes.slice(-32);
    header.fill(0, 4, 6);
    expect(toHex(header)).toBe("3b030500000000658000ffff040400010001050cc76ba74b93600cdb7cba8fda");
  });

  it("sign a Binding Acknowledgement as we do", () => {
    const message = { kind: "bindingAcknowledgement", status: 0, keyManagement: false, sequence: 101, lifetimeUnits: 105, options: [] } as const;
    const signed = auth.signBindingAcknowledgement({ source: CLIENT, destination: CARE_OF, routingHomeAddress: X, message }, CARE_OF, kbm);
    expect(toHex(encodePacket(signed).slice(-32))).toBe("3b030600ff84000000650069010400000000050c12d592f137924dfe88baa84d");
  });
});

group("keygen tokens, against openssl dgst -sha1 -hmac", () => {
  const kcn = fromHex("000102030405060708090a0b0c0d0e0f10111213");
  const nonce = fromHex("a0a1a2a3a4a5a6a7");

  it("home", () => {
    expect(toHex(auth.homeKeygenToken(kcn, X, nonce))).toBe("026ffae4484b7558");
  });
  it("care-of", () => {
    expect(toHex(auth.careOfKeygenToken(kcn, CARE_OF, nonce))).toBe("c62e9ea241ee422f");
  });
  it("Kbm of the home token alone", () => {
    expect(toHex(auth.bindingManagementKey(fromHex("8fa79127d07e4519")))).toBe("3b4b01ead9563c29e3006bf7f558944c33deaa64");
  });
});

const updates = vectors.filter(({ kbm, packet }) => kbm && packet.message.kind === "bindingUpdate");

group("authenticators made by Python's hmac over scapy's bytes: Binding Updates", () => {
  it.each(updates)("$name", (vector) => {
    const kbm = vector.kbm as Uint8Array;
    const { packet, mobilityHeader } = received(vector);
    expect(auth.verifyBindingUpdate(packet, mobilityHeader, kbm)).toBe(true);
    expect(toHex(encodePacket(auth.signBindingUpdate(without(packet, "bindingAuthorization"), kbm)))).toBe(toHex(vector.bytes));
    expect(auth.signBindingUpdate(packet, kbm)).toEqual(packet);
  });

  it.each(updates)("fail with any byte changed but the checksum: $name", (vector) => {
    const { packet, mobilityHeader } = received(vector);
    const covered = Array.from(mobilityHeader.subarray(0, -12), (_, at) => at);
    const unnoticed = covered.filter((at) => auth.verifyBindingUpdate(packet, flipped(mobilityHeader, at), vector.kbm as Uint8Array));
    expect(unnoticed).toEqual([4, 5]);
  });

  it.each(updates)("fail with another key, correspondent or care-of address: $name", (vector) => {
    const { packet, mobilityHeader } = received(vector);
    const kbm = vector.kbm as Uint8Array;
    expect(auth.verifyBindingUpdate(packet, mobilityHeader, flipped(kbm, 0))).toBe(false);
    expect(auth.verifyBindingUpdate({ ...packet, destination: X }, mobilityHeader, kbm)).toBe(false);
    expect(auth.verifyBindingUpdate({ ...packet, routingHomeAddress: X }, mobilityHeader, kbm)).toBe(false);
  });

  it("are missing: false, not an error", () => {
    const unsigned = vectors.filter(({ packet }) => packet.message.options.every(({ kind }) => kind !== "bindingAuthorization")).map(received);
    const key = new Uint8Array(20);
    expect(unsigned.filter(({ packet, mobilityHeader }) => auth.verifyBindingUpdate(packet, mobilityHeader, key))).toEqual([]);
    expect(unsigned.filter(({ packet, mobilityHeader }) => auth.verifyBindingAcknowledgement(packet, mobilityHeader, CARE_OF, key))).toEqual([]);
    expect(unsigned.filter(({ packet, mobilityHeader }) => auth.verifyRegistration(packet, mobilityHeader, CARE_OF, { spi: 256, key }))).toEqual([]);
  });
});

group("authenticators made by Python's hmac over scapy's bytes: Binding Acknowledgement", () => {
  const vector = vectors.find(({ name }) => name === "signed binding acknowledgement") as Vector;
  const kbm = vector.kbm as Uint8Array;
  const { packet, mobilityHeader } = received(vector);

  it("verifies, and signs to the same bytes", () => {
    expect(auth.verifyBindingAcknowledgement(packet, mobilityHeader, CARE_OF, kbm)).toBe(true);
    expect(toHex(encodePacket(auth.signBindingAcknowledgement(without(packet, "bindingAuthorization"), CARE_OF, kbm)))).toBe(toHex(vector.bytes));
  });

  it("fails with another care-of address, correspondent, key or status", () => {
    expect(auth.verifyBindingAcknowledgement(packet, mobilityHeader, OTHER_CARE_OF, kbm)).toBe(false);
    expect(auth.verifyBindingAcknowledgement({ ...packet, source: X }, mobilityHeader, CARE_OF, kbm)).toBe(false);
    expect(auth.verifyBindingAcknowledgement(packet, mobilityHeader, CARE_OF, flipped(kbm, 19))).toBe(false);
    expect(auth.verifyBindingAcknowledgement(packet, flipped(mobilityHeader, 6), CARE_OF, kbm)).toBe(false);
  });
});

group("RFC 4285 authentication made by Python's hmac over scapy's bytes", () => {
  const registrations = vectors.filter(({ mnHa }) => mnHa);

  it.each(registrations)("$name", (vector) => {
    const key = vector.mnHa as auth.MobilityKey;
    const careOf = vector.careOf ?? CARE_OF;
    const { packet, mobilityHeader } = received(vector);
    expect(auth.verifyRegistration(packet, mobilityHeader, careOf, key)).toBe(true);
    expect(toHex(encodePacket(auth.signRegistration(without(packet, "authentication"), careOf, key)))).toBe(toHex(vector.bytes));
  });

  it.each(registrations)("covers all up to the SPI, and no more: $name", (vector) => {
    const key = vector.mnHa as auth.MobilityKey;
    const { packet, mobilityHeader } = received(vector);
    const option = auth.registrationAuthentication(packet.message);
    const data = toHex(mobilityHeader).indexOf(toHex(option?.data as Uint8Array)) / 2;
    const offsets = Array.from(mobilityHeader, (_, at) => at);
    const unnoticed = offsets.filter((at) => verifies(packet, flipped(mobilityHeader, at), key));
    expect(unnoticed).toEqual(offsets.filter((at) => at === 4 || at === 5 || at >= data));
  });

  it.each(registrations)("fails with another SPI, key, home or care-of address: $name", (vector) => {
    const key = vector.mnHa as auth.MobilityKey;
    const { packet, mobilityHeader } = received(vector);
    expect(auth.verifyRegistration(packet, mobilityHeader, OTHER_CARE_OF, { ...key, spi: 256 })).toBe(false);
    expect(auth.verifyRegistration(packet, mobilityHeader, OTHER_CARE_OF, { ...key, key: flipped(key.key, 3) })).toBe(false);
    expect(auth.verifyRegistration(packet, mobilityHeader, CARE_OF, key)).toBe(false);
    const moved = packet.homeAddress ? { ...packet, homeAddress: CLIENT } : { ...packet, routingHomeAddress: CLIENT };
    expect(auth.verifyRegistration(moved, mobilityHeader, OTHER_CARE_OF, key)).toBe(false);
  });

  /** Some changed bytes are option types and lengths: a header that decodePacket would never have let through. */
  function verifies(packet: MobilityPacket, header: Uint8Array, key: auth.MobilityKey): boolean {
    try {
      return auth.verifyRegistration(packet, header, OTHER_CARE_OF, key);
    } catch {
      return false;
    }
  }
});

it("careOfAddress is the Alternate Care-of Address, else the source", () => {
  const named = (name: string) => vectors.find((vector) => vector.name === name)?.packet as MobilityPacket;
  expect(auth.careOfAddress(named("authenticated registration"))).toBe(OTHER_CARE_OF);
  expect(auth.careOfAddress(named("bare binding update"))).toBe(CARE_OF);
});

group("deregistration", () => {
  const update = (homeAddress: typeof X | undefined, lifetimeUnits: number) =>
    ({
      source: homeAddress ? CARE_OF : X,
      destination: CLIENT,
      ...(homeAddress && { homeAddress }),
      message: {
        kind: "bindingUpdate",
        sequence: 1,
        acknowledge: true,
        homeRegistration: false,
        linkLocalCompatibility: false,
        keyManagement: false,
        lifetimeUnits,
        options: [],
      },
    }) as const;

  it("is signed over the home address", () => {
    expect(auth.authenticatedCareOf(update(X, 0))).toBe(X);
    expect(auth.authenticatedCareOf(update(undefined, 0))).toBe(X);
    expect(auth.authenticatedCareOf(update(X, 1))).toBe(CARE_OF);
  });
});
