import { addressBytes, formatAddress, type Address } from "../../net/address.ts";
import { Deadlines } from "./deadlines.ts";
import { grown, PackedIndex } from "./packedIndex.ts";
import type { Millis } from "./step.ts";

/** What a correspondent knows about one home address (RFC 6275 §9.1). */
export type CacheEntry = {
  readonly home: Address;
  /** Our own address that the mobile node talks to. */
  readonly own: Address;
  /** Of the last Binding Update that was accepted. */
  readonly sequence: number;
  /** When the youngest home nonce of any accepted update dies. Until then old updates could be replayed. */
  readonly noncesDieAt: Millis;
} & (
  | {
      readonly phase: "bound";
      readonly careOf: Address;
      readonly expiresAt: Millis;
      /** When to ask next whether the binding is used, and for a refresh if it is; Infinity when the end is near. */
      readonly refreshAt: Millis;
      /** Destination unreachable errors from the care-of address, and when the first of them came. */
      readonly unreachable: number;
      readonly unreachableSince: Millis;
    }
  /** §9.5.3: no binding any more, but its updates must not be accepted again. */
  | { readonly phase: "remembered" }
);

const BOUND = 1;

/**
 * The binding cache and its replay memory: one packed store that changes in place, about 120 bytes an entry. When it is full, new home addresses are
 * refused (status 130) and nothing is thrown out: entries end by themselves after at most 420 + 240 s.
 */
export class BindingCache {
  readonly #index: PackedIndex;
  readonly #deadlines = new Deadlines();
  #careOf = new Uint8Array(0);
  #own = new Uint8Array(0);
  #sequence = new Uint16Array(0);
  #noncesDieAt = new Float64Array(0);
  #expiresAt = new Float64Array(0);
  #refreshAt = new Float64Array(0);
  #unreachableSince = new Float64Array(0);
  #unreachable = new Uint8Array(0);
  #flags = new Uint8Array(0);
  #bound = 0;

  /** `seed`: 32 bits that peers cannot know. */
  constructor(limit: number, seed: number) {
    this.#index = new PackedIndex(16, limit, seed);
  }

  /** Entries, remembered ones included. */
  get size(): number {
    return this.#index.size;
  }

  /** Entries that are bindings. */
  get bound(): number {
    return this.#bound;
  }

  /** Bytes of memory in the packed arrays. */
  get bytes(): number {
    const columns = [this.#careOf, this.#own, this.#sequence, this.#noncesDieAt, this.#expiresAt, this.#refreshAt, this.#unreachableSince, this.#unreachable, this.#flags];
    return this.#index.bytes + this.#deadlines.bytes + columns.reduce((sum, column) => sum + column.byteLength, 0);
  }

  get(home: Address): CacheEntry | undefined {
    const slot = this.#index.find(addressBytes(home));
    return slot < 0 ? undefined : this.#read(slot, home);
  }

  /** Whether an entry for this home address could be stored. */
  hasRoomFor(home: Address): boolean {
    return this.#index.size < this.#index.limit || this.#index.find(addressBytes(home)) >= 0;
  }

  /** Stores or replaces an entry, and when it must be looked at again. Throws RangeError when the cache is full. */
  put(entry: CacheEntry): void {
    const slot = this.#index.add(addressBytes(entry.home));
    if (slot < 0) throw new RangeError(`the binding cache is full (${this.#index.limit} entries)`);
    this.#reserve(this.#index.capacity);
    if (this.#isBound(slot)) this.#bound--;
    this.#own.set(addressBytes(entry.own), slot * 16);
    this.#sequence[slot] = entry.sequence;
    this.#noncesDieAt[slot] = entry.noncesDieAt;
    this.#flags[slot] = 0;
    if (entry.phase === "bound") this.#writeBinding(slot, entry);
    this.#deadlines.set(slot, deadlineOf(entry));
  }

  delete(home: Address): void {
    const slot = this.#index.remove(addressBytes(home));
    if (slot < 0) return;
    if (this.#isBound(slot)) this.#bound--;
    this.#flags[slot] = 0;
    this.#deadlines.remove(slot);
  }

  /** The earliest time at which an entry must be looked at. */
  nextDeadline(): Millis | undefined {
    return this.#deadlines.next();
  }

  /** The entry whose time came first, if it has come. */
  firstDue(now: Millis): CacheEntry | undefined {
    const next = this.#deadlines.next();
    return next !== undefined && next <= now ? this.#read(this.#deadlines.first()) : undefined;
  }

  /** Every entry, for inspection: slow. */
  *entries(): Generator<CacheEntry> {
    for (let slot = 0; slot < this.#index.capacity; slot++) if (this.#deadlines.has(slot)) yield this.#read(slot);
  }

  #writeBinding(slot: number, entry: Extract<CacheEntry, { phase: "bound" }>): void {
    this.#careOf.set(addressBytes(entry.careOf), slot * 16);
    this.#expiresAt[slot] = entry.expiresAt;
    this.#refreshAt[slot] = entry.refreshAt;
    this.#unreachable[slot] = entry.unreachable;
    this.#unreachableSince[slot] = entry.unreachableSince;
    this.#flags[slot] = BOUND;
    this.#bound++;
  }

  #read(slot: number, home: Address = formatAddress(this.#index.keyAt(slot))): CacheEntry {
    const common = { home, own: formatAddress(this.#own, slot * 16), sequence: this.#sequence[slot] as number, noncesDieAt: this.#noncesDieAt[slot] as number };
    if (!this.#isBound(slot)) return { ...common, phase: "remembered" };
    return {
      ...common,
      phase: "bound",
      careOf: formatAddress(this.#careOf, slot * 16),
      expiresAt: this.#expiresAt[slot] as number,
      refreshAt: this.#refreshAt[slot] as number,
      unreachable: this.#unreachable[slot] as number,
      unreachableSince: this.#unreachableSince[slot] as number,
    };
  }

  #isBound(slot: number): boolean {
    return ((this.#flags[slot] ?? 0) & BOUND) !== 0;
  }

  #reserve(capacity: number): void {
    if (this.#flags.length >= capacity) return;
    this.#careOf = grown(this.#careOf, capacity * 16);
    this.#own = grown(this.#own, capacity * 16);
    this.#sequence = grown(this.#sequence, capacity);
    this.#noncesDieAt = grown(this.#noncesDieAt, capacity);
    this.#expiresAt = grown(this.#expiresAt, capacity);
    this.#refreshAt = grown(this.#refreshAt, capacity);
    this.#unreachableSince = grown(this.#unreachableSince, capacity);
    this.#unreachable = grown(this.#unreachable, capacity);
    this.#flags = grown(this.#flags, capacity);
  }
}

/** When an entry must be looked at next. */
function deadlineOf(entry: CacheEntry): Millis {
  if (entry.phase === "remembered") return entry.noncesDieAt;
  return Math.min(entry.refreshAt, entry.expiresAt);
}
