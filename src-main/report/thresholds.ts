import type { Threshold } from "../../src-shared/api/scenario.ts";
import type { ThresholdRecord } from "../../src-shared/api/summary.ts";
import { isAboutTime, metric, type Measured } from "./metrics.ts";

/**
 * Holds a run against a scenario's thresholds. What can't be computed is not met. With hosts in virtual machines (`virtualMachines` has their names) how
 * long things took says more about the machine's processor than about us: such a threshold is held against the run all the same, but set aside when missed.
 */
export function judge(thresholds: readonly Threshold[], run: Measured, virtualMachines: readonly string[] = []): ThresholdRecord[] {
  return thresholds.map((threshold) => {
    const result = metric(threshold.metric, run);
    const { compare, limit } = bound(threshold);
    const within = threshold.within ?? null;
    const ok = result.value !== null && meets(result.value, compare, limit, within ?? 0);
    const setAside = !ok && result.value !== null && virtualMachines.length > 0 && isAboutTime(threshold.metric);
    return {
      name: threshold.name,
      metric: threshold.metric,
      ok,
      value: result.value,
      compare,
      limit,
      within,
      unit: threshold.unit,
      reason: result.value === null ? result.reason : null,
      ...(setAside && { setAside: `about time, with ${virtualMachines.join(", ")} in virtual machines` }),
    };
  });
}

/** Whether a run may pass with it. */
export function counts({ ok, setAside }: Pick<ThresholdRecord, "ok" | "setAside">): boolean {
  return ok || setAside !== undefined;
}

/** Met, missed, or missed and set aside. */
export function markOf({ ok, setAside }: Pick<ThresholdRecord, "ok" | "setAside">): "✓" | "✗" | "○" {
  return ok ? "✓" : setAside === undefined ? "✗" : "○";
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
