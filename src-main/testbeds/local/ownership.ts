import { readFile, stat, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { isAlive, markOf, type ProcessMark } from "../../process-mark.ts";
import type { LabFolder } from "./folders.ts";

/** A folder without owner is being made right now, unless it has been so for this long. */
const graceMs = 10_000;

/** Notes whose life the lab's is. */
export async function writeOwner(folder: LabFolder, pid: number): Promise<void> {
  await writeFile(folder.owner, JSON.stringify(await markOf(pid)), { mode: 0o600 });
}

export async function readOwner(folder: LabFolder): Promise<ProcessMark | undefined> {
  try {
    return JSON.parse(await readFile(folder.owner, "utf8")) as ProcessMark;
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
