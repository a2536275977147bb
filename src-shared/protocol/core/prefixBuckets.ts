import { addressBytes, type Address } from "../../net/address.ts";
import { keyedHash } from "./keyedHash.ts";
import type { Millis } from "./step.ts";
import type { Rate } from "./tokenBucket.ts";

/** Bytes of an address that its owner does not choose: one network, /64. */
const prefixLength = 8;
const count = 1024;

/**
 * How often something may happen on behalf of one network: a fixed number of token buckets, shared by those whose prefixes have the same keyed hash. Takes no
 * more memory whoever comes. Changes in place.
 */
export class PrefixBuckets {
  readonly #rate: Rate;
  readonly #seed: number;
  readonly #tokens: Float64Array;
  readonly #at: Float64Array;

  /** Full buckets. `seed`: 32 bits that peers cannot know. */
  constructor(rate: Rate, seed: number, now: Millis) {
    this.#rate = rate;
    this.#seed = seed;
    this.#tokens = new Float64Array(count).fill(rate.burst);
    this.#at = new Float64Array(count).fill(now);
  }

  /** Takes one token of the network of `source` if there is one. A clock that steps back adds nothing. */
  take(source: Address, now: Millis): boolean {
    const bucket = keyedHash(addressBytes(source), 0, prefixLength, this.#seed) % count;
    const at = this.#at[bucket] as number;
    const refill = (Math.max(0, now - at) * this.#rate.perSecond) / 1000;
    const tokens = Math.min(this.#rate.burst, (this.#tokens[bucket] as number) + refill);
    const taken = tokens >= 1;
    this.#tokens[bucket] = taken ? tokens - 1 : tokens;
    this.#at[bucket] = Math.max(at, now);
    return taken;
  }
}
