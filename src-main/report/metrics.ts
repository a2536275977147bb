import type { HandoffRecord, RunSummary } from "../../src-shared/api/summary.ts";
import { mean, quantile } from "../../src-shared/stats/quantile.ts";

/** What metrics are computed from: a summary without its verdicts. */
export type Measured = Omit<RunSummary, "thresholds" | "ok">;

/** A metric's value, or why it has none. */
export type MetricResult = { readonly value: number } | { readonly value: null; readonly reason: string };

const statistics: Readonly<Record<string, (values: readonly number[]) => number>> = {
  median: (values) => quantile(values, 0.5),
  p95: (values) => quantile(values, 0.95),
  mean,
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
  sum: (values) => values.reduce((total, value) => total + value, 0),
};

const over = (a: number | null, b: number | null) => (a === null || b === null ? null : a - b);
const handoffFields: Readonly<Record<string, (record: HandoffRecord) => number | null | readonly number[]>> = {
  measuredMs: (r) => r.measuredMs,
  residualMs: (r) => over(r.measuredMs, r.predictedMs),
  clientGapMs: (r) => r.clientGapMs,
  clientGapOverMs: (r) => over(r.clientGapMs, r.predictedGapMs),
  decisionMs: (r) => r.decisionMs,
  drainMs: (r) => r.drainMs,
  frozenMs: (r) => r.frozenMs,
  connections: (r) => r.connections,
  bytesLost: (r) => r.bytesLost,
  bytesDuplicated: (r) => r.bytesDuplicated,
  stateBytes: (r) => r.stateBytes,
  clockErrorMs: (r) => r.clockErrorMs,
  progress: (r) => Object.values(r.progress),
};

const kinds = { downloads: "download", uploads: "upload", echoes: "echo" } as const;
const isKind = (word: string): word is keyof typeof kinds => Object.hasOwn(kinds, word);

/** Every form of a metric, for error messages and the docs. */
export const metricForms = [
  `${Object.keys(statistics).join("|")}(${Object.keys(handoffFields).join("|")})`,
  "count(handoffs|failed|resets|captureDrops|downloads|uploads|echoes)",
  "wrong(downloads|uploads|echoes)",
  "lost(echoes), repeated(echoes)",
  "coef(MODE, L_KH|L_HC|L_DA|L_AC|CS|SS), intercept(MODE), r2(MODE)",
  "worst(pointExcessMs)",
  "share(homeAgent|contact|direct)",
];

/** Whether it says how long something took. */
export function isAboutTime(text: string): boolean {
  return /Ms\)$|^(coef|intercept|r2)\(/.test(text);
}

/** The words of `median(clientGapMs)` or `coef(full, L_KH)`; null when it is no metric that we know. */
export function parseMetric(text: string): { readonly name: string; readonly args: readonly string[] } | null {
  const match = /^(\w+)\(([\w, ]*)\)$/.exec(text);
  if (!match) return null;
  const name = match[1] as string;
  const args = (match[2] as string).split(",").map((arg) => arg.trim());
  const [first = "", second = ""] = args;
  const oneOf = (...words: readonly string[]) => args.length === 1 && words.includes(first);
  const known =
    (Object.hasOwn(statistics, name) && args.length === 1 && Object.hasOwn(handoffFields, first)) ||
    (name === "count" && oneOf("handoffs", "failed", "resets", "captureDrops", ...Object.keys(kinds))) ||
    (name === "wrong" && oneOf(...Object.keys(kinds))) ||
    ((name === "lost" || name === "repeated") && oneOf("echoes")) ||
    (name === "coef" && args.length === 2 && first !== "" && second !== "") ||
    ((name === "intercept" || name === "r2") && args.length === 1 && first !== "") ||
    (name === "worst" && oneOf("pointExcessMs")) ||
    (name === "share" && oneOf("homeAgent", "contact", "direct"));
  return known ? { name, args } : null;
}

/** Computes a metric over the handoffs that count. A figure that any of them lacks has no value: nothing is left out silently. */
export function metric(text: string, run: Measured): MetricResult {
  const parsed = parseMetric(text);
  if (!parsed) return { value: null, reason: `unknown metric ${text}; known: ${metricForms.join("; ")}` };
  const { name, args } = parsed;
  const [first = "", second = ""] = args;
  if (Object.hasOwn(statistics, name)) return overHandoffs(name, first, run);
  switch (name) {
    case "count":
      return count(first, run);
    case "wrong":
      return { value: run.workloads.filter((w) => isKind(first) && w.kind === kinds[first] && !w.ok).length };
    case "lost":
    case "repeated":
      return echoes(name, run);
    case "worst":
      return worstPoint(run);
    case "share":
      return run.byteShare ? { value: run.byteShare[first as keyof typeof run.byteShare] } : { value: null, reason: "there is no capture" };
    default:
      return regression(name, first, second, run);
  }
}

function overHandoffs(name: string, field: string, run: Measured): MetricResult {
  const counted = run.handoffs.filter((record) => record.counts);
  const values = counted.map((record) => (handoffFields[field] as (r: HandoffRecord) => number | null | readonly number[])(record));
  const missing = values.filter((value) => value === null).length;
  if (missing > 0) return { value: null, reason: `${missing} of ${counted.length} handoffs have no ${field}` };
  const numbers = (values as (number | readonly number[])[]).flat();
  return numbers.length === 0 ? { value: null, reason: `no handoff has a ${field}` } : { value: (statistics[name] as (v: readonly number[]) => number)(numbers) };
}

function count(what: string, run: Measured): MetricResult {
  if (what === "handoffs") return { value: run.handoffs.filter((record) => record.counts && record.ok).length };
  if (what === "failed") return { value: run.handoffs.filter((record) => !record.ok).length };
  if (what === "captureDrops") return { value: Object.values(run.captureDrops).reduce((sum, dropped) => sum + dropped, 0) };
  if (what === "resets") return run.resetsSeen === null ? { value: null, reason: "there is no capture" } : { value: run.resetsSeen };
  return { value: run.workloads.filter((w) => isKind(what) && w.kind === kinds[what]).length };
}

function echoes(what: "lost" | "repeated", run: Measured): MetricResult {
  const all = run.workloads.filter((w) => w.kind === "echo");
  if (all.length === 0) return { value: null, reason: "no echo ran" };
  const unknown = all.find((w) => w[what] === null);
  return unknown ? { value: null, reason: `${unknown.name} left no log` } : { value: all.reduce((sum, w) => sum + (w[what] as number), 0) };
}

/** By how much the worst point's median residual exceeds 5 % of the prediction + 5 ms; not above 0 is within. */
function worstPoint(run: Measured): MetricResult {
  if (run.points.length === 0) return { value: null, reason: "no point has a counted handoff" };
  return { value: Math.max(...run.points.map((point) => Math.abs(point.medianResidualMs) - (0.05 * point.predictedMs + 5))) };
}

function regression(name: string, mode: string, term: string, run: Measured): MetricResult {
  const fit = run.regression.find((r) => r.mode === mode);
  if (!fit) return { value: null, reason: `no regression for mode ${mode}: latencies were not varied enough` };
  const value = name === "r2" ? fit.r2 : name === "intercept" ? fit.interceptMs : term === "CS" ? fit.coefCS : term === "SS" ? fit.coefSS : fit.terms[term];
  return value === undefined || value === null ? { value: null, reason: `the regression for mode ${mode} has no term ${term}` } : { value };
}
