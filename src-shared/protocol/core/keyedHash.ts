/** 32 bits of `bytes` from `at` on, 4 bytes at a time (`length` is a multiple of 4): Murmur3's mixing. Who does not know the seed cannot choose collisions. */
export function keyedHash(bytes: Uint8Array, at: number, length: number, seed: number): number {
  let h = seed;
  for (let i = at; i < at + length; i += 4) {
    const word = (bytes[i] as number) | ((bytes[i + 1] as number) << 8) | ((bytes[i + 2] as number) << 16) | ((bytes[i + 3] as number) << 24);
    h ^= Math.imul(rotate(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
    h = (Math.imul(rotate(h, 13), 5) + 0xe6546b64) | 0;
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
