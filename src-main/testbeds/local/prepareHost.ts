import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { LabPlan, PlannedHost } from "../../../src-shared/api/labPlan.ts";
import { hostFiles } from "./hostFiles.ts";
import { hostScript } from "./hostScript.ts";
import { makeKey } from "./must.ts";
import { hostCommands } from "./network.ts";

export interface Preparation {
  /** The folder to write the host's files to. */
  readonly folder: string;
  /** Where the host's first process sees that folder. */
  readonly seenAs: string;
  /** Where it sees the machine's part of /etc, and the host's writable folder. */
  readonly sharedEtc: string;
  readonly data: string;
  readonly rootless: boolean;
  /** The public key that may log in. */
  readonly clientKey: string;
  /** For `sudo: password`. */
  readonly password: string | undefined;
}

/** Name of the script that becomes the host's process 1, in its folder. */
export const startScript = "start";

/** Writes all that makes a host: its /etc with a fresh host key, its network and its first script. */
export async function prepareHost(lab: LabPlan, index: number, options: Preparation): Promise<void> {
  const plan = lab.hosts[index] as PlannedHost;
  const { folder, seenAs } = options;
  const etc = join(folder, "etc");
  await mkdir(join(folder, "root"), { recursive: true });
  for (const file of hostFiles(lab, index, options.clientKey)) {
    await mkdir(dirname(join(etc, file.path)), { recursive: true });
    await writeFile(join(etc, file.path), file.text);
    await chmod(join(etc, file.path), file.mode);
  }
  await makeKey(join(etc, "ssh/ssh_host_ed25519_key"), plan.name);
  await writeFile(join(folder, "network"), hostCommands(lab, index));
  const places = { etc: join(seenAs, "etc"), sharedEtc: options.sharedEtc, root: join(seenAs, "root"), data: options.data, network: join(seenAs, "network") };
  const password = plan.sudo === "password" ? options.password : undefined;
  await writeFile(join(folder, startScript), hostScript(plan, places, { rootless: options.rootless, password }), { mode: 0o600 });
}

/** The public part of the key that `prepareHost` made: type and base64. */
export async function hostKeyOf(folder: string): Promise<string> {
  const [type, key] = (await readFile(join(folder, "etc/ssh/ssh_host_ed25519_key.pub"), "utf8")).split(" ");
  return `${type} ${key}`;
}
