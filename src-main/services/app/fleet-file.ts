import { join } from "node:path";
import { z } from "zod";
import { AppError } from "../../../src-shared/api/app/error.ts";
import { parseDestination } from "../../ssh/config.ts";
import { configFolder, readJson, writeOwn } from "./places.ts";

/** A host that a person added: `id` is its name for agents and files, `name` what people see, `target` as they would give it to ssh. */
const ownHost = z.object({ id: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/), name: z.string().min(1).max(64), target: z.string().min(1).max(300) });
export type OwnHost = z.infer<typeof ownHost>;
const fileShape = z.object({ hosts: z.array(ownHost).max(1000) });

const path = (): string => join(configFolder(), "hosts.json");

/** The hosts that were added, in their order. A file that cannot be understood counts as none. */
export async function readOwnHosts(): Promise<OwnHost[]> {
  const read = fileShape.safeParse(await readJson(path()));
  return read.success ? read.data.hosts : [];
}

export async function writeOwnHosts(hosts: readonly OwnHost[]): Promise<void> {
  await writeOwn(path(), `${JSON.stringify({ hosts }, null, 1)}\n`);
}

/** Gives a target its id and name. Throws AppError `bad-host` for what is no destination of ssh. */
export function newHost(target: string, name: string | null, taken: readonly string[]): OwnHost {
  let hostname: string;
  try {
    ({ hostname } = parseDestination(target));
  } catch (error) {
    throw new AppError("bad-host", (error as Error).message, { remedy: "Correct that line; nothing was added." });
  }
  const shown = (name ?? hostname).slice(0, 64);
  const base = shown.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-+|-+$/g, "").slice(0, 24).replace(/-+$/, "") || "host";
  let id = base;
  for (let n = 2; taken.includes(id); n++) id = `${base}-${n}`;
  return { id, name: shown, target };
}
