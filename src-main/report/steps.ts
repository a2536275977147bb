import type { HandoffMode, HandoffStepName } from "../../src-shared/api/handoff.ts";
import { coefficients, predict, type Latencies as PathLatencies } from "../../src-shared/predict/predict.ts";

/** Names of one-way latencies as people and files write them; L_KD is 0 where the contact is the donor. */
export const latencyNames = ["L_KH", "L_HC", "L_KD", "L_DA", "L_AC", "L_DC"] as const;
export type LatencyName = (typeof latencyNames)[number];
/** One-way latencies in ms, from the first to the second named role. */
export type Latencies = Readonly<Record<LatencyName, number>>;

/**
 * The instants between which the steps of a mode's budget lie, each marked by a packet (docs/run-folder.md). The last step, from the
 * acknowledgement to the first packet, has no share in the prediction: it is the acceptor's own time.
 */
const boundaries: Readonly<Record<HandoffMode, readonly HandoffStepName[]>> = {
  full: ["homeTestInit", "homeTest", "careOfTestInit", "careOfTest", "bindingAcknowledgement", "firstPacket"],
  prepared: ["frozen", "careOfTestInit", "careOfTest", "bindingAcknowledgement", "firstPacket"],
};

export interface PredictedStep {
  readonly name: string;
  readonly from: HandoffStepName;
  readonly to: HandoffStepName;
  readonly predictedMs: number;
}

/** The instant from which a mode's time counts. */
export function startStep(mode: HandoffMode): HandoffStepName {
  return boundaries[mode][0] as HandoffStepName;
}

/** The steps of a handoff with their share of the predicted time; the shares add up to `predictedMs`. */
export function predictedSteps(mode: HandoffMode, latencies: Latencies): PredictedStep[] {
  const places = boundaries[mode];
  const steps = [...predict(mode, paths(latencies)).steps, { name: "connections live", predictedMs: 0 }];
  return steps.map((step, i) => ({ ...step, from: places[i] as HandoffStepName, to: places[i + 1] as HandoffStepName }));
}

/** Predicted time from `startAt` to `firstPacketAt`, ms. */
export function predictedMs(mode: HandoffMode, latencies: Latencies): number {
  return predict(mode, paths(latencies)).totalMs;
}

/** How often each latency counts in a mode's whole time: what a regression over measurements has to find. */
export function modeTerms(mode: HandoffMode): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(coefficients(mode) ?? {}).map(([path, times]) => [`L_${path}`, times]));
}

/**
 * Predicted silence at the client, ms: the donor's last packet arrives L_DC after the freeze, the acceptor's first one L_AC after it left.
 * Both modes freeze with the home token at hand, so both are silent for as long. Empty queues; a workload's own period comes on top.
 */
export function predictedGapMs(latencies: Latencies): number {
  return Math.max(0, predictedMs("prepared", latencies) + latencies.L_AC - latencies.L_DC);
}

function paths(latencies: Latencies): PathLatencies {
  const { L_KH, L_HC, L_KD, L_DA, L_AC, L_DC } = latencies;
  return { KH: L_KH, HC: L_HC, KD: L_KD, DA: L_DA, AC: L_AC, DC: L_DC };
}
