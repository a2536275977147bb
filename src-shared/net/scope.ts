import { addressBytes, formatAddress, parseAddress, type Address } from "./address.ts";

export const UNSPECIFIED: Address = parseAddress("::");
export const ALL_NODES: Address = parseAddress("ff02::1");

/** RFC 4291 §2.7.1: ff02::1:ff with the last 24 bits of the address, where its holder hears who asks for it. */
export function solicitedNode(address: Address): Address {
  const bytes = addressBytes("ff02::1:ff00:0");
  bytes.set(addressBytes(address).subarray(13), 13);
  return formatAddress(bytes);
}

/** ff00::/8 */
export function isMulticast(address: Address): boolean {
  return /^ff[0-9a-f]{2}:/.test(address);
}

/** fe80::/10 */
export function isLinkLocal(address: Address): boolean {
  return /^fe[89ab][0-9a-f]:/.test(address);
}

export function isUnspecified(address: Address): boolean {
  return address === UNSPECIFIED;
}

/** RFC 6275 §3.1, "unicast routable address": a packet can be routed to it from another link. */
export function isUnicastRoutable(address: Address): boolean {
  return !isMulticast(address) && !isLinkLocal(address) && !isUnspecified(address) && address !== "::1" && !isIpv4Mapped(address);
}

/** ::ffff:0:0/96, never on the wire (RFC 4038 §4.2). */
function isIpv4Mapped(address: Address): boolean {
  return /^::ffff:[0-9a-f]+:[0-9a-f]+$/.test(address);
}
