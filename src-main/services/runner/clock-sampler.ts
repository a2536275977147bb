import type { ClockSample, RunDescription } from "../../../src-shared/api/summary.ts";
import { managerMono, type LabSession } from "./session.ts";

const firstReadings = 8;
const everyMs = 1000;
/** Of each stretch of this length the best reading is kept. */
const stretchMs = 20_000;

/**
 * Reads the hosts' clocks all through a run. A reading's error is half its round trip, so the quickest of many is the best one; several are
 * kept over time because clocks drift.
 */
export class ClockSampler {
  readonly zero: RunDescription["zero"];
  readonly #session: LabSession;
  readonly #samples = new Map<string, ClockSample[]>();
  #timer: NodeJS.Timeout | null = null;
  #busy: Promise<void> = Promise.resolve();

  constructor(session: LabSession) {
    this.#session = session;
    this.zero = { mono: managerMono(), wall: performance.timeOrigin + performance.now() };
  }

  /** Run time now, ms. */
  now(): number {
    return managerMono() - this.zero.mono;
  }

  /** Takes the first readings of all hosts, then goes on by itself. Rejects when a host does not answer. */
  async start(): Promise<void> {
    await Promise.all(
      this.#session.hosts.map(async ({ name }) => {
        for (let i = 0; i < firstReadings; i++) await this.#read(name);
      }),
    );
    this.#timer = setInterval(() => (this.#busy = this.#round()), everyMs);
  }

  async stop(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    await this.#busy;
    await this.#round();
  }

  samples(host: string): readonly ClockSample[] {
    return this.#samples.get(host) ?? [];
  }

  /** One reading of each host; a host that is gone for the moment is passed over. */
  async #round(): Promise<void> {
    await Promise.all(this.#session.hosts.map(({ name }) => this.#read(name).catch(() => {})));
  }

  async #read(host: string): Promise<void> {
    const reading = await this.#session.readClock(host);
    const at = reading.managerMono - this.zero.mono;
    const sample: ClockSample = {
      at,
      monoOffsetMs: reading.hostMono - reading.managerMono,
      // Against the manager's wall clock as it was at the run's zero, so that a later step of it moves nothing.
      wallOffsetMs: reading.hostWall - (this.zero.wall + at),
      errorMs: reading.errorMs,
    };
    const samples = this.#samples.get(host) ?? [];
    this.#samples.set(host, samples);
    const last = samples.at(-1);
    const sameStretch = last !== undefined && Math.floor(last.at / stretchMs) === Math.floor(at / stretchMs);
    if (!sameStretch) samples.push(sample);
    else if (sample.errorMs < last.errorMs) samples[samples.length - 1] = sample;
  }
}
