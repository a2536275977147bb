import { budgets, type BudgetMode, type Hops, type Path } from "./budget.ts";

/** One-way latencies in ms. Only those that the mode travels are needed; KD defaults to 0 and KA to DA (contact and donor on one node). */
export type Latencies = Readonly<Partial<Record<Path, number>>>;

export interface Prediction {
  readonly totalMs: number;
  readonly steps: readonly { readonly name: string; readonly predictedMs: number }[];
}

/** The time from a handoff's `startAt` to the acceptor's first packet. Throws RangeError naming a latency that is missing, negative or not a number. */
export function predict(mode: BudgetMode, latencies: Latencies): Prediction {
  const steps = budgets[mode].map(({ name, branches }) => ({ name, predictedMs: Math.max(...branches.map((hops) => along(hops, latencies, mode))) }));
  return { totalMs: steps.reduce((sum, { predictedMs }) => sum + predictedMs, 0), steps };
}

/**
 * How often each path counts in the total: what a regression of measured times on latencies must find. Null for a mode whose total is not a sum,
 * because branches run side by side.
 */
export function coefficients(mode: BudgetMode): Readonly<Record<Path, number>> | null {
  const total: Record<Path, number> = { KH: 0, HC: 0, KD: 0, KA: 0, DA: 0, AC: 0, DC: 0 };
  for (const { branches } of budgets[mode]) {
    if (branches.length > 1) return null;
    for (const [path, count] of Object.entries(branches[0] as Hops)) total[path as Path] += count;
  }
  return total;
}

/** The same in the paper's two latencies: client hops L_CS (HC, AC, DC) and server hops L_SS (all others), with contact and donor on one node. */
export function paperCoefficients(mode: BudgetMode): { readonly CS: number; readonly SS: number } | null {
  const c = coefficients(mode);
  return c && { CS: c.HC + c.AC + c.DC, SS: c.KH + c.DA + c.KA };
}

function along(hops: Hops, latencies: Latencies, mode: BudgetMode): number {
  return Object.entries(hops).reduce((sum, [path, count]) => sum + count * latencyOf(path as Path, latencies, mode), 0);
}

function latencyOf(path: Path, latencies: Latencies, mode: BudgetMode): number {
  const given = latencies[path] ?? (path === "KD" ? 0 : path === "KA" ? latencies.DA : undefined);
  if (given === undefined || !Number.isFinite(given) || given < 0) throw new RangeError(`mode "${mode}" needs the one-way latency ${path} in ms, 0 or more; got ${given}`);
  return given;
}
