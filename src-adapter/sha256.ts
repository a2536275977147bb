/** SHA-256 (FIPS 180-4) whose state can leave the process half-way, which node:crypto's cannot. */
export class Sha256 {
  readonly #h: Uint32Array;
  readonly #block: Uint8Array;
  #filled: number;
  #length: number;

  private constructor(h: Uint32Array, block: Uint8Array, filled: number, length: number) {
    this.#h = h;
    this.#block = block;
    this.#filled = filled;
    this.#length = length;
  }

  static start(): Sha256 {
    return new Sha256(Uint32Array.from(initial), new Uint8Array(blockBytes), 0, 0);
  }

  /** From what `save` gave. Throws RangeError when it is not such a state. */
  static restore(saved: { readonly h: readonly number[]; readonly block: readonly number[]; readonly length: number }): Sha256 {
    const { h, block, length } = saved;
    const words = h.length === 8 && h.every((word) => Number.isInteger(word) && word >= 0 && word <= 0xffffffff);
    if (!words || !Number.isSafeInteger(length) || length < 0 || block.length !== length % blockBytes) throw new RangeError("not a SHA-256 state");
    const bytes = new Uint8Array(blockBytes);
    bytes.set(block);
    return new Sha256(Uint32Array.from(h), bytes, block.length, length);
  }

  save(): { h: number[]; block: number[]; length: number } {
    return { h: [...this.#h], block: [...this.#block.subarray(0, this.#filled)], length: this.#length };
  }

  update(data: Uint8Array): this {
    // One kind of array in the hot loop: Buffers there halve its speed.
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
    this.#length += bytes.length;
    let at = 0;
    if (this.#filled > 0) {
      at = Math.min(blockBytes - this.#filled, bytes.length);
      this.#block.set(bytes.subarray(0, at), this.#filled);
      this.#filled += at;
      if (this.#filled < blockBytes) return this;
      compress(this.#h, this.#block, 0);
      this.#filled = 0;
    }
    for (; at + blockBytes <= bytes.length; at += blockBytes) compress(this.#h, bytes, at);
    this.#block.set(bytes.subarray(at));
    this.#filled = bytes.length - at;
    return this;
  }

  /** The digest of everything so far, in hexadecimal; the hash itself can go on. */
  hex(): string {
    const h = Uint32Array.from(this.#h);
    const padded = new Uint8Array(this.#filled + 9 <= blockBytes ? blockBytes : 2 * blockBytes);
    padded.set(this.#block.subarray(0, this.#filled));
    padded[this.#filled] = 0x80;
    new DataView(padded.buffer).setBigUint64(padded.length - 8, BigInt(this.#length) * 8n);
    for (let at = 0; at < padded.length; at += blockBytes) compress(h, padded, at);
    return [...h].map((word) => word.toString(16).padStart(8, "0")).join("");
  }
}

const blockBytes = 64;
const w = new Int32Array(64);

function compress(state: Uint32Array, bytes: Uint8Array, at: number): void {
  for (let i = 0, j = at; i < 16; i++, j += 4) w[i] = ((bytes[j] as number) << 24) | ((bytes[j + 1] as number) << 16) | ((bytes[j + 2] as number) << 8) | (bytes[j + 3] as number);
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15] as number;
    const y = w[i - 2] as number;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = ((w[i - 16] as number) + s0 + (w[i - 7] as number) + s1) | 0;
  }
  // Signed words by index: this is the hot loop, and V8 keeps it in integer registers only so.
  let a = (state[0] as number) | 0;
  let b = (state[1] as number) | 0;
  let c = (state[2] as number) | 0;
  let d = (state[3] as number) | 0;
  let e = (state[4] as number) | 0;
  let f = (state[5] as number) | 0;
  let g = (state[6] as number) | 0;
  let h = (state[7] as number) | 0;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + (k[i] as number) + (w[i] as number)) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0] = (state[0] as number) + a;
  state[1] = (state[1] as number) + b;
  state[2] = (state[2] as number) + c;
  state[3] = (state[3] as number) + d;
  state[4] = (state[4] as number) + e;
  state[5] = (state[5] as number) + f;
  state[6] = (state[6] as number) + g;
  state[7] = (state[7] as number) + h;
}

/** First 32 bits of the fractional parts of the square roots of the first 8 primes, and of the cube roots of the first 64. */
const primes = firstPrimes(64);
const initial = primes.slice(0, 8).map((p) => fraction(p, 2n));
const k = Int32Array.from(primes.map((p) => fraction(p, 3n) | 0));

function firstPrimes(count: number): bigint[] {
  const found: bigint[] = [];
  for (let n = 2n; found.length < count; n++) if (found.every((p) => n % p !== 0n)) found.push(n);
  return found;
}

/** floor(2^32 · p^(1/degree)) mod 2^32, exactly. */
function fraction(p: bigint, degree: bigint): number {
  const target = p << (32n * degree);
  let low = 0n;
  let high = 1n << 40n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** degree <= target) low = middle;
    else high = middle;
  }
  return Number(low & 0xffffffffn);
}
