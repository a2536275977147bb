import koffi from "koffi";

/** What a descriptor is ready for. `disconnect`: the other end is gone, or an error waits to be read. */
export interface Readiness {
  readonly readable: boolean;
  readonly writable: boolean;
  readonly disconnect: boolean;
}

/** What to wait for. */
export interface Interest {
  readonly readable?: boolean;
  readonly writable?: boolean;
}

type PollHandle = ReturnType<typeof koffi.node.poll>;

/** koffi's poll handles do not keep Node's event loop alive: this timer does, as long as any descriptor is watched. */
let open = 0;
let alive: NodeJS.Timeout | null = null;

function count(change: 1 | -1): void {
  open += change;
  if (open > 0) alive ??= setInterval(() => {}, 0x7fffffff);
  else if (alive) {
    clearInterval(alive);
    alive = null;
  }
}

/** A descriptor on Node's event loop, level-triggered; keeps the process alive. Close it before the descriptor. */
export class Watch {
  readonly #handle: PollHandle;
  readonly #handler: (ready: Readiness) => void;
  #interest = "";
  #closed = false;

  constructor(fd: number, interest: Interest, handler: (ready: Readiness) => void) {
    this.#handler = handler;
    this.#handle = koffi.node.poll(fd, { readable: false, writable: false, ...interest }, handler);
    this.#interest = key(interest);
    count(1);
  }

  /** Changes what is waited for; nothing at all pauses it. */
  want(interest: Interest): void {
    if (this.#closed || key(interest) === this.#interest) return;
    this.#interest = key(interest);
    if (interest.readable || interest.writable) this.#handle.start({ readable: false, writable: false, ...interest }, this.#handler);
    else this.#handle.stop();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    count(-1);
    this.#handle.close();
  }
}

function key(interest: Interest): string {
  return `${interest.readable ? "r" : ""}${interest.writable ? "w" : ""}`;
}
