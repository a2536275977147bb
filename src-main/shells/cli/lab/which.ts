import { resolve } from "node:path";
import { asProblem, exitCodes, Problem } from "../../../problem.ts";
import { SshConnection } from "../../../ssh/connection.ts";
import { UnknownHostKeyError } from "../../../ssh/errors.ts";
import { acceptHostKey } from "../../../ssh/verify.ts";
import { readFleet } from "../../../testbeds/fleet/fleetFile.ts";
import { openFleet } from "../../../testbeds/fleet/fleet.ts";
import { listLabs, openLab } from "../../../testbeds/local/labs.ts";
import type { HostHandle, Testbed } from "../../../testbeds/testbed.ts";
import { askLine, askSecret, canAsk } from "../ask.ts";
import { note, type CommonOptions } from "../output.ts";

/** Which lab or fleet a command is about. */
export interface WhichOptions extends CommonOptions {
  readonly lab?: string;
  readonly fleet?: string;
}

/** The lab or fleet that a command is about: the one named, or the only lab that is up. Throws Problem `lab.which`, `lab.notRunning`, `fleet.invalid`… */
export async function openTestbed(options: WhichOptions): Promise<Testbed> {
  if (options.fleet && options.lab) throw usage("--lab and --fleet exclude each other", "Give one of them.");
  if (options.fleet) return openFleet(await readFleet(resolve(options.fleet)), { passphrase: askSecret });
  if (options.lab) return openLab(options.lab);
  const up = (await listLabs()).filter((lab) => lab.state === "up").map((lab) => lab.name);
  const [only, ...more] = up;
  if (only && more.length === 0) return openLab(only);
  if (only) throw usage(`several labs are up: ${up.join(", ")}`, "Say which with --lab NAME.");
  throw new Problem({ code: "lab.notRunning", what: "no lab is up", remedy: "Bring one up: npm start -- lab up" });
}

/** The host of that name. Throws Problem `lab.no-host`. */
export function hostOf(testbed: Testbed, name: string): HostHandle {
  const host = testbed.hosts().find((h) => h.name === name);
  if (host) return host;
  throw new Problem({ code: "lab.no-host", what: `${testbed.name} has no host "${name}"; hosts are ${testbed.hosts().map((h) => h.name).join(", ")}`, remedy: "Use one of these names.", exitCode: exitCodes.usage });
}

/**
 * Lets a person accept the keys of hosts that are not known yet, one by one, each after comparing its fingerprint. Without a terminal nothing is
 * asked and nothing accepted. Hosts that fail otherwise are left to the command itself.
 */
export async function meetHosts(testbed: Testbed): Promise<void> {
  if (testbed.kind !== "fleet" || !canAsk()) return;
  for (const { ssh } of testbed.hosts()) {
    const error = await SshConnection.connect(ssh).then((c) => c.close(), (e: unknown) => e);
    if (!(error instanceof UnknownHostKeyError)) continue;
    note(`${asProblem(error).message}\n${error.remedy}`);
    const answer = await askLine(`Accept this key for ${ssh.host} (yes, or its fingerprint; anything else refuses)? `);
    const [file] = ssh.trust.files;
    if (file && (answer === "yes" || answer === error.details["fingerprint"])) await acceptHostKey(file, error.knownHostName, error.key);
  }
}

export function usage(what: string, remedy: string): Problem {
  return new Problem({ code: "usage", what, remedy, exitCode: exitCodes.usage });
}
