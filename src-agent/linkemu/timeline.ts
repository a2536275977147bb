/** Packets of one sender and receiver, or of one rate limiter, in the order in which they leave: a ring of (packet, due) that grows. */
export class Line {
  #packets = new Int32Array(16);
  #dues = new Float64Array(16);
  #head = 0;
  #size = 0;
  /** Place in the timeline's heap, or -1 while empty. */
  place = -1;
  /** What the owner needs to know when a packet leaves: which stage this line is of. */
  readonly stage: number;

  constructor(stage: number) {
    this.stage = stage;
  }

  get size(): number {
    return this.#size;
  }

  /** When the first packet is due, ms. Only while not empty. */
  get due(): number {
    return this.#dues[this.#head] as number;
  }

  /** When the last packet is due, or `none` while empty: nothing that comes after may be due earlier. */
  lastDue(none: number): number {
    return this.#size === 0 ? none : (this.#dues[(this.#head + this.#size - 1) & (this.#dues.length - 1)] as number);
  }

  push(packet: number, due: number): void {
    if (this.#size === this.#packets.length) this.#grow();
    const tail = (this.#head + this.#size++) & (this.#packets.length - 1);
    this.#packets[tail] = packet;
    this.#dues[tail] = due;
  }

  shift(): number {
    const packet = this.#packets[this.#head] as number;
    this.#head = (this.#head + 1) & (this.#packets.length - 1);
    this.#size--;
    return packet;
  }

  /** Changes when the waiting packets are due; `change` must keep their order. The timeline has to be told (`Timeline.moved`). */
  reschedule(change: (due: number) => number): void {
    for (let i = 0; i < this.#size; i++) {
      const at = (this.#head + i) & (this.#dues.length - 1);
      this.#dues[at] = change(this.#dues[at] as number);
    }
  }

  #grow(): void {
    const packets = new Int32Array(2 * this.#packets.length);
    const dues = new Float64Array(2 * this.#packets.length);
    for (let i = 0; i < this.#size; i++) {
      const from = (this.#head + i) & (this.#packets.length - 1);
      packets[i] = this.#packets[from] as number;
      dues[i] = this.#dues[from] as number;
    }
    this.#packets = packets;
    this.#dues = dues;
    this.#head = 0;
  }
}

/** All lines that hold packets, the one with the earliest due first: a binary heap. */
export class Timeline {
  readonly #heap: Line[] = [];

  /** When the next packet is due, ms, or Infinity. */
  get nextDue(): number {
    return this.#heap.length === 0 ? Infinity : (this.#heap[0] as Line).due;
  }

  /** The line whose first packet is due next. Only while `nextDue` is finite. */
  get next(): Line {
    return this.#heap[0] as Line;
  }

  add(line: Line, packet: number, due: number): void {
    line.push(packet, due);
    if (line.place >= 0) return;
    line.place = this.#heap.length;
    this.#heap.push(line);
    this.#up(line.place);
  }

  /** Takes the packet that is due next off `next`. */
  take(): number {
    const line = this.next;
    const packet = line.shift();
    if (line.size > 0) this.#down(0);
    else this.#removeFirst();
    return packet;
  }

  /** To be called after a line's dues were changed. */
  moved(line: Line): void {
    if (line.place < 0) return;
    this.#up(line.place);
    this.#down(line.place);
  }

  #removeFirst(): void {
    const first = this.next;
    const last = this.#heap.pop() as Line;
    first.place = -1;
    if (last === first) return;
    this.#heap[0] = last;
    last.place = 0;
    this.#down(0);
  }

  #up(place: number): void {
    let at = place;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if ((this.#heap[above] as Line).due <= (this.#heap[at] as Line).due) return;
      this.#swap(at, above);
      at = above;
    }
  }

  #down(place: number): void {
    let at = place;
    for (;;) {
      let least = at;
      for (const below of [2 * at + 1, 2 * at + 2]) if (below < this.#heap.length && (this.#heap[below] as Line).due < (this.#heap[least] as Line).due) least = below;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #swap(a: number, b: number): void {
    const x = this.#heap[a] as Line;
    const y = this.#heap[b] as Line;
    this.#heap[a] = y;
    this.#heap[b] = x;
    y.place = a;
    x.place = b;
  }
}
