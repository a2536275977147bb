import { addressBytes, type Address } from "./address.ts";

/** What the pseudo-header of RFC 8200 §8.1 covers besides the upper-layer bytes. */
export interface ChecksumScope {
  readonly source: Address;
  /** The final destination: that of a routing header when there is one. */
  readonly destination: Address;
  /** The upper layer's own number, whatever extension headers precede it. */
  readonly protocol: number;
}

/**
 * Internet checksum over pseudo-header and `bytes`, 0..65535. To make one, leave the checksum field zero; to check one, leave it as
 * received: right is then 0.
 */
export function upperLayerChecksum(scope: ChecksumScope, bytes: Uint8Array): number {
  const total =
    wordSum(addressBytes(scope.source)) + wordSum(addressBytes(scope.destination)) + lengthSum(bytes.length) + scope.protocol + wordSum(bytes);
  return ~fold(total) & 0xffff;
}

function lengthSum(length: number): number {
  return (length >>> 16) + (length & 0xffff);
}

/** Sum of the 16-bit words, an odd last byte padded with zero. Exact: 2^37 words would be needed to leave the safe integers. */
function wordSum(bytes: Uint8Array): number {
  let total = 0;
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) total += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  return even < bytes.length ? total + ((bytes[even] as number) << 8) : total;
}

function fold(total: number): number {
  while (total > 0xffff) total = Math.floor(total / 0x1_0000) + (total % 0x1_0000);
  return total;
}
