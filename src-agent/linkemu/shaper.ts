import type { LinkQuality } from "../../src-shared/api/lab.ts";
import { Line, type Timeline } from "./timeline.ts";

/**
 * A rate with a bounded queue in front (tail drop). Packets leave one after another, each taking its bits divided by the rate. Without a
 * rate they pass at once.
 */
export class Shaper {
  readonly line: Line;
  /** Bits per ms; Infinity without a rate. */
  #rate = Infinity;
  #limitMs = Infinity;
  #limitBytes = Infinity;
  /** When the last accepted bit has left. */
  #free = -Infinity;

  constructor(stage: number) {
    this.line = new Line(stage);
  }

  /** Passes packets at once: there is neither a rate nor anything queued from when there was one. */
  get open(): boolean {
    return this.#rate === Infinity && this.line.size === 0;
  }

  /** Takes a new rate and queue limit into force; what is queued leaves at the new rate. */
  set(quality: Pick<LinkQuality, "rate" | "queue">, now: number, timeline: Timeline): void {
    const rate = quality.rate === null ? Infinity : quality.rate / 1000;
    if (rate !== this.#rate && this.#free > now) {
      const stretch = rate === Infinity ? 0 : this.#rate === Infinity ? 1 : this.#rate / rate;
      const later = (due: number) => (due <= now ? due : now + (due - now) * stretch);
      this.line.reschedule(later);
      timeline.moved(this.line);
      this.#free = later(this.#free);
    }
    this.#rate = rate;
    this.#limitMs = "ms" in quality.queue ? quality.queue.ms : Infinity;
    this.#limitBytes = "bytes" in quality.queue ? quality.queue.bytes : Infinity;
  }

  /** When `bytes` that come at `at` (ms) will have left, or -1 where the queue is full. An empty queue takes any packet. */
  admit(at: number, bytes: number): number {
    if (this.#rate === Infinity) return this.line.lastDue(at);
    const wait = this.#free - at;
    const own = (8 * bytes) / this.#rate;
    if (wait > 0 && (wait > this.#limitMs || (wait * this.#rate) / 8 + bytes > this.#limitBytes)) return -1;
    this.#free = Math.max(at, this.#free) + own;
    return this.#free;
  }

  /** How many ms `bytes` take at this rate. */
  duration(bytes: number): number {
    return (8 * bytes) / this.#rate;
  }
}
