import { addressBytes, type Address } from "../../net/address.ts";
import { PackedIndex } from "./packedIndex.ts";

/** A set of many addresses in about 24 bytes each; strings in a Set take four times as much. */
export class AddressSet {
  readonly #index: PackedIndex;

  /** `seed`: 32 bits that peers cannot know. */
  constructor(limit: number, seed: number) {
    this.#index = new PackedIndex(16, limit, seed);
  }

  get size(): number {
    return this.#index.size;
  }

  /** Bytes of memory in the packed arrays. */
  get bytes(): number {
    return this.#index.bytes;
  }

  has(address: Address): boolean {
    return this.#index.find(addressBytes(address)) >= 0;
  }

  /** False when it is new and there is no room for another. */
  add(address: Address): boolean {
    return this.#index.add(addressBytes(address)) >= 0;
  }

  delete(address: Address): void {
    this.#index.remove(addressBytes(address));
  }
}
