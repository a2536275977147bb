import type { AgentEventBody } from "../src-shared/api/events.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import { describe } from "../src-shared/protocol/wire/describe.ts";

/** A told drop per reason at most this often; the counts are always exact. */
const tellEveryMs = 1_000;

/** Reasons counted apart; whatever else comes is counted together. The sentences in the sources are fewer. */
const maximumReasons = 200;
export const otherReasons = "other reasons";

/** Counts what was refused, by reason, and tells about it at a bounded rate. */
export class Drops {
  readonly #counts = new Map<string, { count: number; toldAt: number }>();
  /** Counted elsewhere, as last told. */
  readonly #reported = new Map<string, { count: number; toldAt: number }>();
  readonly #tell: (event: AgentEventBody) => void;
  readonly #mono: () => number;

  constructor(tell: (event: AgentEventBody) => void, mono: () => number) {
    this.#tell = tell;
    this.#mono = mono;
  }

  add(told: string, packet?: MobilityPacket, detail = ""): void {
    // Whoever names handoffs must not make up reasons.
    const sentence = told.replace(/\bhandoff (?!that\b)\S+/, "a handoff");
    const reason = this.#counts.has(sentence) || this.#counts.size < maximumReasons ? sentence : otherReasons;
    const now = this.#mono();
    const entry = this.#counts.get(reason) ?? { count: 0, toldAt: -Infinity };
    entry.count++;
    this.#counts.set(reason, entry);
    if (now - entry.toldAt < tellEveryMs) return;
    entry.toldAt = now;
    this.#tell({ type: "drop", reason, count: entry.count, sample: packet ? describe(packet) : detail });
  }

  /** What another part has counted by itself: `count` in all. Told like the others, when it has grown. */
  report(reason: string, count: number, place: string): void {
    const now = this.#mono();
    const entry = this.#reported.get(reason) ?? { count: 0, toldAt: -Infinity };
    if (count <= entry.count || now - entry.toldAt < tellEveryMs) return;
    this.#reported.set(reason, { count, toldAt: now });
    this.#tell({ type: "drop", reason, count, sample: place });
  }

  counts(): Record<string, number> {
    return Object.fromEntries([...this.#counts].map(([reason, { count }]) => [reason, count]));
  }
}
