import type { AgentEventBody } from "../src-shared/api/events.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import { describe } from "../src-shared/protocol/wire/describe.ts";

/** A told drop per reason at most this often; the counts are always exact. */
const tellEveryMs = 1_000;

/** Counts what was refused, by reason, and tells about it at a bounded rate. */
export class Drops {
  readonly #counts = new Map<string, { count: number; toldAt: number }>();
  readonly #tell: (event: AgentEventBody) => void;
  readonly #mono: () => number;

  constructor(tell: (event: AgentEventBody) => void, mono: () => number) {
    this.#tell = tell;
    this.#mono = mono;
  }

  add(reason: string, packet?: MobilityPacket, detail = ""): void {
    const now = this.#mono();
    const entry = this.#counts.get(reason) ?? { count: 0, toldAt: -Infinity };
    entry.count++;
    this.#counts.set(reason, entry);
    if (now - entry.toldAt < tellEveryMs) return;
    entry.toldAt = now;
    this.#tell({ type: "drop", reason, count: entry.count, sample: packet ? describe(packet) : detail });
  }

  counts(): Record<string, number> {
    return Object.fromEntries([...this.#counts].map(([reason, { count }]) => [reason, count]));
  }
}
