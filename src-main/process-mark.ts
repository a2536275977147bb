import { readFile } from "node:fs/promises";

/** Names one process of this machine for good: ids are used again, an id with its start time is not. */
export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks since boot; empty where that is not known. */
  readonly startTime: string;
}

export async function markOf(pid: number): Promise<ProcessMark> {
  return { pid, startTime: await startTime(pid) };
}

export async function isAlive(mark: ProcessMark): Promise<boolean> {
  return mark.startTime !== "" && (await startTime(mark.pid)) === mark.startTime;
}

/** Field 22 of /proc/PID/stat; empty when there is no such process, or only its corpse. */
async function startTime(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? "" : (fields[19] ?? "");
}
