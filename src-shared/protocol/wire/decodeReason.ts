import { DecodeError } from "../../bytes/decodeError.ts";

/** Why a packet was refused. Stable: counters, events and tests use these words. */
export type DecodeReason =
  /** The bytes end before the field does. */
  | "truncated"
  /** Not an IPv6 packet. */
  | "notIpv6"
  /** A source or destination that no such packet can have: multicast or unspecified. */
  | "badAddress"
  /** Well formed, but carries something else than was looked for (a Mobility Header, an ICMPv6 error). */
  | "notMobility"
  | "notIcmpError"
  | "notNeighborDiscovery"
  /** Neighbor Discovery that may have crossed a router (RFC 4861 §7.1). */
  | "badHopLimit"
  /** A fragment: reassembly happens below us. */
  | "fragment"
  /** More than one IPv6-in-IPv6 header, or mobility extension headers outside the inner packet. */
  | "badTunnel"
  /** An extension header or destination option that RFC 8200 says to refuse. */
  | "badExtensionHeader"
  /** Home Address option: wrong length, repeated, misplaced, not a unicast routable address, or on a message that must not carry one (§6.1, §6.3, §9.4). */
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
  /** A known mobility option of the wrong length, with an impossible value, repeated, or where it must not be (§6.2). */
  | "badOption";

/** A DecodeError that nobody is told about: the packet is dropped silently. */
export function refusal(reason: DecodeReason, field: string, detail?: string): DecodeError<DecodeReason> {
  return new DecodeError(reason, field, detail);
}

/** A refusal that RFC 8200 or RFC 6275 §9.2 ask to answer with an ICMPv6 Parameter Problem. */
export class ParameterProblemError extends DecodeError<DecodeReason> {
  /** 0 erroneous header field, 1 unrecognised next header, 2 unrecognised option. */
  readonly problem: 0 | 1 | 2;
  /** Offset of the octet at fault from the start of its IPv6 header. */
  readonly pointer: number;

  constructor(reason: DecodeReason, field: string, problem: 0 | 1 | 2, pointer: number) {
    super(reason, field);
    this.problem = problem;
    this.pointer = pointer;
  }
}
