/** Cuts a byte stream into lines of UTF-8 text, as the control channel sends them. Holds at most `limit` bytes of an unfinished line. */
export class LineReader {
  readonly #limit: number;
  readonly #decoder = new TextDecoder();
  #pending = "";

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The lines that are complete now, without their newline, empty ones left out. Throws RangeError when a line grows past the limit. */
  push(chunk: Uint8Array): string[] {
    const lines = (this.#pending + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#pending = lines.pop() ?? "";
    if (this.#pending.length > this.#limit || lines.some((line) => line.length > this.#limit)) throw new RangeError(`a line is longer than ${this.#limit} characters`);
    return lines.filter((line) => line !== "");
  }
}
