import type { SeededRandom } from "../stats/random.ts";

/** One direction between two nodes. */
export interface PathConditions {
  readonly latencyMs: number;
  /** Added to the latency, uniform in 0..jitterMs. Default 0. */
  readonly jitterMs?: number;
  /** Share of packets lost, 0..1. Default 0. */
  readonly loss?: number;
  /** Share of packets that arrive twice, 0..1. Default 0. */
  readonly duplication?: number;
  /** Whether jitter may change the order. Default false. */
  readonly reorders?: boolean;
  /** A middlebox that passes signalling, but no user packet with a Home Address option or a type 2 routing header. Default false. */
  readonly dropsMobileData?: boolean;
}

/** Draws the fate of what travels one direction, from a random source of its own, so that one path's traffic does not change another's luck. */
export class Path {
  conditions: PathConditions;
  readonly #random: SeededRandom;
  #lastArrival = 0;
  #lastMessageArrival = 0;

  constructor(conditions: PathConditions, random: SeededRandom) {
    this.conditions = conditions;
    this.#random = random;
  }

  /** When the copies of a packet that leaves at `now` arrive: none, one or two. */
  packetArrivals(now: number): number[] {
    const { loss = 0, duplication = 0, reorders = false } = this.conditions;
    // Always three draws a packet, so that changing one condition leaves the others' luck as it was.
    const [isLost, isDoubled] = [this.#random.next() < loss, this.#random.next() < duplication];
    const drawn = now + this.#delay();
    if (isLost) return [];
    const at = reorders ? drawn : Math.max(drawn, this.#lastArrival);
    this.#lastArrival = Math.max(at, this.#lastArrival);
    return isDoubled ? [at, at] : [at];
  }

  /** When a message on an ordered and reliable connection arrives. */
  messageArrival(now: number): number {
    this.#lastMessageArrival = Math.max(now + this.#delay(), this.#lastMessageArrival);
    return this.#lastMessageArrival;
  }

  #delay(): number {
    return this.conditions.latencyMs + (this.conditions.jitterMs ?? 0) * this.#random.next();
  }
}
