import type { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import { addressBytes, formatAddress, type Address } from "../../net/address.ts";
import { refusal } from "./decodeReason.ts";

export const IPV6_HEADER_LENGTH = 40;
/** Where the Next Header field lies in the IPv6 header. */
export const NEXT_HEADER_AT = 6;

/** Next Header numbers (IANA "Assigned Internet Protocol Numbers"). */
export const NextHeader = { hopByHop: 0, ipv6: 41, routing: 43, fragment: 44, icmp: 58, destinationOptions: 60 } as const;

export interface Ipv6Header {
  readonly source: Address;
  readonly destination: Address;
  readonly hopLimit: number;
  readonly nextHeader: number;
  /** Bytes after this header. */
  readonly payloadLength: number;
}

/** RFC 8200 §3: | version 4 | traffic class 8 | flow label 20 | payload length 16 | next header 8 | hop limit 8 | source 128 | destination 128 | */
export function readIpv6Header(r: Reader): Ipv6Header {
  if (r.u8("version") >>> 4 !== 6) throw refusal("notIpv6", "version");
  r.skip(3, "flow label");
  const payloadLength = r.u16("payload length");
  const nextHeader = r.u8("next header");
  const hopLimit = r.u8("hop limit");
  const source = formatAddress(r.take(16, "source address"));
  const destination = formatAddress(r.take(16, "destination address"));
  return { source, destination, hopLimit, nextHeader, payloadLength };
}

/** Traffic class and flow label are 0. */
export function writeIpv6Header(header: Ipv6Header, w: Writer): void {
  w.u32(0x6000_0000).u16(header.payloadLength).u8(header.nextHeader).u8(header.hopLimit);
  w.put(addressBytes(header.source)).put(addressBytes(header.destination));
}

/** RFC 2473: the whole packet inside an IPv6-in-IPv6 tunnel. */
export function encapsulate(packet: Uint8Array, tunnel: { readonly source: Address; readonly destination: Address }, hopLimit = 64): Uint8Array {
  const w = new Writer();
  writeIpv6Header({ ...tunnel, hopLimit, nextHeader: NextHeader.ipv6, payloadLength: packet.length }, w);
  return w.put(packet).bytes();
}
