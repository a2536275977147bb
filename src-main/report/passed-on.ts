import type { TcpHeader } from "../capture/frame.ts";

/** What came to a member to be passed on leaves it within this time, or never, ms. */
const heldMs = 2000;

interface Waiting {
  readonly at: number;
  readonly acknowledgement: number;
  /** The first byte that has not left yet, and how many have not. */
  sequence: number;
  length: number;
}

/**
 * Tells the segments that a member passes on from those that it sends itself: what came in a tunnel leaves once, perhaps cut anew. `way` names a direction
 * of one connection at one member; times are in ms and never go back.
 */
export class PassedOn {
  readonly #waiting = new Map<string, Waiting[]>();

  came(way: string, { sequence, length, acknowledgement }: TcpHeader, at: number): void {
    const waiting = this.#waitingAt(way, at);
    waiting.push({ at, sequence, length, acknowledgement });
    this.#waiting.set(way, waiting);
  }

  /** Whether this segment came before. */
  left(way: string, { sequence, length, acknowledgement }: TcpHeader, at: number): boolean {
    const waiting = this.#waitingAt(way, at);
    const first = waiting.findIndex((each) => each.sequence === sequence && (length === 0 ? each.length === 0 && each.acknowledgement === acknowledgement : each.length > 0));
    const found = waiting[first];
    if (!found) return false;
    const taken = Math.min(length, found.length);
    found.sequence = (found.sequence + taken) >>> 0;
    found.length -= taken;
    if (found.length === 0) waiting.splice(first, 1);
    return true;
  }

  #waitingAt(way: string, at: number): Waiting[] {
    const waiting = this.#waiting.get(way) ?? [];
    while (waiting[0] && at - waiting[0].at > heldMs) waiting.shift();
    return waiting;
  }
}
