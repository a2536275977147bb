import { z } from "zod";
import { count, id, line, wallMs } from "./text.ts";

/** One host's share of a task. `progress` is 0..1, null while its length is unknown. */
export const taskPart = z.object({ host: id, phase: line, progress: z.number().min(0).max(1).nullable(), state: z.enum(["waiting", "running", "done", "failed", "cancelled"]), detail: line.nullable(), remedy: line.nullable() });
export type TaskPart = z.infer<typeof taskPart>;

/** Something that takes longer than a call: lab up and down, preflight, deploy, undo, stop all. It always has a log (`task.log`). */
export const task = z.object({
  id,
  kind: z.enum(["labUp", "labDown", "connect", "preflight", "fix", "deploy", "undeploy", "stopAll"]),
  title: line,
  state: z.enum(["running", "done", "failed", "cancelled"]),
  progress: z.number().min(0).max(1).nullable(),
  detail: line.nullable(),
  remedy: line.nullable(),
  startedAt: wallMs,
  endedAt: wallMs.nullable(),
  cancellable: z.boolean(),
  parts: z.array(taskPart).max(1000),
});
export type Task = z.infer<typeof task>;

/** A line of a log with its number, so that a gap is visible and a follower can ask for what it missed. */
export const logLine = z.object({ number: count, at: wallMs, level: z.enum(["info", "warn", "error"]), source: line, text: line });
export type LogLine = z.infer<typeof logLine>;

/** The manager needs a secret to go on. The answer is used once and kept nowhere. */
export const question = z.object({ id, host: line, kind: z.enum(["password", "passphrase", "sudo"]), prompt: line });
export type Question = z.infer<typeof question>;
