/** What an echo has returned, held against what was sent. */
export interface EchoTally {
  readonly received: number;
  readonly repeated: number;
  /** Lines that were never sent like this: torn, mixed, or out of nowhere. */
  readonly corrupted: number;
}

/** Holds the stream that comes back against the lines that were sent: each exactly once, unchanged and in order. */
export class EchoCheck {
  readonly #padding: string;
  readonly #waiting = new Map<number, number>();
  #sent = 0;
  #rest = "";
  #received = 0;
  #repeated = 0;
  #corrupted = 0;

  constructor(padding: number) {
    this.#padding = padding > 0 ? ` ${"x".repeat(padding)}` : "";
  }

  /** The next line to send, and its number, from 0. */
  next(at: number): { readonly number: number; readonly line: string } {
    const number = this.#sent++;
    this.#waiting.set(number, at);
    return { number, line: this.#line(number) };
  }

  /** What came back; gives the lines that are now whole and right, with the time at which they were sent. */
  take(text: string): { readonly number: number; readonly sentAt: number }[] {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() as string;
    return lines.flatMap((line) => this.#judge(line) ?? []);
  }

  #judge(line: string): { readonly number: number; readonly sentAt: number } | null {
    const number = Number(/^\d+/.exec(line)?.[0] ?? Number.NaN);
    if (!(number < this.#sent) || `${line}\n` !== this.#line(number)) {
      this.#corrupted++;
      return null;
    }
    const sentAt = this.#waiting.get(number);
    if (sentAt === undefined) {
      this.#repeated++;
      return null;
    }
    this.#waiting.delete(number);
    this.#received++;
    return { number, sentAt };
  }

  #line(number: number): string {
    return `${number}${this.#padding}\n`;
  }

  get sent(): number {
    return this.#sent;
  }

  /** Numbers of the lines that have not come back, with the time at which they were sent. */
  get missing(): ReadonlyMap<number, number> {
    return this.#waiting;
  }

  get tally(): EchoTally {
    // Bytes of an unfinished line belong to an answer under way; when none is under way, they came too much.
    const surplus = this.#rest !== "" && this.#waiting.size === 0 ? 1 : 0;
    return { received: this.#received, repeated: this.#repeated, corrupted: this.#corrupted + surplus };
  }
}
