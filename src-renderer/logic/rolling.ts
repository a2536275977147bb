/** Samples of many named series over a moving stretch of time, packed: one row of times, one of values per name. */
export class Rolling {
  readonly spanMs: number;
  #times: number[] = [];
  readonly #series = new Map<string, (number | null)[]>();

  constructor(spanMs: number) {
    this.spanMs = spanMs;
  }

  /** Adds one sample. A name that it lacks has no value there. Samples older than the span are dropped. */
  add(at: number, values: ReadonlyMap<string, number>): void {
    this.#times.push(at);
    for (const name of values.keys()) if (!this.#series.has(name)) this.#series.set(name, Array<number | null>(this.#times.length - 1).fill(null));
    for (const [name, row] of this.#series) row.push(values.get(name) ?? null);
    const old = this.#times.findIndex((time) => time >= at - this.spanMs);
    if (old > 60) this.#drop(old);
  }

  #drop(count: number): void {
    this.#times = this.#times.slice(count);
    for (const [name, row] of this.#series) {
      const kept = row.slice(count);
      if (kept.every((value) => value === null)) this.#series.delete(name);
      else this.#series.set(name, kept);
    }
  }

  get names(): string[] {
    return [...this.#series.keys()];
  }

  /** Times in seconds, as charts want them, then one row per name; unknown names are all null. Copies. */
  columns(names: readonly string[]): (number | null)[][] {
    return [this.#times.map((time) => time / 1000), ...names.map((name) => this.#series.get(name)?.slice() ?? this.#times.map(() => null))];
  }

  latest(name: string): number | null {
    return this.#series.get(name)?.at(-1) ?? null;
  }

  clear(): void {
    this.#times = [];
    this.#series.clear();
  }
}
