import { keyedHash } from "./keyedHash.ts";

/**
 * From keys of a fixed number of bytes to small numbers ("slots") in packed arrays: the index of tables that may hold a million entries.
 * Owners keep their columns in typed arrays by slot and grow them to `capacity`. Hashing is keyed, so that a peer who may choose keys cannot
 * choose collisions. Keys have 4 bytes or more: those of a slot that is free hold the next free slot. About keyLength + 8 bytes an entry.
 */
export class PackedIndex {
  readonly limit: number;
  readonly #keyLength: number;
  readonly #seed: number;
  #capacity: number;
  #keys: Uint8Array;
  /** Open addressing with linear probing; slot + 1, 0 for empty. Its length is a power of two. */
  #buckets: Int32Array;
  /** The first of the slots that were given back; -1: none. */
  #free = -1;
  #used = 0;
  #size = 0;

  /** At most `limit` keys of `keyLength` bytes. `seed` is any 32 bits that peers cannot know. */
  constructor(keyLength: number, limit: number, seed: number) {
    this.#keyLength = keyLength;
    this.limit = limit;
    this.#seed = seed | 0;
    this.#capacity = Math.min(limit, 16);
    this.#keys = new Uint8Array(this.#capacity * keyLength);
    this.#buckets = new Int32Array(32);
  }

  get size(): number {
    return this.#size;
  }

  /** Slots are below this; it grows, up to `limit`. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Slot of the key, or -1. */
  find(key: Uint8Array): number {
    const mask = this.#buckets.length - 1;
    for (let b = keyedHash(key, 0, this.#keyLength, this.#seed) & mask; ; b = (b + 1) & mask) {
      const slot = (this.#buckets[b] as number) - 1;
      if (slot < 0 || this.#isAt(slot, key)) return slot;
    }
  }

  /** Slot of the key, given one if it has none; -1 when the table is full. */
  add(key: Uint8Array): number {
    const found = this.find(key);
    if (found >= 0) return found;
    if (this.#size >= this.limit) return -1;
    if (this.#free < 0 && this.#used === this.#capacity) this.#grow();
    const slot = this.#free >= 0 ? this.#free : this.#used++;
    if (slot === this.#free) this.#free = this.#nextFree(slot);
    this.#keys.set(key, slot * this.#keyLength);
    this.#place(slot);
    this.#size++;
    return slot;
  }

  /** Gives the key's slot back. Returns it, or -1 when the key was not there. */
  remove(key: Uint8Array): number {
    const mask = this.#buckets.length - 1;
    let hole = keyedHash(key, 0, this.#keyLength, this.#seed) & mask;
    while (this.#buckets[hole] !== 0 && !this.#isAt((this.#buckets[hole] as number) - 1, key)) hole = (hole + 1) & mask;
    const slot = (this.#buckets[hole] as number) - 1;
    if (slot < 0) return -1;
    // Whoever sits behind and would be looked for at or before the hole moves into it, so that no search stops short.
    for (let b = (hole + 1) & mask; this.#buckets[b] !== 0; b = (b + 1) & mask) {
      const wanted = this.#hashOf((this.#buckets[b] as number) - 1) & mask;
      if (((b - wanted) & mask) < ((b - hole) & mask)) continue;
      this.#buckets[hole] = this.#buckets[b] as number;
      hole = b;
    }
    this.#buckets[hole] = 0;
    this.#setNextFree(slot, this.#free);
    this.#free = slot;
    this.#size--;
    return slot;
  }

  /** The key in a slot that is in use: a view, not to be kept. */
  keyAt(slot: number): Uint8Array {
    return this.#keys.subarray(slot * this.#keyLength, (slot + 1) * this.#keyLength);
  }

  /** The slots in use, in ascending order: slow. */
  slots(): Int32Array {
    return this.#buckets.filter((bucket) => bucket !== 0).map((bucket) => bucket - 1).sort();
  }

  /** Bytes of memory in the packed arrays. */
  get bytes(): number {
    return this.#keys.byteLength + this.#buckets.byteLength;
  }

  #nextFree(slot: number): number {
    const at = slot * this.#keyLength;
    const [a, b, c, d] = [this.#keys[at], this.#keys[at + 1], this.#keys[at + 2], this.#keys[at + 3]] as [number, number, number, number];
    return a | (b << 8) | (c << 16) | (d << 24);
  }

  #setNextFree(slot: number, next: number): void {
    const at = slot * this.#keyLength;
    for (let i = 0; i < 4; i++) this.#keys[at + i] = (next >> (8 * i)) & 0xff;
  }

  #grow(): void {
    const capacity = Math.min(this.limit, this.#capacity * 2);
    this.#keys = grown(this.#keys, capacity * this.#keyLength);
    this.#capacity = capacity;
    let buckets = this.#buckets.length;
    while (buckets * 3 < capacity * 4) buckets *= 2;
    if (buckets === this.#buckets.length) return;
    this.#buckets = new Int32Array(buckets);
    // Growing happens only when every slot is in use.
    for (let slot = 0; slot < this.#used; slot++) this.#place(slot);
  }

  #place(slot: number): void {
    const mask = this.#buckets.length - 1;
    let b = this.#hashOf(slot) & mask;
    while (this.#buckets[b] !== 0) b = (b + 1) & mask;
    this.#buckets[b] = slot + 1;
  }

  #isAt(slot: number, key: Uint8Array): boolean {
    const at = slot * this.#keyLength;
    for (let i = 0; i < this.#keyLength; i++) if (this.#keys[at + i] !== key[i]) return false;
    return true;
  }

  #hashOf(slot: number): number {
    return keyedHash(this.#keys, slot * this.#keyLength, this.#keyLength, this.#seed);
  }
}

/** A longer copy of a column; unchanged when it is long enough. */
export function grown<T extends Uint8Array | Uint16Array | Int32Array | Float64Array>(column: T, length: number): T {
  if (column.length >= length) return column;
  const longer = new (column.constructor as new (length: number) => T)(length);
  longer.set(column);
  return longer;
}
