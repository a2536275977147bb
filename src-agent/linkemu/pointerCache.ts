import { pointerTo } from "../linux/libc.ts";

/** Addresses of packets in one big buffer, made once per place: a fresh bigint per packet would cost more than the system call's overhead. */
export class PointerCache {
  #buffer: Buffer | undefined;
  #base = 0n;
  readonly #pointers = new Map<number, bigint>();

  /** A pointer for a system call to `offset` in `buffer`, whose memory never moves. Only the first buffer's are kept. */
  at(buffer: Buffer, offset: number): Buffer | bigint {
    if (this.#buffer === undefined && buffer.length >= 1 << 20) {
      this.#buffer = buffer;
      this.#base = pointerTo(buffer);
    }
    if (buffer !== this.#buffer) return offset === 0 ? buffer : buffer.subarray(offset);
    const known = this.#pointers.get(offset);
    if (known !== undefined) return known;
    const pointer = this.#base + BigInt(offset);
    this.#pointers.set(offset, pointer);
    return pointer;
  }
}
