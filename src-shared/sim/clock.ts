import type { Millis } from "../protocol/core/step.ts";

interface Event {
  readonly at: Millis;
  /** Events of one instant happen in the order in which they were scheduled. */
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/** Time that passes only when told to, in events. */
export class VirtualClock {
  #now: Millis = 0;
  #scheduled = 0;
  readonly #heap: Event[] = [];

  get now(): Millis {
    return this.#now;
  }

  /** Runs `run` at `at`, or at once (after what is due already) when that has passed. Returns how to cancel it. */
  schedule(at: Millis, run: () => void): () => void {
    if (Number.isNaN(at)) throw new RangeError("cannot schedule something at a time that is not a number");
    const event: Event = { at: Math.max(at, this.#now), order: this.#scheduled++, run, cancelled: false };
    if (at !== Infinity) this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  /** Lets everything up to and including `at` happen; afterwards it is `at`. */
  runUntil(at: Millis): void {
    while (this.#runNext(at));
    this.#now = Math.max(this.#now, at);
  }

  /** Lets things happen until `done()`; throws when that is not so by `limit`. Stops at the instant of the event that did it. */
  runUntilDone(done: () => boolean, limit: Millis): void {
    while (!done()) if (!this.#runNext(limit)) throw new Error(`still not done at ${limit} ms of virtual time`);
  }

  #runNext(limit: Millis): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (!next || next.at > limit) return false;
      this.#pop();
      if (next.cancelled) continue;
      this.#now = next.at;
      next.run();
      return true;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.push(event) - 1;
    for (let parent = (i - 1) >> 1; i > 0 && isBefore(event, heap[parent] as Event); parent = (i - 1) >> 1) {
      heap[i] = heap[parent] as Event;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let i = 0;
    for (let child = 1; child < heap.length; child = 2 * i + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[i] = heap[child] as Event;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
