import { readFile, stat, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import type { LabFolder } from "./folders.ts";
import type { LabOwner } from "./labRecord.ts";

/** A folder without owner is being made right now, unless it has been so for this long. */
const graceMs = 10_000;

/** Notes whose life the lab's is. */
export async function writeOwner(folder: LabFolder, pid: number): Promise<void> {
  const owner: LabOwner = { pid, startTime: await startTime(pid) };
  await writeFile(folder.owner, JSON.stringify(owner), { mode: 0o600 });
}

export async function readOwner(folder: LabFolder): Promise<LabOwner | undefined> {
  try {
    return JSON.parse(await readFile(folder.owner, "utf8")) as LabOwner;
  } catch {
    return undefined;
  }
}

/** `up`: it answers. `starting`: its owner lives but it does not answer yet. `dead`: only files are left. */
export async function labState(folder: LabFolder): Promise<"up" | "starting" | "dead"> {
  if (await answers(folder.controlSocket)) return "up";
  const owner = await readOwner(folder);
  if (owner) return (await isAlive(owner)) ? "starting" : "dead";
  const made = await stat(folder.path).catch(() => undefined);
  return made && Date.now() - made.mtimeMs < graceMs ? "starting" : "dead";
}

export async function isAlive(owner: LabOwner): Promise<boolean> {
  return owner.startTime !== "" && (await startTime(owner.pid)) === owner.startTime;
}

/** Field 22 of /proc/PID/stat: clock ticks since boot; empty when there is no such process, or only its corpse. */
async function startTime(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? "" : (fields[19] ?? "");
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
