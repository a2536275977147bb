import { type Address, addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { isMulticast, isUnspecified } from "../../src-shared/net/scope.ts";
import { decodeIcmp, encodeIcmp, type IcmpError } from "../../src-shared/protocol/wire/icmp.ts";
import { extensionLength, tunnelLength } from "./steering.ts";

const hopByHop = 0;
const tunnelProtocol = 41;
const routingHeader = 43;
const icmpv6 = 58;
const destinationOptions = 60;
const headerLength = 40;
const smallestMtu = 1280;
/** ICMPv6 types below this are errors; the Redirect is no error, but nobody may answer it with one either (RFC 4443 §2.4 (e.2)). */
const firstInformational = 128;
const redirectMessage = 137;
const addressUnreachable = 3;

/** An ICMPv6 error about a packet of ours, in terms of that packet as it was before we translated it. */
export interface TranslatedError {
  /** From and to where the packet went, as its sender sent it. */
  readonly source: Address;
  readonly destination: Address;
  /** What translation had added; `towards` is where the packet really went. */
  readonly added: { readonly kind: "tunnel" | "extension"; readonly towards: Address };
  /** Who sent the error, and to which of our addresses. */
  readonly reporter: Address;
  readonly reportedTo: Address;
  readonly message: IcmpError;
}

/**
 * RFC 6275 §10.4.2, RFC 2473 §8: an ICMPv6 error that quotes a packet with our tunnel header, Home Address option or type 2 routing header,
 * translated back: the quote as it was, a reported MTU less by what we had added. Undefined when the quote is not of that kind, or is itself
 * something that no error may be sent about.
 */
export function translateError(error: Uint8Array): TranslatedError | undefined {
  const decoded = decodeIcmp(error);
  if (!decoded.ok) return undefined;
  const { source: reporter, destination: reportedTo, message } = decoded.packet;
  const original = untranslate(message.invoking);
  // Errors go to the source of what they are about.
  if (!original || formatAddress(message.invoking, 8) !== reportedTo || !mayBeAnswered(original.packet)) return undefined;
  const [source, destination] = [formatAddress(original.packet, 8), formatAddress(original.packet, 24)];
  const towards = formatAddress(message.invoking, 24);
  return { source, destination, added: { kind: original.added === tunnelLength ? "tunnel" : "extension", towards }, reporter, reportedTo, message: requote(message, original) };
}

/** The error for a socket of this host, as if nothing had been translated. */
export function forSocket({ source, reporter, message }: TranslatedError): Uint8Array {
  return encodeIcmp({ source: reporter, destination: source, message });
}

/** The error for a host elsewhere whose packet was in a tunnel of ours: from the tunnel's entry, which is what that host can blame (RFC 2473 §8.1). */
export function forSender({ source, reportedTo, message }: TranslatedError): Uint8Array {
  return encodeIcmp({ source: reportedTo, destination: source, message });
}

/** RFC 8200 §5: what a tunnel entry at `source` answers to a packet that does not fit; `mtu` is the link's. Undefined when RFC 4443 §2.4 (e) forbids one. */
export function tooBigForTunnel(packet: Uint8Array, source: Address, mtu: number): { readonly destination: Address; readonly packet: Uint8Array } | undefined {
  if (packet.length < headerLength || !mayBeAnswered(packet)) return undefined;
  const destination = formatAddress(packet, 8);
  return { destination, packet: encodeIcmp({ source, destination, message: { kind: "packetTooBig", mtu: mtu - tunnelLength, invoking: packet } }) };
}

/** RFC 4443 §3.3: what a tunnel entry at `source` answers when it would have to forward a packet whose hop limit is used up. */
export function hopLimitExceeded(packet: Uint8Array, source: Address): { readonly destination: Address; readonly packet: Uint8Array } | undefined {
  if (packet.length < headerLength || !mayBeAnswered(packet)) return undefined;
  const destination = formatAddress(packet, 8);
  return { destination, packet: encodeIcmp({ source, destination, message: { kind: "timeExceeded", code: 0, invoking: packet } }) };
}

/** RFC 4443 §2.4 (e): no error about an error or a redirect, and none to a source that is not one node. */
function mayBeAnswered(packet: Uint8Array): boolean {
  if (packet.length < headerLength) return false;
  const source = formatAddress(packet, 8);
  if (isMulticast(source) || isUnspecified(source)) return false;
  let next = packet[6] as number;
  let at = headerLength;
  while (next === hopByHop || next === routingHeader || next === destinationOptions) {
    next = packet[at] ?? 59;
    at += 8 * ((packet[at + 1] ?? 0) + 1);
  }
  const type = packet[at] ?? 0;
  return next !== icmpv6 || (type >= firstInformational && type !== redirectMessage);
}

interface Original {
  readonly packet: Uint8Array;
  /** Bytes that translation had added. */
  readonly added: number;
}

function requote(message: IcmpError, original: Original): IcmpError {
  const invoking = original.packet;
  if (message.kind === "packetTooBig") return { kind: "packetTooBig", mtu: Math.max(smallestMtu, message.mtu - original.added), invoking };
  // Whatever goes wrong within a tunnel, for the sender an address is unreachable (RFC 2473 §8.2).
  if (original.added === tunnelLength) return { kind: "destinationUnreachable", code: addressUnreachable, invoking };
  // A pointer into headers that the sender never made would mislead it.
  if (message.kind === "parameterProblem") return { kind: "destinationUnreachable", code: 0, invoking };
  return { ...message, invoking };
}

function untranslate(quoted: Uint8Array): Original | undefined {
  if (quoted.length < headerLength + extensionLength) return undefined;
  const next = quoted[6];
  if (next === tunnelProtocol) return { packet: quoted.subarray(headerLength), added: tunnelLength };
  const isRouting = next === routingHeader && quoted[headerLength + 1] === 2 && quoted[headerLength + 2] === 2;
  const isOption = next === destinationOptions && quoted[headerLength + 1] === 2 && quoted[headerLength + 6] === 0xc9;
  if (!isRouting && !isOption) return undefined;
  const packet = new Uint8Array(quoted.length - extensionLength);
  packet.set(quoted.subarray(0, headerLength));
  packet.set(quoted.subarray(headerLength + extensionLength), headerLength);
  packet[6] = quoted[headerLength] as number;
  packet.set(addressBytes(formatAddress(quoted, headerLength + 8)), isRouting ? 24 : 8);
  const length = (((quoted[4] as number) << 8) | (quoted[5] as number)) - extensionLength;
  packet[4] = (length >> 8) & 0xff;
  packet[5] = length & 0xff;
  return { packet, added: extensionLength };
}
