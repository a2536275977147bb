/** A growing list of numbers that costs 8 bytes each: captures have millions of packets. */
export class Column {
  #values = new Float64Array(256);
  #length = 0;

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  get length(): number {
    return this.#length;
  }

  /** Throws RangeError outside 0..length−1. */
  at(index: number): number {
    if (index < 0 || index >= this.#length) throw new RangeError(`column has ${this.#length} values, not one at ${index}`);
    return this.#values[index] as number;
  }

  get last(): number | undefined {
    return this.#length === 0 ? undefined : this.#values[this.#length - 1];
  }

  /** Index of the first value ≥ `value` in an ascending column; `length` when there is none. */
  lowerBound(value: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#values[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The values in [from, to) by index, as a view that stays valid until the next push. */
  slice(from: number, to: number): Float64Array {
    return this.#values.subarray(Math.max(0, from), Math.min(this.#length, to));
  }
}
