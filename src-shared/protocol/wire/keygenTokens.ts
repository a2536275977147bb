import { hash } from "node:crypto";
import { addressBytes, type Address } from "../../net/address.ts";
import { hmacSha1 } from "./hmacSha1.ts";

/** Kcn, §5.2.2: the correspondent's secret, 20 bytes. */
export type NodeKey = Uint8Array;

/** Home keygen token, §5.2.5: First(64, HMAC_SHA1(Kcn, home address | nonce | 0)), 8 bytes. */
export function homeKeygenToken(kcn: NodeKey, home: Address, nonce: Uint8Array): Uint8Array {
  return keygenToken(kcn, home, nonce, 0);
}

/** Care-of keygen token, §5.2.5: First(64, HMAC_SHA1(Kcn, care-of address | nonce | 1)), 8 bytes. */
export function careOfKeygenToken(kcn: NodeKey, careOf: Address, nonce: Uint8Array): Uint8Array {
  return keygenToken(kcn, careOf, nonce, 1);
}

function keygenToken(kcn: NodeKey, address: Address, nonce: Uint8Array, purpose: 0 | 1): Uint8Array {
  return Uint8Array.from(hmacSha1(kcn, addressBytes(address), nonce, Uint8Array.of(purpose)).subarray(0, 8));
}

/** Kbm, §5.2.5: SHA1(home keygen token | care-of keygen token), of the home token alone when deregistering. 20 bytes. */
export function bindingManagementKey(homeToken: Uint8Array, careOfToken?: Uint8Array): Uint8Array {
  return Uint8Array.from(hash("sha1", careOfToken ? Buffer.concat([homeToken, careOfToken]) : homeToken, "buffer"));
}
