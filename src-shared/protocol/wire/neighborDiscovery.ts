import { DecodeError } from "../../bytes/decodeError.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { addressBytes, formatAddress, type Address } from "../../net/address.ts";
import { upperLayerChecksum } from "../../net/checksum.ts";
import { isMulticast, isUnspecified, solicitedNode } from "../../net/scope.ts";
import { refusal, type DecodeReason } from "./decodeReason.ts";
import { IPV6_HEADER_LENGTH, NextHeader, readIpv6Header, writeIpv6Header } from "./ipv6.ts";

/** RFC 4861 §4.3 | type 135 | code 0 | checksum 16 | reserved 32 | target 128 | options… | */
export interface NeighborSolicitation {
  readonly kind: "neighborSolicitation";
  readonly target: Address;
  /** Ethernet address of the sender, 6 bytes. Not in duplicate address detection. */
  readonly sourceLinkLayer?: Uint8Array;
  /** RFC 7527: 6 random bytes, by which a sender knows its own solicitation again. */
  readonly nonce?: Uint8Array;
}

/** RFC 4861 §4.4 | type 136 | code 0 | checksum 16 | R S O reserved 29 | target 128 | options… | */
export interface NeighborAdvertisement {
  readonly kind: "neighborAdvertisement";
  readonly target: Address;
  readonly router: boolean;
  readonly solicited: boolean;
  readonly override: boolean;
  readonly targetLinkLayer?: Uint8Array;
}

export interface NeighborPacket {
  readonly source: Address;
  readonly destination: Address;
  readonly message: NeighborSolicitation | NeighborAdvertisement;
}

export type DecodedNeighbor =
  | { readonly ok: true; readonly packet: NeighborPacket }
  | { readonly ok: false; readonly reason: DecodeReason; readonly field: string };

export const NEIGHBOR_SOLICITATION = 135;
export const NEIGHBOR_ADVERTISEMENT = 136;
/** Only a neighbour can send a packet that arrives with it (RFC 4861 §3.1). */
const HOP_LIMIT = 255;
const CHECKSUM_AT = 2;
const OPTION = { sourceLinkLayer: 1, targetLinkLayer: 2, nonce: 14 } as const;
const FLAG = { router: 0x8000_0000, solicited: 0x4000_0000, override: 0x2000_0000 } as const;

/** The whole packet from its IPv6 header on, with its checksum. Throws RangeError for a link-layer address or nonce that is not 6 bytes long. */
export function encodeNeighbor({ source, destination, message }: NeighborPacket): Uint8Array {
  const body = new Writer();
  body.u8(message.kind === "neighborSolicitation" ? NEIGHBOR_SOLICITATION : NEIGHBOR_ADVERTISEMENT).u8(0).u16(0);
  body.u32(message.kind === "neighborSolicitation" ? 0 : flagsOf(message)).put(addressBytes(message.target));
  for (const [type, value] of optionsOf(message)) {
    if (value.length !== 6) throw new RangeError(`a Neighbor Discovery option here has 6 bytes, not ${value.length}`);
    body.u8(type).u8(1).put(value);
  }
  const payload = body.bytes();
  const checksum = upperLayerChecksum({ source, destination, protocol: NextHeader.icmp }, payload);
  new DataView(payload.buffer).setUint16(CHECKSUM_AT, checksum);
  const w = new Writer();
  writeIpv6Header({ source, destination, hopLimit: HOP_LIMIT, nextHeader: NextHeader.icmp, payloadLength: payload.length }, w);
  return w.put(payload).bytes();
}

function flagsOf(message: NeighborAdvertisement): number {
  return ((message.router ? FLAG.router : 0) | (message.solicited ? FLAG.solicited : 0) | (message.override ? FLAG.override : 0)) >>> 0;
}

function optionsOf(message: NeighborPacket["message"]): (readonly [number, Uint8Array])[] {
  if (message.kind === "neighborAdvertisement") return message.targetLinkLayer ? [[OPTION.targetLinkLayer, message.targetLinkLayer]] : [];
  const { sourceLinkLayer, nonce } = message;
  return [...(sourceLinkLayer ? [[OPTION.sourceLinkLayer, sourceLinkLayer] as const] : []), ...(nonce ? [[OPTION.nonce, nonce] as const] : [])];
}

/** Reads a solicitation or advertisement from its IPv6 header on, by the rules of RFC 4861 §7.1. Never throws: whatever is wrong becomes a reason. */
export function decodeNeighbor(bytes: Uint8Array): DecodedNeighbor {
  try {
    return { ok: true, packet: readPacket(bytes) };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { ok: false, reason: error.code as DecodeReason, field: error.field };
  }
}

function readPacket(bytes: Uint8Array): NeighborPacket {
  const { source, destination, hopLimit, nextHeader, payloadLength } = readIpv6Header(new Reader(bytes));
  if (nextHeader !== NextHeader.icmp) throw refusal("notNeighborDiscovery", "next header", `${nextHeader}`);
  if (hopLimit !== HOP_LIMIT) throw refusal("badHopLimit", "hop limit", `${hopLimit}`);
  const end = IPV6_HEADER_LENGTH + payloadLength;
  if (end > bytes.length) throw refusal("truncated", "payload");
  if (isMulticast(source)) throw refusal("badAddress", "source address", source);
  const payload = bytes.subarray(IPV6_HEADER_LENGTH, end);
  if (upperLayerChecksum({ source, destination, protocol: NextHeader.icmp }, payload) !== 0) throw refusal("badChecksum", "checksum");
  return { source, destination, message: readMessage(new Reader(payload), source, destination) };
}

function readMessage(r: Reader, source: Address, destination: Address): NeighborPacket["message"] {
  const type = r.u8("type");
  if (type !== NEIGHBOR_SOLICITATION && type !== NEIGHBOR_ADVERTISEMENT) throw refusal("notNeighborDiscovery", "type", `${type}`);
  if (r.u8("code") !== 0) throw refusal("notNeighborDiscovery", "code");
  const flags = r.skip(2, "checksum").u32("flags");
  const target = formatAddress(r.take(16, "target address"));
  if (isMulticast(target)) throw refusal("badAddress", "target address", target);
  const options = readOptions(r);
  if (type === NEIGHBOR_SOLICITATION) return solicitation(source, destination, target, options);
  const solicited = (flags & FLAG.solicited) !== 0;
  if (isUnspecified(source)) throw refusal("badAddress", "source address", source);
  if (solicited && isMulticast(destination)) throw refusal("badAddress", "destination address", "solicited, but multicast");
  const targetLinkLayer = options.get(OPTION.targetLinkLayer);
  return { kind: "neighborAdvertisement", target, router: (flags & FLAG.router) !== 0, solicited, override: (flags & FLAG.override) !== 0, ...(targetLinkLayer && { targetLinkLayer }) };
}

/** From the unspecified address it can only be duplicate address detection, which goes to the solicited-node address and names no sender. */
function solicitation(source: Address, destination: Address, target: Address, options: ReadonlyMap<number, Uint8Array>): NeighborSolicitation {
  const sourceLinkLayer = options.get(OPTION.sourceLinkLayer);
  const nonce = options.get(OPTION.nonce);
  if (isUnspecified(source)) {
    if (destination !== solicitedNode(target)) throw refusal("badAddress", "destination address", destination);
    if (sourceLinkLayer) throw refusal("badOption", "source link-layer address");
  }
  return { kind: "neighborSolicitation", target, ...(sourceLinkLayer && { sourceLinkLayer }), ...(nonce && { nonce }) };
}

/** | type 8 | length 8, in units of 8 bytes | … |; unknown ones are skipped, the first of a kind counts. */
function readOptions(r: Reader): ReadonlyMap<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  while (r.remaining > 0) {
    const type = r.u8("option type");
    const length = r.u8("option length");
    if (length === 0) throw refusal("badOption", "option length");
    const value = r.take(8 * length - 2, "option");
    if (!found.has(type)) found.set(type, value);
  }
  return found;
}
