import type { AgentEvent } from "../../src-shared/api/events.ts";
import type { HandoffMode, HandoffStepName } from "../../src-shared/api/handoff.ts";
import type { HandoffRecord } from "../../src-shared/api/summary.ts";
import type { HostClock } from "./clock.ts";
import { predictedGapMs, predictedMs, predictedSteps, startStep, type Latencies } from "./steps.ts";

/** An agent's event and the host it came from. */
export interface HostEvent {
  readonly host: string;
  readonly event: AgentEvent;
}

/** A handoff as the runner asked for it. */
export interface HandoffAttempt {
  readonly id: string;
  readonly client: string;
  readonly clientAddress: string;
  readonly contact: string;
  /** The member that served the client, as far as the runner knew; the agents' own word counts. */
  readonly donor: string;
  readonly acceptor: string;
  readonly mode: HandoffMode;
  readonly counts: boolean;
  readonly point: Readonly<Record<string, number | string>>;
  readonly repetition: number;
  readonly progress: Readonly<Record<string, number>>;
  /** One-way latencies in force then, for whichever member was the donor. */
  readonly latencies: (donor: string) => Latencies;
  readonly failure: string | null;
}

type StepEvent = Extract<AgentEvent["body"], { type: "handoffStep" }>;

/** Puts the record of each attempt together from what contact, donor and acceptor told. What only a capture shows is left null. */
export function assembleRecords(attempts: readonly HandoffAttempt[], events: readonly HostEvent[], clocks: ReadonlyMap<string, HostClock>): HandoffRecord[] {
  const told = new Map<string, { host: string; step: StepEvent }[]>();
  const ends = new Map<string, AgentEvent["body"]>();
  for (const { host, event } of events) {
    const { body } = event;
    if (body.type === "handoffStep") told.set(body.handoff, [...(told.get(body.handoff) ?? []), { host, step: body }]);
    if (body.type === "handoffDone" || body.type === "handoffFailed") ends.set(body.handoff, body);
  }
  return attempts.map((attempt) => record(attempt, told.get(attempt.id) ?? [], ends.get(attempt.id), clocks));
}

function record(attempt: HandoffAttempt, told: readonly { readonly host: string; readonly step: StepEvent }[], end: AgentEvent["body"] | undefined, clocks: ReadonlyMap<string, HostClock>): HandoffRecord {
  const { mode } = attempt;
  const instants: { [N in HandoffStepName]?: number } = {};
  let clockErrorMs = 0;
  for (const { host, step } of told) {
    const clock = clocks.get(host);
    if (!clock || instants[step.step] !== undefined) continue;
    const at = clock.fromMono(step.at);
    instants[step.step] = at;
    clockErrorMs = Math.max(clockErrorMs, clock.errorAt(at));
  }
  const donor = told[0]?.step.donor ?? attempt.donor;
  const latencies = attempt.latencies(donor);
  const between = (from: HandoffStepName, to: HandoffStepName) => difference(instants[from], instants[to]);
  const failed = end?.type === "handoffFailed" ? `${end.step}: ${end.reason}` : attempt.failure;
  const start = instants[startStep(mode)];
  return {
    id: attempt.id,
    ok: failed === null && instants.firstPacket !== undefined,
    reason: failed ?? (instants.firstPacket === undefined ? "the acceptor's first packet was not told" : null),
    counts: attempt.counts,
    client: attempt.client,
    clientAddress: attempt.clientAddress,
    connections: end?.type === "handoffDone" ? end.connections : Math.max(0, ...told.map(({ step }) => step.connections ?? 0)),
    contact: attempt.contact,
    donor,
    acceptor: attempt.acceptor,
    mode,
    decidedAt: instants.decided ?? null,
    startAt: start ?? null,
    frozenAt: instants.frozen ?? null,
    firstPacketAt: instants.firstPacket ?? null,
    predictedMs: predictedMs(mode, latencies),
    measuredMs: between(startStep(mode), "firstPacket"),
    decisionMs: between("decided", startStep(mode)),
    drainMs: end?.type === "handoffDone" ? end.drainMs : null,
    frozenMs: between("frozen", "firstPacket"),
    clientGapMs: null,
    predictedGapMs: predictedGapMs(latencies),
    gaps: [],
    bytesLost: null,
    bytesDuplicated: null,
    stateBytes: end?.type === "handoffDone" ? end.bytes : (told.find(({ step }) => step.bytes !== undefined)?.step.bytes ?? null),
    steps: predictedSteps(mode, latencies).map((step) => ({ ...step, measuredMs: between(step.from, step.to) })),
    instants,
    clockErrorMs: 2 * clockErrorMs,
    latencies: { ...latencies },
    point: { ...attempt.point },
    repetition: attempt.repetition,
    progress: { ...attempt.progress },
  };
}

function difference(from: number | undefined, to: number | undefined): number | null {
  return from === undefined || to === undefined ? null : to - from;
}
