import { hash } from "node:crypto";

const BLOCK = 64;
const DIGEST = 20;

/**
 * HMAC-SHA1 (RFC 2104) of `data`, 20 bytes, in two one-shot hashes: a third of the time that node's createHmac takes for messages as short as ours, most
 * of which goes into making key objects.
 */
export function hmacSha1(key: Uint8Array, ...data: readonly Uint8Array[]): Uint8Array {
  const short = key.length > BLOCK ? hash("sha1", key, "buffer") : key;
  const inner = new Uint8Array(data.reduce((sum, part) => sum + part.length, BLOCK));
  const outer = new Uint8Array(BLOCK + DIGEST);
  for (let i = 0; i < BLOCK; i++) {
    const byte = short[i] ?? 0;
    inner[i] = byte ^ 0x36;
    outer[i] = byte ^ 0x5c;
  }
  let at = BLOCK;
  for (const part of data) {
    inner.set(part, at);
    at += part.length;
  }
  outer.set(hash("sha1", inner, "buffer"), BLOCK);
  return hash("sha1", outer, "buffer");
}
