import { readSync } from "node:fs";

/** Reads lines from a descriptor without an event loop. */
export class LineReader {
  readonly #fd: number;
  readonly #chunk = Buffer.alloc(1 << 16);
  #rest = "";
  #early: string[] = [];

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Whether lines came along with the first and wait to be read. */
  get pending(): boolean {
    return this.#early.length > 0;
  }

  /** Waits for the first line; undefined when the stream ends before. */
  readFirst(): string | undefined {
    for (;;) {
      const lines = this.read();
      if (!lines) return undefined;
      if (lines.length === 0) continue;
      this.#early = lines.slice(1);
      return lines[0];
    }
  }

  /** The lines completed by one read, to be called when the descriptor is readable; undefined at its end. */
  read(): string[] | undefined {
    if (this.#early.length > 0) return this.#early.splice(0);
    let count = 0;
    try {
      count = readSync(this.#fd, this.#chunk);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EAGAIN") return [];
      if (code !== "EOF") throw error;
    }
    if (count === 0) return undefined;
    const parts = (this.#rest + this.#chunk.toString("utf8", 0, count)).split("\n");
    this.#rest = parts.pop() as string;
    return parts.filter((line) => line !== "");
  }
}
