import { DecodeError } from "./decodeError.ts";

/**
 * Reads received bytes in network order, front to back. Every read names the field it is after; one that would pass the end throws
 * DecodeError `truncated` with that name and reads nothing.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;

  /** Reads `bytes` from offset `at` up to, not including, offset `end`. */
  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    if (at < 0 || end > bytes.length || at > end) throw new RangeError(`no range ${at}..${end} in ${bytes.length} bytes`);
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  /** Offset of the next byte, counted from the start of the whole buffer. */
  get at(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  u8(field: string): number {
    const at = this.#advance(1, field);
    return this.#bytes[at] as number;
  }

  u16(field: string): number {
    const at = this.#advance(2, field);
    return ((this.#bytes[at] as number) << 8) | (this.#bytes[at + 1] as number);
  }

  u32(field: string): number {
    return this.u16(field) * 0x1_0000 + this.u16(field);
  }

  u64(field: string): bigint {
    const at = this.#advance(8, field);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset).getBigUint64(at);
  }

  /** A copy of the next `length` bytes: what is kept must not change when the receive buffer is used again. */
  take(length: number, field: string): Uint8Array {
    const at = this.#advance(length, field);
    return this.#bytes.slice(at, at + length);
  }

  /** All that is left, copied. */
  rest(field: string): Uint8Array {
    return this.take(this.remaining, field);
  }

  skip(length: number, field: string): this {
    this.#advance(length, field);
    return this;
  }

  /** A reader over the next `length` bytes, which this one then has passed. */
  sub(length: number, field: string): Reader {
    const at = this.#advance(length, field);
    return new Reader(this.#bytes, at, at + length);
  }

  #advance(length: number, field: string): number {
    if (length > this.remaining) throw new DecodeError("truncated", field, `${length} bytes wanted at ${this.#at}, ${this.remaining} left`);
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
