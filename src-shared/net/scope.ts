import { parseAddress, type Address } from "./address.ts";

export const UNSPECIFIED: Address = parseAddress("::");

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
