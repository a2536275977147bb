import type { AgentEvent } from "../../src-shared/api/events.ts";

/** Events wait for a lull of this length, but never longer than `latestMs`, in ms. */
const lullMs = 20;
const latestMs = 200;

/**
 * Keeps events until the agent has nothing else to do. Writing one wakes its readers, who then may get this processor in the middle of a handoff:
 * that costs milliseconds. Events carry their own times, so that telling them late changes none. Order is kept.
 */
export class EventOutbox {
  readonly #write: (events: readonly AgentEvent[]) => void;
  #waiting: AgentEvent[] = [];
  #timer: NodeJS.Timeout | null = null;
  #since = 0;

  constructor(write: (events: readonly AgentEvent[]) => void) {
    this.#write = write;
  }

  put(event: AgentEvent): void {
    const now = performance.now();
    if (this.#waiting.length === 0) this.#since = now;
    this.#waiting.push(event);
    if (now - this.#since >= latestMs) return this.flush();
    if (this.#timer) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.flush(), lullMs);
  }

  /** Writes what waits. Before an answer to a call, so that what happened on its behalf is told first, and at the end. */
  flush(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const events = this.#waiting;
    if (events.length === 0) return;
    this.#waiting = [];
    this.#write(events);
  }
}
