import type { LogLine } from "../../../src-shared/api/app/work.ts";

const keptLines = 5000;
const longestLine = 4000;

/** A log in memory: numbered lines, the newest of them kept, each told as it comes. */
export class LogLines {
  readonly #lines: LogLine[] = [];
  readonly #tell: (lines: LogLine[]) => void;
  #next = 1;

  constructor(tell: (lines: LogLine[]) => void) {
    this.#tell = tell;
  }

  add(text: string, level: LogLine["level"] = "info", source = "manager"): void {
    const line: LogLine = { number: this.#next++, at: Date.now(), level, source, text: text.slice(0, longestLine) };
    this.#lines.push(line);
    if (this.#lines.length > keptLines) this.#lines.shift();
    this.#tell([line]);
  }

  /** The lines with a greater number. */
  after(number: number): LogLine[] {
    return this.#lines.filter((line) => line.number > number);
  }
}
