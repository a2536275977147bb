import { describe as group, expect, it } from "vitest";
import { addressBytes, parseAddress } from "../../net/address.ts";
import { fromHex, loadVectors, toHex } from "../../../test/vectors/vectors.ts";
import { decodePacket, encodePacket } from "./packet.ts";

const vectors = loadVectors();

/** Every vector ends in its Mobility Header, which starts with payload proto 59, its own length, and a type below 8. */
function mobilityHeaderLength(bytes: Uint8Array): number {
  for (let length = 8; length < bytes.length; length += 8) {
    const [proto, headerLength, type, reserved] = bytes.slice(-length);
    if (proto === 59 && headerLength === length / 8 - 1 && (type as number) < 8 && reserved === 0) return length;
  }
  throw new Error("no Mobility Header");
}

group("packets built by scapy", () => {
  it.each(vectors)("decode: $name", ({ bytes, packet }) => {
    expect(decodePacket(bytes)).toEqual({ ok: true, packet, hopLimit: 64, mobilityHeader: bytes.slice(-mobilityHeaderLength(bytes)) });
  });

  it.each(vectors)("encode to the same bytes: $name", ({ bytes, packet }) => {
    expect(toHex(encodePacket(packet))).toBe(toHex(bytes));
  });

  it("cover every message and option", () => {
    const messages = new Set(vectors.map(({ packet }) => packet.message.kind));
    const options = new Set(vectors.flatMap(({ packet }) => packet.message.options.map(({ kind }) => kind)));
    expect(messages.size).toBe(8);
    expect(options.size).toBe(8);
  });
});

group("damaged packets", () => {
  it.each(vectors)("cut at any length are truncated: $name", ({ bytes }) => {
    const reasons = new Set(lengthsBelow(bytes.length).map((length) => reason(bytes.slice(0, length))));
    expect(reasons).toEqual(new Set(["truncated"]));
  });

  it.each(vectors.filter(({ packet }) => !packet.tunnel))("cut at any length, with a payload length that agrees, are refused: $name", ({ bytes }) => {
    const accepted = lengthsBelow(bytes.length).filter((length) => {
      const cut = bytes.slice(0, length);
      if (length >= 40) new DataView(cut.buffer).setUint16(4, length - 40);
      return reason(cut) === "none";
    });
    expect(accepted).toEqual([]);
  });

  it.each(vectors)("with one bit of the Mobility Header flipped fail the checksum: $name", ({ bytes }) => {
    const start = bytes.length - mobilityHeaderLength(bytes);
    const bits = lengthsBelow(8 * (bytes.length - start)).map((bit) => 8 * start + bit);
    // A header of another length is another sum, or cut off.
    const outsideLength = bits.filter((bit) => bit >> 3 !== start + 1);
    const reasons = new Set(outsideLength.map((bit) => reason(withBitFlipped(bytes, bit))));
    expect(reasons).toEqual(new Set(["badChecksum"]));
  });

  it("ignore what follows the payload length", () => {
    const read = vectors.map(({ bytes }) => decodePacket(Uint8Array.of(...bytes, 1, 2, 3)));
    expect(read).toEqual(vectors.map(({ bytes }) => decodePacket(bytes)));
  });
});

function lengthsBelow(length: number): number[] {
  return Array.from({ length }, (_, i) => i);
}

function reason(bytes: Uint8Array): string {
  const decoded = decodePacket(bytes);
  return decoded.ok ? "none" : decoded.reason;
}

function withBitFlipped(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}

group("messages of a stock correspondent", () => {
  const X = parseAddress("2001:db8:f::1");
  const CLIENT = parseAddress("2001:db8:1::10");
  const CARE_OF = parseAddress("2001:db8:2::21");
  /** An IPv6 packet around `header`, with hop limit 64. */
  const ipv6 = (header: string, source: string, destination: string) =>
    fromHex(`60000000${(header.length / 2).toString(16).padStart(4, "0")}8740${address(source)}${address(destination)}${header}`);
  const address = (text: string) => toHex(addressBytes(text));

  it("home test", () => {
    const decoded = decodePacket(ipv6("3b0203000e9f00018cd17f54c8ab4bf28fa79127d07e4519", CLIENT, X));
    const message = { kind: "homeTest", nonceIndex: 1, cookie: fromHex("8cd17f54c8ab4bf2"), token: fromHex("8fa79127d07e4519"), options: [] };
    expect(decoded).toMatchObject({ ok: true, packet: { source: CLIENT, destination: X, message } });
  });

  it("care-of test", () => {
    const decoded = decodePacket(ipv6("3b0204001a5400011d8303fbe2160dd1535c375ed637d80a", CLIENT, CARE_OF));
    const message = { kind: "careOfTest", nonceIndex: 1, cookie: fromHex("1d8303fbe2160dd1"), token: fromHex("535c375ed637d80a"), options: [] };
    expect(decoded).toMatchObject({ ok: true, packet: { message } });
  });

  it("binding acknowledgement, whose checksum is over the home address", () => {
    const header = "3b030600ff84000000650069010400000000050c12d592f137924dfe88baa84d";
    const routingHeader = `8702020100000000${address(X)}`;
    const bytes = ipv6(routingHeader + header, CLIENT, CARE_OF);
    bytes[6] = 43;
    const decoded = decodePacket(bytes);
    const options = [{ kind: "bindingAuthorization", authenticator: fromHex("12d592f137924dfe88baa84d") }] as const;
    const message = { kind: "bindingAcknowledgement", status: 0, keyManagement: false, sequence: 101, lifetimeUnits: 105, options } as const;
    const packet = { source: CLIENT, destination: CARE_OF, routingHomeAddress: X, message };
    expect(decoded).toMatchObject({ ok: true, packet });
    expect(toHex(encodePacket(packet))).toBe(toHex(bytes));
  });
});
