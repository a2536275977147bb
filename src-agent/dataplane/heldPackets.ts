/** Bounds of what is kept while connections are on their way. */
export interface HoldLimits {
  /** Per client that is held on purpose, bytes. */
  readonly held: number;
  /** Per client that nobody has announced yet, bytes, and how long, ms. */
  readonly unknown: number;
  readonly unknownMs: number;
  /** Everything together, bytes. */
  readonly total: number;
}

export const holdLimits: HoldLimits = { held: 4 << 20, unknown: 512 << 10, unknownMs: 1000, total: 64 << 20 };

/**
 * A client that comes back while its last packets are still passed on: for a moment two members each take the other for its server. What one gets
 * from the other waits so long, ms, before it goes back, or the two would wear out its hop limit in no time. So many packets at most.
 */
export const bounce = { ms: 10, packets: 1024 } as const;

interface Queue<Frame> {
  frames: Frame[];
  bytes: number;
  /** When the first packet of an unannounced client goes; undefined while it is held on purpose. */
  expiresAt: number | undefined;
}

/** Packets kept per client, in order. `Key` names a (home, client) pair; a frame's `length` is what it takes, bytes. */
export class HeldPackets<Key, Frame extends { readonly length: number }> {
  readonly #limits: HoldLimits;
  readonly #queues = new Map<Key, Queue<Frame>>();
  #total = 0;

  constructor(limits: HoldLimits = holdLimits) {
    this.#limits = limits;
  }

  /** Keeps a packet (which the caller gives away); returns how many older ones had to go for it. `now` in ms. */
  keep(key: Key, frame: Frame, onPurpose: boolean, now: number): number {
    const queue: Queue<Frame> = this.#queues.get(key) ?? { frames: [], bytes: 0, expiresAt: undefined };
    this.#queues.set(key, queue);
    if (onPurpose) queue.expiresAt = undefined;
    else if (queue.frames.length === 0) queue.expiresAt = now + this.#limits.unknownMs;
    queue.frames.push(frame);
    queue.bytes += frame.length;
    this.#total += frame.length;
    const limit = onPurpose ? this.#limits.held : this.#limits.unknown;
    let dropped = 0;
    while (queue.frames.length > 0 && (queue.bytes > limit || this.#total > this.#limits.total)) {
      const oldest = queue.frames.shift() as Frame;
      queue.bytes -= oldest.length;
      this.#total -= oldest.length;
      dropped++;
    }
    return dropped;
  }

  /** What was kept so far no longer expires: the client has been announced. */
  announce(key: Key): void {
    const queue = this.#queues.get(key);
    if (queue) queue.expiresAt = undefined;
  }

  /** Takes everything kept for a client, in order. */
  take(key: Key): readonly Frame[] {
    const queue = this.#queues.get(key);
    if (!queue) return [];
    this.#queues.delete(key);
    this.#total -= queue.bytes;
    return queue.frames;
  }

  /** Drops what unannounced clients sent too long ago; returns how many packets. */
  expire(now: number): number {
    let dropped = 0;
    for (const [key, queue] of this.#queues) if (queue.expiresAt !== undefined && queue.expiresAt <= now) dropped += this.take(key).length;
    return dropped;
  }

  get empty(): boolean {
    return this.#queues.size === 0;
  }
}
