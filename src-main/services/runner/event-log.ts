import type { AgentEvent } from "../../../src-shared/api/events.ts";
import type { EventLine, ManagerEventBody } from "../../../src-shared/api/summary.ts";
import { HostClock } from "../../report/clock.ts";
import { LineFile } from "../../report/run-folder.ts";
import type { ClockSampler } from "./clock-sampler.ts";
import { managerMono } from "./session.ts";

/** Writes `events.jsonl` as the run goes: agents' events with their place in run time, and the manager's own. */
export class EventLog {
  readonly #file: LineFile;
  readonly #clocks: ClockSampler;
  readonly #listeners = new Set<(line: EventLine) => void>();
  #sequence = 0;

  constructor(path: string, clocks: ClockSampler) {
    this.#file = new LineFile(path);
    this.#clocks = clocks;
  }

  agent(host: string, event: AgentEvent): void {
    const samples = this.#clocks.samples(host);
    const { mono, wall, sequence, body } = event;
    const clock = samples.length > 0 ? new HostClock(samples, this.#clocks.zero) : null;
    const at = clock ? clock.fromMono(mono) : this.#clocks.now();
    this.#write({ at, errorMs: clock?.errorAt(at) ?? null, host, mono, wall, sequence, body });
  }

  manager(body: ManagerEventBody): void {
    this.#write({ at: this.#clocks.now(), errorMs: 0, host: "", mono: managerMono(), wall: Date.now(), sequence: this.#sequence++, body });
  }

  /** Tells of every line from now on. Returns the end of it. */
  listen(listener: (line: EventLine) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Rejects when lines could not be written. */
  end(): Promise<void> {
    return this.#file.end();
  }

  #write(line: EventLine): void {
    this.#file.append(line);
    for (const listener of this.#listeners) listener(line);
  }
}
