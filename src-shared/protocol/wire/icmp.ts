import { DecodeError } from "../../bytes/decodeError.ts";
import { Reader } from "../../bytes/reader.ts";
import { Writer } from "../../bytes/writer.ts";
import type { Address } from "../../net/address.ts";
import { upperLayerChecksum } from "../../net/checksum.ts";
import { refusal, type DecodeReason } from "./decodeReason.ts";
import { readHeaderChain } from "./headerChain.ts";
import { IPV6_HEADER_LENGTH, NextHeader, writeIpv6Header } from "./ipv6.ts";
import { MOBILITY_HEADER } from "./mobilityHeader.ts";

/** ICMPv6 errors, RFC 4443 §3. `invoking` is as much of the packet they are about, from its IPv6 header on, as was carried. */
export type IcmpError =
  | { readonly kind: "destinationUnreachable"; readonly code: number; readonly invoking: Uint8Array }
  /** `mtu` in bytes, 32 bits. */
  | { readonly kind: "packetTooBig"; readonly mtu: number; readonly invoking: Uint8Array }
  | { readonly kind: "timeExceeded"; readonly code: number; readonly invoking: Uint8Array }
  /** `code` 0 erroneous field, 1 unrecognised next header, 2 unrecognised option; `pointer` counts from the start of `invoking`. */
  | { readonly kind: "parameterProblem"; readonly code: number; readonly pointer: number; readonly invoking: Uint8Array };

export interface IcmpPacket {
  readonly source: Address;
  readonly destination: Address;
  readonly message: IcmpError;
}

export type DecodedIcmp =
  | { readonly ok: true; readonly packet: IcmpPacket }
  | { readonly ok: false; readonly reason: DecodeReason; readonly field: string };

const TYPES = { destinationUnreachable: 1, packetTooBig: 2, timeExceeded: 3, parameterProblem: 4 } as const;
const CHECKSUM_AT = 2;
const ICMP_HEADER_LENGTH = 8;
/** The IPv6 minimum MTU: an error quotes no more than fits, RFC 4443 §2.4 (c). */
const MINIMUM_MTU = 1280;

/** The whole packet from its IPv6 header on, with its checksum; `invoking` is cut to the minimum MTU. Throws RangeError when a field does not fit. */
export function encodeIcmp(packet: IcmpPacket, options: { readonly hopLimit?: number } = {}): Uint8Array {
  const { source, destination, message } = packet;
  const body = new Writer();
  body.u8(TYPES[message.kind]).u8(message.kind === "packetTooBig" ? 0 : message.code);
  body.u16(0).u32(fourBytes(message));
  body.put(message.invoking.subarray(0, MINIMUM_MTU - IPV6_HEADER_LENGTH - ICMP_HEADER_LENGTH));
  const payload = body.bytes();
  const checksum = upperLayerChecksum({ source, destination, protocol: NextHeader.icmp }, payload);
  new DataView(payload.buffer).setUint16(CHECKSUM_AT, checksum);
  const w = new Writer();
  writeIpv6Header({ source, destination, hopLimit: options.hopLimit ?? 64, nextHeader: NextHeader.icmp, payloadLength: payload.length }, w);
  return w.put(payload).bytes();
}

/** RFC 4443 §3: | type 8 | code 8 | checksum 16 | unused, MTU or pointer 32 | invoking packet… | */
function fourBytes(message: IcmpError): number {
  if (message.kind === "packetTooBig") return message.mtu;
  return message.kind === "parameterProblem" ? message.pointer : 0;
}

/** Reads an ICMPv6 error from its IPv6 header on. Never throws: whatever is wrong, or another ICMPv6 message, becomes a reason. */
export function decodeIcmp(bytes: Uint8Array): DecodedIcmp {
  try {
    const { source, destination, upper, at, end } = readHeaderChain(bytes);
    if (upper !== NextHeader.icmp) throw refusal("notIcmpError", "next header", `${upper}`);
    const payload = bytes.subarray(at, end);
    if (upperLayerChecksum({ source, destination, protocol: NextHeader.icmp }, payload) !== 0) throw refusal("badChecksum", "checksum");
    return { ok: true, packet: { source, destination, message: readError(new Reader(payload)) } };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { ok: false, reason: error.code as DecodeReason, field: error.field };
  }
}

function readError(r: Reader): IcmpError {
  const type = r.u8("type");
  const code = r.u8("code");
  const value = r.skip(2, "checksum").u32("message body");
  const invoking = r.rest("invoking packet");
  switch (type) {
    case TYPES.destinationUnreachable:
      return { kind: "destinationUnreachable", code, invoking };
    case TYPES.packetTooBig:
      return { kind: "packetTooBig", mtu: value, invoking };
    case TYPES.timeExceeded:
      return { kind: "timeExceeded", code, invoking };
    case TYPES.parameterProblem:
      return { kind: "parameterProblem", code, pointer: value, invoking };
    default:
      throw refusal("notIcmpError", "type", `${type}`);
  }
}

/** What a quoted packet says about itself: enough to find the binding it belonged to. */
export interface Quoted {
  readonly source: Address;
  readonly destination: Address;
  readonly homeAddress?: Address;
  readonly routingHomeAddress?: Address;
  /** Next Header of what follows the extension headers: 6 TCP, 17 UDP, 41 a tunnel, 135 a Mobility Header. */
  readonly upper: number;
  /** Where that starts in the quote. */
  readonly at: number;
  /** MH type, when `upper` is 135 and the quote reaches that far. */
  readonly mobilityType?: number;
}

/** Reads the start of `invoking`, which may end early; undefined when its headers are not all there or not well formed. */
export function readQuoted(invoking: Uint8Array): Quoted | undefined {
  try {
    const { source, destination, homeAddress, routingHomeAddress, upper, at, end } = readHeaderChain(invoking, { quoted: true });
    const type = upper === MOBILITY_HEADER && at + 3 <= end ? invoking[at + 2] : undefined;
    return {
      source,
      destination,
      ...(homeAddress && { homeAddress }),
      ...(routingHomeAddress && { routingHomeAddress }),
      upper,
      at,
      ...(type !== undefined && { mobilityType: type }),
    };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
