import { grown } from "./packedIndex.ts";
import type { Millis } from "./step.ts";

/** The next time at which something must happen for each slot of a packed table: a binary heap that knows where each slot is. 16 bytes a slot. */
export class Deadlines {
  #at = new Float64Array(16);
  /** Slots in heap order. */
  #heap = new Int32Array(16);
  /** Position in the heap + 1 by slot, 0 when the slot has no deadline. */
  #position = new Int32Array(16);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#at.byteLength + this.#heap.byteLength + this.#position.byteLength;
  }

  /** Replaces the slot's deadline. */
  set(slot: number, at: Millis): void {
    this.#reserve(slot + 1);
    this.#at[slot] = at;
    const position = (this.#position[slot] as number) - 1;
    if (position >= 0) this.#settle(position, slot);
    else this.#settle(this.#size++, slot);
  }

  has(slot: number): boolean {
    return (this.#position[slot] ?? 0) !== 0;
  }

  /** The slot's deadline, or undefined. */
  at(slot: number): Millis | undefined {
    return this.has(slot) ? this.#at[slot] : undefined;
  }

  remove(slot: number): void {
    const position = slot < this.#position.length ? (this.#position[slot] as number) - 1 : -1;
    if (position < 0) return;
    this.#position[slot] = 0;
    const last = this.#heap[--this.#size] as number;
    if (last !== slot) this.#settle(position, last);
  }

  /** Slot with the earliest deadline, or -1. */
  first(): number {
    return this.#size > 0 ? (this.#heap[0] as number) : -1;
  }

  /** Earliest deadline, or undefined. */
  next(): Millis | undefined {
    return this.#size > 0 ? this.#at[this.#heap[0] as number] : undefined;
  }

  /** Puts a slot where it belongs, starting from `position`, which is free or its own. */
  #settle(position: number, slot: number): void {
    const at = this.#at[slot] as number;
    let p = position;
    for (let parent = (p - 1) >> 1; p > 0 && this.#atPosition(parent) > at; parent = (p - 1) >> 1) {
      this.#put(p, this.#heap[parent] as number);
      p = parent;
    }
    for (;;) {
      let child = 2 * p + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#atPosition(child + 1) < this.#atPosition(child)) child++;
      if (this.#atPosition(child) >= at) break;
      this.#put(p, this.#heap[child] as number);
      p = child;
    }
    this.#put(p, slot);
  }

  #put(position: number, slot: number): void {
    this.#heap[position] = slot;
    this.#position[slot] = position + 1;
  }

  #atPosition(position: number): Millis {
    return this.#at[this.#heap[position] as number] as number;
  }

  #reserve(length: number): void {
    if (length <= this.#at.length) return;
    const longer = Math.max(length, 2 * this.#at.length);
    this.#at = grown(this.#at, longer);
    this.#heap = grown(this.#heap, longer);
    this.#position = grown(this.#position, longer);
  }
}
