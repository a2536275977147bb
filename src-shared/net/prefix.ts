import { addressBytes, formatAddress, parseAddress, type Address } from "./address.ts";

/** An IPv6 prefix: `length` leading bits (0..128) of `address`, whose other bits are zero. */
export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

/** Parses `address/length`. Throws RangeError naming the text and, when bits beyond the length are set, the prefix that was likely meant. */
export function parsePrefix(text: string): Prefix {
  const [address, digits, ...more] = text.split("/");
  if (address === undefined || digits === undefined || more.length > 0 || !/^\d{1,3}$/.test(digits) || Number(digits) > 128)
    throw new RangeError(`not an IPv6 prefix: "${text}" (write it as 2001:db8::/64)`);
  const length = Number(digits);
  const prefix = prefixOf(parseAddress(address), length);
  if (prefix.address !== parseAddress(address)) throw new RangeError(`bits beyond /${length} are set in "${text}": did you mean ${formatPrefix(prefix)}?`);
  return prefix;
}

/** The prefix of `length` bits that `address` lies in. */
export function prefixOf(address: Address, length: number): Prefix {
  const bytes = addressBytes(address);
  for (let i = 0; i < 16; i++) bytes[i] = (bytes[i] as number) & maskByte(length, i);
  return { address: formatAddress(bytes), length };
}

export function prefixContains(prefix: Prefix, address: Address): boolean {
  return prefixOf(address, prefix.length).address === prefix.address;
}

export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address}/${prefix.length}`;
}

/** Byte `index` of the mask with `length` leading ones. */
function maskByte(length: number, index: number): number {
  const ones = Math.min(8, Math.max(0, length - 8 * index));
  return (0xff << (8 - ones)) & 0xff;
}
