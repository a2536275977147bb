import { formatAddress, type Address } from "../../src-shared/net/address.ts";

const icmpv6 = 58;
const ipLength = 40;
const errorLength = 8;

/**
 * Whose packet to a home address this is: its sender's, or, for an ICMPv6 error about a packet of that home address, the one's to whom that packet
 * was sent. `packet` starts at its IPv6 header, next to which the upper layer begins.
 */
export function clientOf(packet: Uint8Array): Address {
  return formatAddress(packet, clientOffset(packet, 0));
}

/** Where in `bytes` that client's address lies, for a packet at `at`. */
export function clientOffset(bytes: Uint8Array, at: number): number {
  const type = bytes[at + ipLength] ?? 0;
  const quoted = at + ipLength + errorLength;
  if (bytes[at + 6] !== icmpv6 || type < 1 || type > 4 || bytes.length < quoted + ipLength) return at + 8;
  for (let i = 0; i < 16; i++) if (bytes[quoted + 8 + i] !== bytes[at + 24 + i]) return at + 8;
  return quoted + 24;
}
