/** Slot sizes in bytes; the largest holds a 64 KiB super-packet with its headers. */
const classes = [256, 2048, 8192, 24_576, 66_560] as const;
const chunkBytes = 1 << 20;

/**
 * Memory for the packets under way: fixed in size, never moved, so that the kernel can be given addresses in it. Chunks of 1 MiB are given
 * to a size class when it needs one and stay with it.
 */
export class PacketStore {
  readonly memory: Buffer;
  /** By slot: where the packet starts in `memory`, and its bytes. */
  readonly offset: Int32Array;
  readonly length: Int32Array;
  /** By slot: sender and receiver (index of the pair), segments and bytes on the wire, and when it ideally reached its present stage, ms. */
  readonly pair: Int32Array;
  readonly segments: Int32Array;
  readonly wireBytes: Int32Array;
  readonly at: Float64Array;
  readonly #sizeClass: Uint8Array;
  readonly #free: number[][] = classes.map(() => []);
  #slots = 0;
  #chunks = 0;
  #used = 0;
  #usedBytes = 0;

  constructor(bytes: number) {
    this.memory = Buffer.allocUnsafeSlow(bytes);
    const most = Math.ceil(bytes / classes[0]);
    this.offset = new Int32Array(most);
    this.length = new Int32Array(most);
    this.pair = new Int32Array(most);
    this.segments = new Int32Array(most);
    this.wireBytes = new Int32Array(most);
    this.at = new Float64Array(most);
    this.#sizeClass = new Uint8Array(most);
  }

  /** Packets held, and their bytes. */
  get used(): number {
    return this.#used;
  }
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A slot for `bytes` bytes, or -1 when the memory is used up or no slot is that large. */
  take(bytes: number): number {
    const sizeClass = classes.findIndex((size) => size >= bytes);
    if (sizeClass < 0) return -1;
    const free = this.#free[sizeClass] as number[];
    if (free.length === 0) this.#carve(sizeClass);
    const slot = free.pop();
    if (slot === undefined) return -1;
    this.length[slot] = bytes;
    this.#used++;
    this.#usedBytes += bytes;
    return slot;
  }

  give(slot: number): void {
    this.#used--;
    this.#usedBytes -= this.length[slot] as number;
    (this.#free[this.#sizeClass[slot] as number] as number[]).push(slot);
  }

  #carve(sizeClass: number): void {
    const start = this.#chunks * chunkBytes;
    if (start + chunkBytes > this.memory.length) return;
    this.#chunks++;
    const size = classes[sizeClass] as number;
    for (let at = start; at + size <= start + chunkBytes; at += size) {
      this.offset[this.#slots] = at;
      this.#sizeClass[this.#slots] = sizeClass;
      (this.#free[sizeClass] as number[]).push(this.#slots++);
    }
  }
}
