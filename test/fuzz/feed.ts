/** Turns an input into a sequence of choices: past its end every choice is the first one, and `more` is false. */
export class Feed {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get more(): boolean {
    return this.#at < this.#bytes.length;
  }

  byte(): number {
    return this.#at < this.#bytes.length ? (this.#bytes[this.#at++] as number) : 0;
  }

  u16(): number {
    return (this.byte() << 8) | this.byte();
  }

  /** 0..below-1, `below` up to 256. */
  below(below: number): number {
    return this.byte() % below;
  }

  flag(): boolean {
    return (this.byte() & 1) === 1;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  bytes(length: number): Uint8Array {
    const taken = new Uint8Array(length);
    for (let i = 0; i < length; i++) taken[i] = this.byte();
    return taken;
  }

  /** A time to let pass, ms: mostly short, sometimes minutes. */
  time(): number {
    const [scale, value] = [this.byte(), this.byte()];
    return value * ([0, 0.5, 4, 100, 1000, 4000] as const)[scale % 6]!;
  }
}
