import type { Address } from "../../net/address.ts";
import type { MobilityPacket } from "./message.ts";

/** Why a packet was refused. Stable: counters, events and tests use these words. */
export type DecodeReason =
  /** The bytes end before the field does. */
  | "truncated"
  /** Not an IPv6 packet. */
  | "notIpv6"
  /** Well formed, but carries something else than a Mobility Header. */
  | "notMobility"
  /** A fragment: reassembly happens below us. */
  | "fragment"
  /** More than one IPv6-in-IPv6 header, or mobility extension headers outside the inner packet. */
  | "badTunnel"
  /** An extension header or destination option that RFC 8200 says to refuse. */
  | "badExtensionHeader"
  /** Home Address option: wrong length, repeated, not a unicast routable address, or on a message that must not carry one (§6.3, §9.4). */
  | "badHomeAddress"
  /** Type 2 routing header without exactly one unicast routable address and one segment left (§6.4). */
  | "badRoutingHeader"
  | "badChecksum"
  /** MH type that we do not know: answered with Binding Error status 2 (§9.2). */
  | "unknownMobilityType"
  /** Payload Proto is not 59 (§9.2). */
  | "badPayloadProto"
  /** Header Len smaller than the message type needs (§9.2). */
  | "headerTooShort"
  /** A known mobility option of the wrong length, or one where it must not be (§6.2). */
  | "badOption";

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
  /** `field` names the field at fault; without `answer` the packet is dropped silently. */
  | { readonly ok: false; readonly reason: DecodeReason; readonly field: string; readonly answer?: DecodeAnswer };

/**
 * The whole packet from its outermost IPv6 header on, padded and with its checksum. `hopLimit` (default 64) goes into each IPv6 header.
 * Throws RangeError when a field does not fit its place on the wire: that is our mistake, never the peer's.
 */
export function encodePacket(_packet: MobilityPacket, _options: { readonly hopLimit?: number } = {}): Uint8Array {
  throw new Error("not written yet");
}

/** Reads a packet from its outermost IPv6 header on. Never throws: whatever is wrong with the bytes becomes a reason. */
export function decodePacket(_bytes: Uint8Array): Decoded {
  throw new Error("not written yet");
}
