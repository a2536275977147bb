import type { AgentClient } from "./agent-client.ts";

/** A host's monotonic clock against the manager's: `offsetMs` = host − manager, at the manager's time `at`; the truth is within ± `errorMs`. */
export interface ClockEstimate {
  readonly offsetMs: number;
  readonly errorMs: number;
  /** Shortest round trip of the pings used. */
  readonly rttMs: number;
  /** Wall clock of the host minus the manager's, same error. */
  readonly wallOffsetMs: number;
  readonly at: number;
  /** How much faster the host's clock runs than ours, parts per million; 0 until there are two estimates some time apart. */
  readonly driftPpm: number;
}

/** One ping: our clock before and after, and the host's clocks in between. Milliseconds. */
export interface ClockSample {
  readonly sent: number;
  readonly received: number;
  readonly mono: number;
  readonly wallOffset: number;
}

/** The manager's monotonic clock in ms. */
export const managerMono = (): number => Number(process.hrtime.bigint()) / 1e6;

/**
 * The offset from the samples with the shortest round trips. The host's answer lies somewhere between sent and received, so each sample bounds
 * the offset by half its round trip, whatever the asymmetry of the path; the bounds of all samples must hold, so they are intersected.
 * Throws RangeError when there is no sample.
 */
export function estimateOffset(samples: readonly ClockSample[]): Omit<ClockEstimate, "driftPpm"> {
  if (samples.length === 0) throw new RangeError("no clock sample");
  const best = samples.reduce((a, b) => (b.received - b.sent < a.received - a.sent ? b : a));
  const low = Math.max(...samples.map((s) => s.mono - s.received));
  const high = Math.min(...samples.map((s) => s.mono - s.sent));
  const rttMs = best.received - best.sent;
  // Drift during the pings may make the bounds miss each other by microseconds: then the best sample alone speaks.
  const [from, to] = low <= high ? [low, high] : [best.mono - best.received, best.mono - best.sent];
  return { offsetMs: (from + to) / 2, errorMs: (to - from) / 2, rttMs, wallOffsetMs: best.wallOffset, at: (best.sent + best.received) / 2 };
}

/** A newer estimate with the drift against an older one, where they are far enough apart to tell it from the error. */
export function withDrift(newer: Omit<ClockEstimate, "driftPpm">, older: ClockEstimate | undefined): ClockEstimate {
  const apart = older ? newer.at - older.at : 0;
  const change = older ? newer.offsetMs - older.offsetMs : 0;
  const uncertain = older ? newer.errorMs + older.errorMs : 0;
  const driftPpm = apart > 0 && Math.abs(change) > uncertain ? (change / apart) * 1e6 : (older?.driftPpm ?? 0);
  return { ...newer, driftPpm };
}

/** A host's monotonic time as the manager's, by its estimate: ms on `managerMono`. */
export function toManagerTime(hostMono: number, clock: ClockEstimate): number {
  const now = hostMono - clock.offsetMs;
  return now - ((now - clock.at) * clock.driftPpm) / 1e6;
}

/** Pings an agent `count` times, one after the other, and estimates its clock. */
export async function measureClock(agent: AgentClient, count = 8, older?: ClockEstimate): Promise<ClockEstimate> {
  const samples: ClockSample[] = [];
  for (let i = 0; i < count; i++) {
    const sent = managerMono();
    const wall = Date.now();
    const host = await agent.call("clock", {}, 10_000);
    const received = managerMono();
    samples.push({ sent, received, mono: host.mono, wallOffset: host.wall - (wall + (received - sent) / 2) });
  }
  return withDrift(estimateOffset(samples), older);
}

/** Keeps a host's estimate fresh. `current` is the last one; a failed ping keeps it and tries again next time. */
export class ClockTracker {
  readonly #agent: AgentClient;
  readonly #timer: NodeJS.Timeout;
  readonly #listeners = new Set<(estimate: ClockEstimate) => void>();
  #current: ClockEstimate;
  #first: ClockEstimate;

  private constructor(agent: AgentClient, first: ClockEstimate, everyMs: number) {
    this.#agent = agent;
    this.#first = first;
    this.#current = first;
    this.#timer = setInterval(() => void this.#update(), everyMs);
    this.#timer.unref();
    void agent.closed.then(() => this.stop());
  }

  static async start(agent: AgentClient, everyMs = 10_000): Promise<ClockTracker> {
    return new ClockTracker(agent, await measureClock(agent, 12), everyMs);
  }

  get current(): ClockEstimate {
    return this.#current;
  }

  onEstimate(listener: (estimate: ClockEstimate) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#listeners.clear();
  }

  async #update(): Promise<void> {
    try {
      // Drift against the first estimate: the longer the base, the smaller its error.
      this.#current = await measureClock(this.#agent, 8, this.#first);
      for (const listener of this.#listeners) listener(this.#current);
    } catch {
      // The channel's own end is reported by AgentClient.closed.
    }
  }
}
