/** What one execution has touched: how often each cell (an edge between two counters, hashed) was passed, and which ones those are. */
const size = 1 << 16;
const hits = new Uint8Array(size);
const touched = new Uint16Array(size);
let count = 0;
let previous = 0;
let steps = 0;
let limit = Infinity;

/** An execution has gone through more counters than its input may cost. */
export class TooManySteps extends Error {
  constructor() {
    super(`more than ${limit} steps: this input takes too long`);
  }
}

/** Called by the instrumented code. */
export function edge(site: number): void {
  const cell = previous ^ site;
  previous = site >> 1;
  const before = hits[cell] as number;
  if (before === 0) touched[count++] = cell;
  if (before < 255) hits[cell] = before + 1;
  if (++steps > limit) throw new TooManySteps();
}

/** Starts a new execution that may take `most` steps: a measure of time that does not depend on the machine. */
export function begin(most: number): void {
  for (let i = 0; i < count; i++) hits[touched[i] as number] = 0;
  count = 0;
  previous = 0;
  steps = 0;
  limit = most;
}

export function stepsTaken(): number {
  return steps;
}

/** Which cells any execution has passed, and how often at once, in eight classes as AFL has them. */
export class Seen {
  readonly #classes = new Uint8Array(size);
  cells = 0;
  features = 0;

  /** Adds the last execution. True when it went a new way, or a known one for a new number of times. */
  add(): boolean {
    let isNew = false;
    for (let i = 0; i < count; i++) {
      const cell = touched[i] as number;
      const known = this.#classes[cell] as number;
      const bit = classOf(hits[cell] as number);
      if ((known & bit) !== 0) continue;
      isNew = true;
      this.features++;
      if (known === 0) this.cells++;
      this.#classes[cell] = known | bit;
    }
    return isNew;
  }

  /** The same by cells alone. */
  addCells(): boolean {
    const before = this.cells;
    this.add();
    return this.cells > before;
  }
}

function classOf(times: number): number {
  if (times <= 3) return 1 << (times - 1);
  if (times < 8) return 8;
  if (times < 16) return 16;
  if (times < 32) return 32;
  return times < 128 ? 64 : 128;
}
