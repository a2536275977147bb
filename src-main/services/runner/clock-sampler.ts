import type { ClockSample, RunDescription } from "../../../src-shared/api/summary.ts";
import { median } from "../../../src-shared/stats/quantile.ts";
import { managerMono, type ClockReading, type LabSession } from "./session.ts";

const firstReadings = 8;
const everyMs = 1000;
/** Of each stretch of this length one sample is kept. */
const stretchMs = 20_000;
const apartReadings = 15;

/** Reads the hosts' clocks all through a run. Several samples are kept over time because clocks drift. */
export class ClockSampler {
  readonly zero: RunDescription["zero"];
  readonly #session: LabSession;
  readonly #samples = new Map<string, ClockSample[]>();
  /** Wall clock minus monotonic clock of each host, its latest readings. */
  readonly #apart = new Map<string, number[]>();
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

  /** The host reads its two clocks one after the other, and may be held up in between: the median of several readings is not. */
  #wallMinusMono(host: string, reading: ClockReading): number {
    const latest = [...(this.#apart.get(host) ?? []), reading.hostWall - reading.hostMono].slice(-apartReadings);
    this.#apart.set(host, latest);
    return median(latest);
  }

  async #read(host: string): Promise<void> {
    const reading = await this.#session.readClock(host);
    const samples = this.#samples.get(host) ?? [];
    this.#samples.set(host, samples);
    const at = reading.managerMono - this.zero.mono;
    const last = samples.at(-1);
    const sameStretch = last !== undefined && Math.floor(last.at / stretchMs) === Math.floor(at / stretchMs);
    const bounds = narrowed(reading, sameStretch ? last : undefined, at);
    const sample: ClockSample = {
      at,
      ...bounds,
      // The host's wall clock is as well known as its other one. Against the manager's wall clock as it was at the run's zero, so that a later
      // step of that moves nothing.
      wallOffsetMs: bounds.monoOffsetMs + this.#wallMinusMono(host, reading) - (this.zero.wall - this.zero.mono),
    };
    if (sameStretch) samples[samples.length - 1] = sample;
    else samples.push(sample);
  }
}

/** Two clocks drift apart by up to about this, ms per ms. */
const drift = 50e-6;

/**
 * The host read its clock somewhere between our question and its answer, so each reading bounds the offset, whatever the asymmetry of the path;
 * the bounds of several readings must all hold, those of older ones widened by what the clocks may have drifted.
 */
function narrowed(reading: ClockReading, last: ClockSample | undefined, at: number): Pick<ClockSample, "monoOffsetMs" | "errorMs"> {
  const offset = reading.hostMono - reading.managerMono;
  const alone = { monoOffsetMs: offset, errorMs: reading.errorMs };
  if (!last) return alone;
  const widened = last.errorMs + (at - last.at) * drift;
  const low = Math.max(offset - reading.errorMs, last.monoOffsetMs - widened);
  const high = Math.min(offset + reading.errorMs, last.monoOffsetMs + widened);
  // Bounds that miss each other: the clock was set, or a reading was wrong about its error. The newest one speaks.
  return low > high ? alone : { monoOffsetMs: (low + high) / 2, errorMs: (high - low) / 2 };
}
