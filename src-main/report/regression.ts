import type { HandoffMode } from "../../src-shared/api/handoff.ts";
import type { HandoffRecord, PointRecord, RegressionRecord } from "../../src-shared/api/summary.ts";
import { median } from "../../src-shared/stats/quantile.ts";
import { leastSquares, type Observation, type Regression } from "../../src-shared/stats/regression.ts";
import { modeTerms } from "./steps.ts";

/** A handoff that statistics may use. */
export type CountedHandoff = HandoffRecord & { readonly measuredMs: number };

export function countedHandoffs(records: readonly HandoffRecord[]): CountedHandoff[] {
  return records.filter((record): record is CountedHandoff => record.counts && record.ok && record.measuredMs !== null);
}

/** Every latency that some mode's total could depend on is offered to the fit, so that one which should not count is found to have coefficient 0. */
const offeredTerms = ["L_KH", "L_HC", "L_DA", "L_AC"];

/** One fit per mode that was run with latencies varied enough to tell its terms apart, or at least L_CS from L_SS; others are left out. */
export function regressions(records: readonly HandoffRecord[]): RegressionRecord[] {
  return byMode(records).flatMap(([mode, handoffs]) => {
    const fit = fitted(handoffs.map((handoff) => ({ y: handoff.measuredMs, terms: pick(handoff.latencies, varied(handoffs)) })));
    const paper = fitted(handoffs.filter(isPaperCase).map((handoff) => ({ y: handoff.measuredMs, terms: { CS: handoff.latencies.L_AC as number, SS: handoff.latencies.L_DA as number } })));
    // Crossed points alone tell L_CS from L_SS, but not the hops that these consist of.
    const whole = fit ?? paper;
    if (!whole) return [];
    return [{ mode, terms: fit ? { ...fit.coefficients } : {}, coefCS: paper?.coefficients.CS ?? null, coefSS: paper?.coefficients.SS ?? null, interceptMs: whole.intercept, r2: whole.r2, n: whole.n }];
  });
}

/** The paper's formulas hold where all client hops are equal, all server hops are equal, and the contact is the donor. */
function isPaperCase(handoff: HandoffRecord): boolean {
  const { L_KH, L_HC, L_KD, L_DA, L_AC } = handoff.latencies;
  return L_HC === L_AC && L_KH === L_DA && (L_KD ?? 0) === 0;
}

/** Measured against predicted at each point and mode, for points with at least one counted handoff. */
export function points(records: readonly HandoffRecord[]): PointRecord[] {
  const groups = new Map<string, CountedHandoff[]>();
  for (const record of countedHandoffs(records)) {
    const key = JSON.stringify([record.mode, Object.entries(record.point).sort(([a], [b]) => (a < b ? -1 : 1))]);
    groups.set(key, [...(groups.get(key) ?? []), record]);
  }
  return [...groups.values()].map((group) => {
    const [first] = group as [CountedHandoff];
    return {
      mode: first.mode,
      point: first.point,
      n: group.length,
      predictedMs: first.predictedMs,
      medianMs: median(group.map((record) => record.measuredMs)),
      medianResidualMs: median(group.map((record) => record.measuredMs - record.predictedMs)),
    };
  });
}

/** How often each latency should count in a mode, for the terms that a fit has. */
export function expectedTerms(mode: HandoffMode): Readonly<Record<string, number>> {
  return { ...Object.fromEntries(offeredTerms.map((term) => [term, 0])), ...modeTerms(mode) };
}

function byMode(records: readonly HandoffRecord[]): [HandoffMode, CountedHandoff[]][] {
  const groups = new Map<HandoffMode, CountedHandoff[]>();
  for (const record of countedHandoffs(records)) groups.set(record.mode, [...(groups.get(record.mode) ?? []), record]);
  return [...groups];
}

function varied(handoffs: readonly HandoffRecord[]): string[] {
  return offeredTerms.filter((term) => new Set(handoffs.map((handoff) => handoff.latencies[term])).size > 1);
}

function pick(latencies: Readonly<Record<string, number>>, terms: readonly string[]): Record<string, number> {
  return Object.fromEntries(terms.map((term) => [term, latencies[term] as number]));
}

/** Null where the observations cannot determine the terms. */
function fitted(observations: readonly Observation[]): Regression | null {
  if (Object.keys(observations[0]?.terms ?? {}).length === 0) return null;
  try {
    return leastSquares(observations);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
