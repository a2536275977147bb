/** A repeatable source of numbers: the same seed gives the same sequence on every machine. Not for secrets. */
export interface SeededRandom {
  /** Uniform in [0, 1), 32 bits. */
  next(): number;
  /** Uniform integer in 0..below-1; `below` from 1 to 2^32. */
  below(below: number): number;
  /** Standard normal. */
  normal(): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
  /** A source of its own, independent of how much this one is used afterwards. */
  fork(label: string): SeededRandom;
}

/** sfc32 (Chris Doty-Humphrey), seeded from any text or number. */
export function seededRandom(seed: string | number): SeededRandom {
  let [a, b, c, d] = words(String(seed));
  const word = () => {
    const t = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t;
    return t >>> 0;
  };
  for (let i = 0; i < 15; i++) word();
  const next = () => word() / 0x1_0000_0000;
  return {
    next,
    below: (below) => Math.floor(next() * below),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    bytes: (length) => Uint8Array.from({ length }, () => word() >>> 24),
    fork: (label) => seededRandom(`${seed}/${label}`),
  };
}

/** Four words from a text: 32-bit FNV-1a with four starts, each mixed once more. */
function words(text: string): [number, number, number, number] {
  const one = (start: number) => {
    let h = start;
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x0100_0193);
    h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
    return h ^ (h >>> 13);
  };
  return [one(0x811c_9dc5), one(0x9e37_79b9), one(0x2545_f491), one(0x6a09_e667)];
}
