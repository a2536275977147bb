import type { Threshold } from "../../src-shared/api/scenario.ts";
import type { ThresholdRecord } from "../../src-shared/api/summary.ts";
import { metric, type Measured } from "./metrics.ts";

/** Holds a run against a scenario's thresholds. What can't be computed is not met. */
export function judge(thresholds: readonly Threshold[], run: Measured): ThresholdRecord[] {
  return thresholds.map((threshold) => {
    const result = metric(threshold.metric, run);
    const { compare, limit } = bound(threshold);
    const within = threshold.within ?? null;
    return {
      name: threshold.name,
      metric: threshold.metric,
      ok: result.value !== null && meets(result.value, compare, limit, within ?? 0),
      value: result.value,
      compare,
      limit,
      within,
      unit: threshold.unit,
      reason: result.value === null ? result.reason : null,
    };
  });
}

function bound(threshold: Threshold): Pick<ThresholdRecord, "compare" | "limit"> {
  for (const compare of ["atMost", "atLeast", "equals", "about"] as const) {
    const limit = threshold[compare];
    if (limit !== undefined) return { compare, limit };
  }
  throw new RangeError(`threshold "${threshold.name}" has no bound`);
}

function meets(value: number, compare: ThresholdRecord["compare"], limit: number, within: number): boolean {
  switch (compare) {
    case "atMost":
      return value <= limit;
    case "atLeast":
      return value >= limit;
    case "equals":
      return value === limit;
    case "about":
      return Math.abs(value - limit) <= within;
  }
}

/** A bound as people read it: "≤ 50 ms", "2 ± 0.3". */
export function describeBound(threshold: Pick<ThresholdRecord, "compare" | "limit" | "within" | "unit">): string {
  const { compare, limit, within, unit } = threshold;
  const withUnit = (text: string) => (unit ? `${text} ${unit}` : text);
  if (compare === "about") return withUnit(`${limit} ± ${within}`);
  return withUnit(`${{ atMost: "≤", atLeast: "≥", equals: "=" }[compare]} ${limit}`);
}
