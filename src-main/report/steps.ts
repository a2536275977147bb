import type { HandoffMode, HandoffStepName } from "../../src-shared/api/handoff.ts";

/**
 * What a handoff's time consists of (docs/run-folder.md): each part lies between two instants that a packet marks, and the parts of a mode add
 * up to the time from `startAt` to `firstPacketAt`. `terms` count one-way latencies: K contact, H home agent, D donor, A acceptor, C client.
 */
export interface StepBudget {
  readonly name: string;
  readonly from: HandoffStepName;
  readonly to: HandoffStepName;
  readonly terms: Readonly<Record<string, number>>;
}

const stateToAcceptor = (from: HandoffStepName): StepBudget => ({ name: "state to the acceptor", from, to: "careOfTestInit", terms: { L_DA: 1 } });
const shared: readonly StepBudget[] = [
  { name: "care-of test", from: "careOfTestInit", to: "careOfTest", terms: { L_AC: 2 } },
  { name: "binding", from: "careOfTest", to: "bindingAcknowledgement", terms: { L_AC: 2 } },
  { name: "connections live", from: "bindingAcknowledgement", to: "firstPacket", terms: {} },
];

const budgets: Readonly<Record<HandoffMode, readonly StepBudget[]>> = {
  full: [
    { name: "home test", from: "homeTestInit", to: "homeTest", terms: { L_KH: 2, L_HC: 2 } },
    { name: "state to the acceptor", from: "homeTest", to: "careOfTestInit", terms: { L_KD: 1, L_DA: 1 } },
    ...shared,
  ],
  prepared: [stateToAcceptor("frozen"), ...shared],
};

/** Names of the latencies, in the order in which tables show them. L_KD is 0 where the contact is the donor. */
export const latencyNames = ["L_KH", "L_HC", "L_KD", "L_DA", "L_AC", "L_DC"] as const;
export type LatencyName = (typeof latencyNames)[number];
/** One-way latencies in ms, from the first to the second named role. */
export type Latencies = Readonly<Record<LatencyName, number>>;

/** The instant from which a mode's time counts. */
export const startStep: Readonly<Record<HandoffMode, HandoffStepName>> = { full: "homeTestInit", prepared: "frozen" };

export function stepBudget(mode: HandoffMode): readonly StepBudget[] {
  return budgets[mode];
}

/** A step's predicted duration, ms. */
export function stepMs(step: StepBudget, latencies: Latencies): number {
  return Object.entries(step.terms).reduce((sum, [name, times]) => sum + times * latencies[name as LatencyName], 0);
}

/** How often each latency counts in a mode's whole time: what a regression over measurements has to find. */
export function modeTerms(mode: HandoffMode): Readonly<Record<string, number>> {
  const terms: Record<string, number> = {};
  for (const step of budgets[mode]) for (const [name, times] of Object.entries(step.terms)) terms[name] = (terms[name] ?? 0) + times;
  return terms;
}

/** Predicted time from `startAt` to `firstPacketAt`, ms. */
export function predictedMs(mode: HandoffMode, latencies: Latencies): number {
  return budgets[mode].reduce((sum, step) => sum + stepMs(step, latencies), 0);
}

/**
 * Predicted silence at the client, ms: the donor's last packet arrives L_DC after the freeze, the acceptor's first one L_AC after it left.
 * Empty queues; a workload's own period comes on top.
 */
export function predictedGapMs(latencies: Latencies): number {
  const { L_DA, L_AC, L_DC } = latencies;
  return Math.max(0, L_DA + 4 * L_AC + L_AC - L_DC);
}
