import { type Address, addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { decodeIcmp, encodeIcmp, type IcmpError } from "../../src-shared/protocol/wire/icmp.ts";
import { extensionLength, tunnelLength } from "./steering.ts";

const tunnelProtocol = 41;
const routingHeader = 43;
const icmpv6 = 58;
const destinationOptions = 60;
const headerLength = 40;
const smallestMtu = 1280;

/** An error about the packet as it was before we translated it, for whoever sent that. */
export interface RelayedError {
  readonly destination: Address;
  /** Where the packet it is about was going, as its sender saw it. */
  readonly about: Address;
  /** From its IPv6 header on. */
  readonly packet: Uint8Array;
}

/**
 * RFC 6275 §10.4.2, RFC 2473 §8: an ICMPv6 error that quotes a packet with our tunnel header, Home Address option or type 2 routing header,
 * translated back: the quote as it was, a reported MTU less by what we had added. Undefined when the quote is not of that kind, or is itself
 * an ICMPv6 error.
 */
export function translateError(error: Uint8Array): RelayedError | undefined {
  const decoded = decodeIcmp(error);
  if (!decoded.ok) return undefined;
  const { source, message } = decoded.packet;
  const original = untranslate(message.invoking);
  if (!original || original.packet.length < headerLength) return undefined;
  if (original.packet[6] === icmpv6 && (original.packet[headerLength] ?? 0) < 128) return undefined;
  const destination = formatAddress(original.packet, 8);
  const packet = encodeIcmp({ source, destination, message: requote(message, original) });
  return { destination, about: formatAddress(original.packet, 24), packet };
}

/** RFC 8200 §5: what a tunnel entry answers to a packet that does not fit; `mtu` is the link's. */
export function tooBigForTunnel(packet: Uint8Array, source: Address, mtu: number): RelayedError | undefined {
  if (packet.length < headerLength) return undefined;
  if (packet[6] === icmpv6 && (packet[headerLength] ?? 0) < 128) return undefined;
  const destination = formatAddress(packet, 8);
  return { destination, about: formatAddress(packet, 24), packet: encodeIcmp({ source, destination, message: { kind: "packetTooBig", mtu: mtu - tunnelLength, invoking: packet } }) };
}

interface Original {
  readonly packet: Uint8Array;
  /** Bytes that translation had added. */
  readonly added: number;
}

function requote(message: IcmpError, original: Original): IcmpError {
  const invoking = original.packet;
  if (message.kind === "packetTooBig") return { kind: "packetTooBig", mtu: Math.max(smallestMtu, message.mtu - original.added), invoking };
  // A pointer into headers that the sender never made would mislead it: the tunnel's far end is unreachable for it (RFC 2473 §8.1).
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
