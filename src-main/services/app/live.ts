import type { AgentEvent } from "../../../src-shared/api/events.ts";
import type { Handoff, HandoffDetail, LabEvent } from "../../../src-shared/api/app/live.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import { HostClock } from "../../report/clock.ts";
import { type ClockTracker, managerMono } from "../clock.ts";
import type { ToldMessage } from "./handoff-view.ts";
import { LiveHandoffs, type LiveScene } from "./live-handoffs.ts";
import type { Emit } from "./store.ts";

const gatherMs = 75;
const mostPerBatch = 1000;
const keptEvents = 4000;
const keptMessages = 6000;

/** What the agents of one lab tell, placed on the manager's clock, gathered for the windows, and kept for those that come later. */
export class LiveLab {
  readonly #lab: string;
  readonly #emit: Emit;
  readonly #clockOf: (host: string) => ClockTracker | null;
  readonly #zero = { mono: managerMono(), wall: performance.timeOrigin + performance.now() };
  readonly #recent: LabEvent[] = [];
  readonly #messages: ToldMessage[] = [];
  readonly #sequences = new Map<string, number>();
  readonly #handoffs: LiveHandoffs;
  #queued: LabEvent[] = [];
  #lost = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(lab: string, emit: Emit, scene: LiveScene, clockOf: (host: string) => ClockTracker | null) {
    this.#lab = lab;
    this.#emit = emit;
    this.#clockOf = clockOf;
    this.#handoffs = new LiveHandoffs(scene, {
      zeroWall: this.#zero.wall,
      clock: (host) => this.#clock(host),
      messages: this.#messages,
      changed: (handoffs) => emit("handoff.changed", { lab, handoffs }),
    });
  }

  recent(limit: number): LabEvent[] {
    return this.#recent.slice(-limit);
  }

  handoffs(): Handoff[] {
    return this.#handoffs.list();
  }

  /** Throws AppError `not-found`. */
  handoff(id: string): HandoffDetail {
    const detail = this.#handoffs.get(id);
    if (!detail) throw new AppError("not-found", `handoff ${id} is not kept any more`, { remedy: "Open it in its run, if there was one." });
    return detail;
  }

  /** The contact refused a handoff of ours, so no agent tells of it. */
  refused(id: string, reason: string): void {
    this.#handoffs.refused(id, reason);
  }

  expect(...request: Parameters<LiveHandoffs["expect"]>): void {
    this.#handoffs.expect(...request);
  }

  /** An agent told something. */
  take(host: string, event: AgentEvent): void {
    const { body } = event;
    const last = this.#sequences.get(host);
    if (last !== undefined && event.sequence > last + 1) this.#lost += event.sequence - last - 1;
    this.#sequences.set(host, event.sequence);
    const clock = this.#clock(host);
    const runTime = clock?.fromMono("at" in body ? body.at : event.mono) ?? managerMono() - this.#zero.mono;
    const shown: LabEvent = { host, at: Math.max(0, this.#zero.wall + runTime), errorMs: clock?.errorAt(runTime) ?? null, event };
    this.#queued.push(shown);
    this.#recent.push(shown);
    if (this.#recent.length > keptEvents) this.#recent.splice(0, keptEvents / 2);
    if (body.type === "message") {
      this.#messages.push({ host, at: runTime, body });
      if (this.#messages.length > keptMessages) this.#messages.splice(0, keptMessages / 2);
    }
    this.#handoffs.take(host, event);
    this.#timer ??= setTimeout(() => this.#flush(), gatherMs);
  }

  /** An agent was connected to anew: its sequence starts anywhere. */
  forgetSequence(host: string): void {
    this.#sequences.delete(host);
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#handoffs.close();
  }

  #flush(): void {
    this.#timer = null;
    const events = this.#queued.splice(0, mostPerBatch);
    if (events.length === 0) return;
    this.#emit("agent.events", { lab: this.#lab, lost: this.#lost, events });
    this.#lost = 0;
    if (this.#queued.length > 0) this.#timer = setTimeout(() => this.#flush(), gatherMs);
  }

  #clock(host: string): HostClock | null {
    const current = this.#clockOf(host)?.current;
    if (!current) return null;
    const { at, offsetMs, errorMs } = current;
    return new HostClock([{ at: at - this.#zero.mono, monoOffsetMs: offsetMs, wallOffsetMs: offsetMs, errorMs }], this.#zero);
  }
}
