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

/** koffi 3.3 calls back with libuv's status first, unlike what its types say. */
type Callback = (status: number, ready: Readiness) => void;
interface PollHandle {
  start(interest: Interest, callback: Callback): void;
  stop(): void;
  close(): void;
}
const poll = koffi.node.poll as unknown as (fd: number, interest: Interest, callback: Callback) => PollHandle;

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
  readonly #handler: Callback;
  #interest = "";
  #closed = false;

  constructor(fd: number, interest: Interest, handler: (ready: Readiness) => void) {
    this.#handler = (status, ready) => call(handler, status < 0 ? failed : ready);
    this.#handle = poll(fd, interest, this.#handler);
    this.#interest = key(interest);
    count(1);
  }

  /** Changes what is waited for; nothing at all pauses it. */
  want(interest: Interest): void {
    if (this.#closed || key(interest) === this.#interest) return;
    this.#interest = key(interest);
    if (interest.readable || interest.writable) this.#handle.start(interest, this.#handler);
    else this.#handle.stop();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    count(-1);
    this.#handle.close();
  }
}

/** A broken descriptor is ready for everything: the call that follows says what is wrong. */
const failed: Readiness = { readable: true, writable: true, disconnect: true };

/** koffi swallows what a callback throws: throw it again where it is seen. */
function call(handler: (ready: Readiness) => void, ready: Readiness): void {
  try {
    handler(ready);
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
  }
}

function key(interest: Interest): string {
  return `${interest.readable ? "r" : ""}${interest.writable ? "w" : ""}`;
}
