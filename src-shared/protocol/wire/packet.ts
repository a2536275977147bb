import { DecodeError } from "../../bytes/decodeError.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import type { Address } from "../../net/address.ts";
import { upperLayerChecksum, type ChecksumScope } from "../../net/checksum.ts";
import { isMulticast, isUnspecified, UNSPECIFIED } from "../../net/scope.ts";
import { ParameterProblemError, refusal, type DecodeReason } from "./decodeReason.ts";
import { readHeaderChain, type HeaderChain } from "./headerChain.ts";
import { writeHomeAddressHeader } from "./homeAddressOption.ts";
import { NextHeader, readIpv6Header, writeIpv6Header } from "./ipv6.ts";
import type { MobilityPacket } from "./message.ts";
import {
  claimedLength,
  decodeMobilityHeader,
  encodeMobilityHeader,
  isKnownMobilityType,
  MOBILITY_HEADER,
  mobilityType,
  setChecksum,
} from "./mobilityHeader.ts";
import { writeRoutingHeader } from "./routingHeader.ts";

/** What RFC 6275 §9.2 and RFC 8200 §4.2 ask to send back about a refused packet. Both are subject to rate limits. */
export type DecodeAnswer =
  /** ICMPv6 Parameter Problem from `source` to `destination` about `invoking`, the packet from its own IPv6 header on; see icmp.ts. */
  | {
      readonly kind: "parameterProblem";
      readonly source: Address;
      readonly destination: Address;
      readonly code: 0 | 1 | 2;
      readonly pointer: number;
      readonly invoking: Uint8Array;
    }
  /** Binding Error status 2, ready to send. */
  | { readonly kind: "bindingError"; readonly packet: MobilityPacket };

export type Decoded =
  /** `mobilityHeader` is the Mobility Header as received, which authenticators are computed over; `hopLimit` is that of the header next to it. */
  | { readonly ok: true; readonly packet: MobilityPacket; readonly mobilityHeader: Uint8Array; readonly hopLimit: number }
  | DecodeFailure;

/** `field` names the field at fault; without `answer` the packet is dropped silently. */
export interface DecodeFailure {
  readonly ok: false;
  readonly reason: DecodeReason;
  readonly field: string;
  readonly answer?: DecodeAnswer;
}

const DEFAULT_HOP_LIMIT = 64;

/**
 * The whole packet from its outermost IPv6 header on, padded and with its checksum. `hopLimit` (default 64) goes into each IPv6 header.
 * Throws RangeError when a field does not fit its place on the wire: that is our mistake, never the peer's.
 */
export function encodePacket(packet: MobilityPacket, options: { readonly hopLimit?: number } = {}): Uint8Array {
  if (packet.homeAddress !== undefined && packet.message.kind !== "bindingUpdate")
    throw new RangeError(`a ${packet.message.kind} must not carry a Home Address option (RFC 6275 §6.1)`);
  const hopLimit = options.hopLimit ?? DEFAULT_HOP_LIMIT;
  const mobilityHeader = encodeMobilityHeader(packet.message);
  setChecksum(mobilityHeader, upperLayerChecksum(checksumScope(packet), mobilityHeader));
  const payload = withExtensionHeaders(packet, mobilityHeader);
  const inner = withIpv6Header(packet, hopLimit, payload.nextHeader, payload.bytes);
  return packet.tunnel ? withIpv6Header(packet.tunnel, hopLimit, NextHeader.ipv6, inner) : inner;
}

/** §6.1.1: the pseudo-header has the home address for source when a Home Address option is there, the final destination for destination. */
function checksumScope(packet: Omit<MobilityPacket, "message" | "tunnel">): ChecksumScope {
  return {
    source: packet.homeAddress ?? packet.source,
    destination: packet.routingHomeAddress ?? packet.destination,
    protocol: MOBILITY_HEADER,
  };
}

/** RFC 8200 §4.1: the routing header comes before the destination options that only the final destination reads. */
function withExtensionHeaders(packet: MobilityPacket, mobilityHeader: Uint8Array): { nextHeader: number; bytes: Uint8Array } {
  const w = new Writer();
  const afterRouting = packet.homeAddress === undefined ? MOBILITY_HEADER : NextHeader.destinationOptions;
  if (packet.routingHomeAddress !== undefined) writeRoutingHeader(afterRouting, packet.routingHomeAddress, w);
  if (packet.homeAddress !== undefined) writeHomeAddressHeader(MOBILITY_HEADER, packet.homeAddress, w);
  return { nextHeader: packet.routingHomeAddress === undefined ? afterRouting : NextHeader.routing, bytes: w.put(mobilityHeader).bytes() };
}

function withIpv6Header(
  ends: { readonly source: Address; readonly destination: Address },
  hopLimit: number,
  nextHeader: number,
  payload: Uint8Array,
): Uint8Array {
  const w = new Writer();
  writeIpv6Header({ source: ends.source, destination: ends.destination, hopLimit, nextHeader, payloadLength: payload.length }, w);
  return w.put(payload).bytes();
}

/** Reads a packet from its outermost IPv6 header on. Never throws: whatever is wrong with the bytes becomes a reason. */
export function decodePacket(bytes: Uint8Array): Decoded {
  return orFailure(bytes, () => {
    const outer = readHeaderChain(bytes);
    if (outer.upper !== NextHeader.ipv6) return decodeMessage(bytes, outer);
    if (outer.homeAddress !== undefined || outer.routingHomeAddress !== undefined) throw refusal("badTunnel", "outer extension headers");
    return decodeTunnelled(bytes.subarray(outer.at, outer.end), { source: outer.source, destination: outer.destination });
  });
}

function decodeTunnelled(bytes: Uint8Array, tunnel: NonNullable<MobilityPacket["tunnel"]>): Decoded {
  return orFailure(bytes, () => {
    const chain = readHeaderChain(bytes);
    if (chain.upper === NextHeader.ipv6) throw refusal("badTunnel", "next header", "a tunnel in a tunnel");
    return decodeMessage(bytes, chain, tunnel);
  });
}

/** The checks of §9.2, in their order: checksum, MH type, Payload Proto, Header Len; then the message's own. */
function decodeMessage(bytes: Uint8Array, chain: HeaderChain, tunnel?: MobilityPacket["tunnel"]): Decoded {
  if (chain.upper !== MOBILITY_HEADER) throw refusal("notMobility", "next header", `${chain.upper}`);
  const length = claimedLength(new Reader(bytes, chain.at, chain.end));
  const mobilityHeader = new Reader(bytes, chain.at, chain.end).take(length, "mobility header");
  const { source, destination, hopLimit, homeAddress, routingHomeAddress } = chain;
  const mobility = { ...(homeAddress && { homeAddress }), ...(routingHomeAddress && { routingHomeAddress }), ...(tunnel && { tunnel }) };
  const ends = { source, destination, ...mobility };

  if (upperLayerChecksum(checksumScope(ends), mobilityHeader) !== 0) throw refusal("badChecksum", "checksum");
  if (!isKnownMobilityType(mobilityType(mobilityHeader))) return unknownType(chain, mobilityType(mobilityHeader));
  const message = decodeMobilityHeader(mobilityHeader, chain.at);
  if (homeAddress !== undefined && message.kind !== "bindingUpdate") throw refusal("badHomeAddress", "home address option", message.kind);
  return { ok: true, packet: { ...ends, message }, mobilityHeader, hopLimit };
}

/** §9.3.3: to the IPv6 source, with the home address of the packet or the unspecified address. */
function unknownType(chain: HeaderChain, type: number): DecodeFailure {
  const failure = { ok: false, reason: "unknownMobilityType", field: `MH type ${type}` } as const;
  if (isMulticast(chain.destination)) return failure;
  const message = { kind: "bindingError", status: 2, homeAddress: chain.homeAddress ?? UNSPECIFIED, options: [] } as const;
  return { ...failure, answer: { kind: "bindingError", packet: { source: chain.destination, destination: chain.source, message } } };
}

/** Turns refusals into failures; `bytes` is the packet, from its IPv6 header on, that an ICMP error would be about. */
function orFailure(bytes: Uint8Array, decode: () => Decoded): Decoded {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    // Reader throws only "truncated", everything else here comes from refusal() and ParameterProblemError: all of them DecodeReasons.
    const failure = { ok: false, reason: error.code as DecodeReason, field: error.field } as const;
    const answer = error instanceof ParameterProblemError ? parameterProblem(error, bytes) : undefined;
    return answer ? { ...failure, answer } : failure;
  }
}

/** RFC 4443 §2.4 (e): no error about packets to a multicast address (its two exceptions do not concern signalling). */
function parameterProblem(error: ParameterProblemError, invoking: Uint8Array): DecodeAnswer | undefined {
  const { source, destination } = readIpv6Header(new Reader(invoking));
  if (isMulticast(source) || isUnspecified(source) || isMulticast(destination)) return undefined;
  return { kind: "parameterProblem", source: destination, destination: source, code: error.problem, pointer: error.pointer, invoking: invoking.slice() };
}
