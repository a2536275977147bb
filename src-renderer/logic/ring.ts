/** The newest items, at most `capacity` of them, oldest first. Adding costs the same however many there were. */
export class Ring<T> {
  readonly capacity: number;
  #items: T[] = [];
  #total = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  add(items: readonly T[]): void {
    for (const item of items) this.#items.push(item);
    this.#total += items.length;
    if (this.#items.length > this.capacity * 2) this.#items = this.#items.slice(-this.capacity);
  }

  /** A fresh array, so that it can be shown while more is added. */
  list(last = this.capacity): T[] {
    return this.#items.slice(-Math.min(last, this.capacity));
  }

  /** How many were ever added. */
  get total(): number {
    return this.#total;
  }

  clear(): void {
    this.#items = [];
    this.#total = 0;
  }
}
