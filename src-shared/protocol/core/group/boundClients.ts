import { addressBytes, formatAddress, type Address } from "../../../net/address.ts";
import { Deadlines } from "../deadlines.ts";
import { PackedIndex } from "../packedIndex.ts";
import type { Millis } from "../step.ts";

/** Clients bound to this member, and until when: about 44 bytes each. */
export class BoundClients {
  readonly #index: PackedIndex;
  readonly #until = new Deadlines();

  /** `seed`: 32 bits that peers cannot know. */
  constructor(limit: number, seed: number) {
    this.#index = new PackedIndex(16, limit, seed);
  }

  get size(): number {
    return this.#index.size;
  }

  get limit(): number {
    return this.#index.limit;
  }

  /** Bytes of memory in the packed arrays. */
  get bytes(): number {
    return this.#index.bytes + this.#until.bytes;
  }

  /** False when there is no room for another client. */
  set(client: Address, until: Millis): boolean {
    const slot = this.#index.add(addressBytes(client));
    if (slot < 0) return false;
    this.#until.set(slot, until);
    return true;
  }

  has(client: Address): boolean {
    return this.#index.find(addressBytes(client)) >= 0;
  }

  delete(client: Address): void {
    const slot = this.#index.remove(addressBytes(client));
    if (slot >= 0) this.#until.remove(slot);
  }

  /** The earliest end of a binding, or null. */
  next(): Millis | null {
    return this.#until.next() ?? null;
  }

  /** Takes out one client whose binding is over, or null. */
  takeEnded(now: Millis): Address | null {
    const next = this.#until.next();
    if (next === undefined || next > now) return null;
    const client = formatAddress(this.#index.keyAt(this.#until.first()));
    this.delete(client);
    return client;
  }

  /** Every client, for inspection: slow. */
  *entries(): Generator<readonly [Address, Millis]> {
    for (const slot of this.#index.slots()) yield [formatAddress(this.#index.keyAt(slot)), this.#until.at(slot) as Millis];
  }
}
