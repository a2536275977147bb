import type { ClockSample, RunDescription } from "../../src-shared/api/summary.ts";

/** How much a sample's worth falls with its distance in time: two quartz clocks drift apart by up to about this. */
const driftPerMs = 50e-6;

/**
 * Places one host's clock readings in run time: milliseconds after the run's zero on the manager's monotonic clock. Events carry the host's
 * monotonic clock and packets its wall clock; both come from the same samples, so that the two agree whatever the error between hosts is.
 */
export class HostClock {
  readonly #samples: readonly ClockSample[];
  readonly #zero: RunDescription["zero"];
  readonly #bestBySecond = new Map<number, ClockSample>();

  /** `samples` must not be empty. */
  constructor(samples: readonly ClockSample[], zero: RunDescription["zero"]) {
    if (samples.length === 0) throw new RangeError("a host's clock needs at least one sample");
    this.#samples = samples;
    this.#zero = zero;
  }

  fromMono(mono: number): number {
    const rough = mono - this.#best(0).monoOffsetMs - this.#zero.mono;
    return mono - this.#best(rough).monoOffsetMs - this.#zero.mono;
  }

  fromWall(wall: number): number {
    const rough = wall - this.#best(0).wallOffsetMs - this.#zero.wall;
    return wall - this.#best(rough).wallOffsetMs - this.#zero.wall;
  }

  /** The host's wall clock at a run time: the inverse of `fromWall`. */
  toWall(at: number): number {
    return at + this.#best(at).wallOffsetMs + this.#zero.wall;
  }

  /** ± error of this host's times against the manager's clock, around a run time. */
  errorAt(at: number): number {
    const sample = this.#best(at);
    return sample.errorMs + Math.abs(at - sample.at) * driftPerMs;
  }

  /** The sample to use around a time: one choice per second, so that events and packets of the same moment use the same. */
  #best(at: number): ClockSample {
    const second = Math.round(at / 1000);
    let best = this.#bestBySecond.get(second);
    if (!best) {
      best = this.#cheapest(second * 1000);
      this.#bestBySecond.set(second, best);
    }
    return best;
  }

  #cheapest(at: number): ClockSample {
    let best = this.#samples[0] as ClockSample;
    const cost = (sample: ClockSample) => sample.errorMs + Math.abs(at - sample.at) * driftPerMs;
    for (const sample of this.#samples) if (cost(sample) < cost(best)) best = sample;
    return best;
  }
}

/** Every host's clock, by name. Hosts without samples (no agent answered there) are absent. */
export function hostClocks(run: Pick<RunDescription, "hosts" | "zero">): ReadonlyMap<string, HostClock> {
  return new Map(run.hosts.flatMap((host) => (host.clock.length > 0 ? [[host.name, new HostClock(host.clock, run.zero)] as const] : [])));
}
