import { z } from "zod";
import { handoff } from "./live.ts";
import { count, durationMs, id, line, wallMs } from "./text.ts";

export const scenario = z.object({ id, title: line, description: line, own: z.boolean(), file: line, hosts: count, seconds: z.number().nonnegative().nullable() });
export type Scenario = z.infer<typeof scenario>;

/** What is wrong in a file of the user's, and where. Line and column count from 1. */
export const fileProblem = z.object({ line: count, column: count, path: line, message: line });
export type FileProblem = z.infer<typeof fileProblem>;

export const runProgress = z.object({ done: count, total: count, step: line, remainingSeconds: z.number().nonnegative().nullable() });

/** `bound` is what was asked for, with its unit: "≤ 50 ms", "2 ± 0.3". `value` null where nothing could be computed. */
export const threshold = z.object({ name: line, ok: z.boolean(), value: z.number().nullable(), unit: line, bound: line, setAside: line.optional() });

export const run = z.object({
  id,
  scenario: id,
  title: line,
  lab: id.nullable(),
  state: z.enum(["starting", "running", "stopping", "passed", "failed", "stopped", "broken"]),
  detail: line.nullable(),
  remedy: line.nullable(),
  startedAt: wallMs,
  endedAt: wallMs.nullable(),
  folder: line,
  progress: runProgress,
  handoffs: count,
  medianMs: durationMs.nullable(),
  medianGapMs: durationMs.nullable(),
  hasReport: z.boolean(),
});
export type Run = z.infer<typeof run>;

export const runDetail = z.object({
  run,
  seed: line.nullable(),
  versions: z.record(z.string(), z.string()),
  /** Names of the group's members, sorted, so that they look as they did while the run went on. */
  members: z.array(id).max(64),
  thresholds: z.array(threshold).max(200),
  handoffs: z.array(handoff).max(5000),
});
export type RunDetail = z.infer<typeof runDetail>;

/** Goodput per client over a run, in bins of `binMs` from the run's start; null where nothing was measured. */
export const runSeries = z.object({
  run: id,
  binMs: durationMs,
  clients: z.array(z.object({ name: line, mbit: z.array(z.number().nonnegative().nullable()).max(100_000) })).max(100),
  handoffs: z.array(z.object({ atMs: z.number(), client: line, acceptor: line })).max(5000),
});
export type RunSeries = z.infer<typeof runSeries>;
