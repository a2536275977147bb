import { describe, expect, it } from "vitest";
import { parseAddress } from "../../net/address.ts";
import { upperLayerChecksum } from "../../net/checksum.ts";
import { solicitedNode } from "../../net/scope.ts";
import { decodeNeighbor, encodeNeighbor, type NeighborPacket } from "./neighborDiscovery.ts";

const X = parseAddress("2001:db8:1::7a:b");
const H = parseAddress("2001:db8:1::1");
const none = parseAddress("::");
const link = new Uint8Array([2, 0, 0, 0, 0, 1]);
const nonce = new Uint8Array([1, 2, 3, 4, 5, 6]);

const solicitation: NeighborPacket = { source: H, destination: solicitedNode(X), message: { kind: "neighborSolicitation", target: X, sourceLinkLayer: link, nonce } };
const detection: NeighborPacket = { source: none, destination: solicitedNode(X), message: { kind: "neighborSolicitation", target: X, nonce } };
const advertisement: NeighborPacket = { source: H, destination: parseAddress("ff02::1"), message: { kind: "neighborAdvertisement", target: X, router: false, solicited: false, override: true, targetLinkLayer: link } };

/** The same packet with bytes changed from `at` on, and the checksum made right again. */
function forged(packet: NeighborPacket, at: number, ...bytes: number[]): Uint8Array {
  const out = encodeNeighbor(packet);
  out.set(bytes, at);
  out.set([0, 0], 42);
  const checksum = upperLayerChecksum({ source: packet.source, destination: packet.destination, protocol: 58 }, out.subarray(40));
  out.set([checksum >> 8, checksum & 0xff], 42);
  return out;
}

describe("neighbor discovery", () => {
  it.each([["solicitation", solicitation], ["duplicate address detection", detection], ["advertisement", advertisement]] as const)("%s survives the wire", (_, packet) => {
    const bytes = encodeNeighbor(packet);
    expect(bytes[7]).toBe(255);
    expect(decodeNeighbor(bytes)).toEqual({ ok: true, packet });
    for (let length = 0; length < bytes.length; length++) expect(decodeNeighbor(bytes.subarray(0, length)).ok).toBe(false);
  });

  it("knows the flags apart", () => {
    for (const flag of ["router", "solicited", "override"] as const) {
      const packet = { ...advertisement, destination: H, message: { ...advertisement.message, router: false, solicited: false, override: false, [flag]: true } } as NeighborPacket;
      expect(decodeNeighbor(encodeNeighbor(packet))).toMatchObject({ ok: true, packet: { message: { [flag]: true } } });
    }
  });

  it("is refused, with the reason, by the rules of RFC 4861 §7.1", () => {
    const refused: [Uint8Array, string][] = [
      [forged(solicitation, 7, 254), "badHopLimit"],
      [encodeNeighbor(solicitation).with(42, 1), "badChecksum"],
      [forged(solicitation, 41, 1), "notNeighborDiscovery"],
      [forged(solicitation, 40, 134), "notNeighborDiscovery"],
      [forged(solicitation, 48, 0xff, 2), "badAddress"],
      [forged(solicitation, 65, 0), "badOption"],
      [forged(solicitation, 65, 9), "truncated"],
      [encodeNeighbor({ ...detection, destination: H }), "badAddress"],
      [encodeNeighbor({ ...detection, message: { ...detection.message, sourceLinkLayer: link } as NeighborPacket["message"] }), "badOption"],
      [encodeNeighbor({ ...advertisement, source: none }), "badAddress"],
      [encodeNeighbor({ ...advertisement, message: { ...advertisement.message, solicited: true } as NeighborPacket["message"] }), "badAddress"],
      [encodeNeighbor({ ...advertisement, source: parseAddress("ff02::5") }), "badAddress"],
    ];
    for (const [bytes, reason] of refused) expect(decodeNeighbor(bytes)).toMatchObject({ ok: false, reason });
  });

  it("skips options that it does not know, and takes the first of a kind", () => {
    expect(decodeNeighbor(forged(solicitation, 64, 200))).toMatchObject({ ok: true, packet: { message: { nonce } } });
    const twice = decodeNeighbor(forged(solicitation, 72, 1));
    expect(twice).toMatchObject({ ok: true, packet: { message: { sourceLinkLayer: link } } });
  });

  it("will not be built from link-layer addresses of another length", () => {
    expect(() => encodeNeighbor({ ...detection, message: { ...detection.message, nonce: new Uint8Array(4) } as NeighborPacket["message"] })).toThrow(RangeError);
  });
});
