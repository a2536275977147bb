import type { Lateness } from "../../src-shared/api/lab.ts";

const perOctave = 8;
const buckets = perOctave * 32;

/** Durations counted in buckets 9 % wide, from 1 µs: constant memory, whatever passes. */
export class Histogram {
  readonly #counts = new Float64Array(buckets);
  #samples = 0;
  #max = 0;

  add(ms: number): void {
    const us = Math.max(1, ms * 1000);
    const bucket = Math.min(buckets - 1, Math.floor(Math.log2(us) * perOctave));
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.#samples++;
    if (us > this.#max) this.#max = us;
  }

  /** The figures so far, and starts anew. */
  take(): Lateness {
    const result = { p50Us: this.#quantile(0.5), p99Us: this.#quantile(0.99), maxUs: Math.round(this.#max), samples: this.#samples };
    this.#counts.fill(0);
    this.#samples = 0;
    this.#max = 0;
    return result;
  }

  #quantile(share: number): number {
    if (this.#samples === 0) return 0;
    let left = share * this.#samples;
    for (let i = 0; i < buckets; i++) {
      left -= this.#counts[i] as number;
      if (left <= 0) return Math.round(2 ** ((i + 0.5) / perOctave));
    }
    return Math.round(this.#max);
  }
}
