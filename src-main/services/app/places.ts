import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Problem } from "../../problem.ts";

function base(variable: string, otherwise: string): string {
  const set = process.env[variable];
  return join(set?.startsWith("/") ? set : join(homedir(), otherwise), "anycast-lab");
}

/** What a person made: own hosts, own scenarios, preferences. */
export const configFolder = (): string => base("XDG_CONFIG_HOME", ".config");
/** What came of it: captures made from the window. */
export const stateFolder = (): string => base("XDG_STATE_HOME", ".local/state");

/** A JSON file's value, or undefined where there is none that can be read. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Replaces a file of ours (0600) in one go, making its folder. Throws Problem `app.unwritable`. */
export async function writeOwn(path: string, text: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const part = `${path}.${process.pid}.part`;
    await writeFile(part, text, { mode: 0o600 });
    await rename(part, path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new Problem({ code: "app.unwritable", what: `${path} cannot be written (${code})`, remedy: code === "ENOSPC" ? "Free some space and try again." : "Check the permissions of its folder.", cause: error });
  }
}
