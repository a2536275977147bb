import type { Millis } from "../step.ts";

interface Wake {
  readonly at: Millis;
  readonly key: string;
}

/** Outdated times that may always lie in the heap. */
const fewOutdated = 256;

/** When which entry wants to be woken: a binary heap in which outdated times are skipped when they surface, and cleared out when most of it is outdated. */
export class Wakes {
  readonly #due = new Map<string, Millis>();
  #heap: Wake[] = [];

  /** Times kept, outdated ones included: never more than twice those that count, and 256. */
  get size(): number {
    return this.#heap.length;
  }

  /** Replaces the entry's time; undefined cancels it. */
  set(key: string, at: Millis | undefined): void {
    if (at === undefined) {
      this.#due.delete(key);
    } else if (this.#due.get(key) !== at) {
      this.#due.set(key, at);
      this.#push({ at, key });
    }
    if (this.#heap.length > 2 * this.#due.size + fewOutdated) this.#clearOut();
  }

  /** The earliest time, or null. */
  next(): Millis | null {
    for (let top = this.#heap[0]; top; top = this.#heap[0]) {
      if (this.#due.get(top.key) === top.at) return top.at;
      this.#pop();
    }
    return null;
  }

  /** Takes out one entry that is due, or null. */
  take(now: Millis): string | null {
    const at = this.next();
    if (at === null || at > now) return null;
    const { key } = this.#pop();
    this.#due.delete(key);
    return key;
  }

  #clearOut(): void {
    // Ascending order is a heap.
    this.#heap = [...this.#due].map(([key, at]) => ({ at, key })).sort((a, b) => a.at - b.at);
  }

  #push(item: Wake): void {
    const heap = this.#heap;
    let i = heap.push(item) - 1;
    for (let parent = (i - 1) >> 1; i > 0 && heap[parent]!.at > item.at; parent = (i - 1) >> 1) {
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = item;
  }

  #pop(): Wake {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}
