import { Reader } from "../../bytes/reader.ts";
import type { Address } from "../../net/address.ts";
import { isMulticast, isUnspecified } from "../../net/scope.ts";
import { ParameterProblemError, refusal } from "./decodeReason.ts";
import { readHeaderOptions } from "./homeAddressOption.ts";
import { IPV6_HEADER_LENGTH, NEXT_HEADER_AT, NextHeader, readIpv6Header } from "./ipv6.ts";
import { readRoutingHeader } from "./routingHeader.ts";

/** An IPv6 packet up to its first header that is not an extension header. */
export interface HeaderChain {
  readonly source: Address;
  readonly destination: Address;
  readonly hopLimit: number;
  readonly homeAddress?: Address;
  readonly routingHomeAddress?: Address;
  /** Protocol of what follows, and its range in the packet. */
  readonly upper: number;
  readonly at: number;
  readonly end: number;
}

interface Mobility {
  homeAddress?: Address;
  routingHomeAddress?: Address;
}

/**
 * Walks the extension headers of a packet that starts at its IPv6 header; bytes past its payload length are ignored. `quoted` packets, in
 * ICMP errors, may end early. Throws DecodeError.
 */
export function readHeaderChain(packet: Uint8Array, options: { readonly quoted?: boolean } = {}): HeaderChain {
  const header = readIpv6Header(new Reader(packet));
  const wanted = IPV6_HEADER_LENGTH + header.payloadLength;
  if (wanted > packet.length && !options.quoted) throw refusal("truncated", "payload", `${wanted} bytes wanted, ${packet.length} there`);
  if (isMulticast(header.source) || isUnspecified(header.source)) throw refusal("badAddress", "source address", header.source);
  if (isUnspecified(header.destination)) throw refusal("badAddress", "destination address", header.destination);

  const r = new Reader(packet, IPV6_HEADER_LENGTH, Math.min(wanted, packet.length));
  const mobility: Mobility = {};
  let upper = header.nextHeader;
  let pointer = NEXT_HEADER_AT;
  while (isExtension(upper)) {
    if (upper === NextHeader.hopByHop && pointer !== NEXT_HEADER_AT)
      throw new ParameterProblemError("badExtensionHeader", "next header", 1, pointer);
    pointer = r.at;
    upper = readExtension(upper, r, mobility);
  }
  const { source, destination, hopLimit } = header;
  return { source, destination, hopLimit, ...mobility, upper, at: r.at, end: r.at + r.remaining };
}

function isExtension(nextHeader: number): boolean {
  const { hopByHop, routing, fragment, destinationOptions } = NextHeader;
  return nextHeader === hopByHop || nextHeader === routing || nextHeader === fragment || nextHeader === destinationOptions;
}

/** Reads one extension header into `mobility` and returns its Next Header. */
function readExtension(kind: number, r: Reader, mobility: Mobility): number {
  const at = r.at;
  const next = r.u8("next header");
  if (kind === NextHeader.fragment) {
    readFragmentHeader(r);
    return next;
  }
  const body = r.sub(8 * r.u8("hdr ext len") + 6, "extension header");
  if (kind === NextHeader.routing) {
    // §6.3: the Home Address option comes after the routing header, or nodes on the way would act on it.
    if (mobility.homeAddress !== undefined) throw refusal("badHomeAddress", "home address option", "before a routing header");
    const home = readRoutingHeader(body, at);
    if (home !== undefined && mobility.routingHomeAddress !== undefined) throw refusal("badRoutingHeader", "routing header", "repeated");
    if (home !== undefined) mobility.routingHomeAddress = home;
    return next;
  }
  const home = readHeaderOptions(body);
  if (home !== undefined && (kind === NextHeader.hopByHop || mobility.homeAddress !== undefined))
    throw refusal("badHomeAddress", "home address option", kind === NextHeader.hopByHop ? "hop by hop" : "repeated");
  if (home !== undefined) mobility.homeAddress = home;
  return next;
}

/** RFC 8200 §4.5; a lone fragment that is the whole packet (RFC 6946) passes. */
function readFragmentHeader(r: Reader): void {
  r.skip(1, "reserved");
  const offsetAndMore = r.u16("fragment offset") & 0xfff9;
  r.skip(4, "identification");
  if (offsetAndMore !== 0) throw refusal("fragment", "fragment offset");
}
