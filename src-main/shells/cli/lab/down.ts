import { resolve } from "node:path";
import { exitCodes } from "../../../problem.ts";
import { HostAccess } from "../../../services/hosts/access.ts";
import { undeploy } from "../../../services/hosts/deploy.ts";
import { openFleet } from "../../../testbeds/fleet/fleet.ts";
import { readFleet } from "../../../testbeds/fleet/fleetFile.ts";
import { labDown, labDownAll, listLabs } from "../../../testbeds/local/labs.ts";
import { askSecret } from "../ask.ts";
import { fail, note, print, printJson } from "../output.ts";
import { openTestbed, usage, type WhichOptions } from "./which.ts";

export interface DownOptions extends WhichOptions {
  readonly all?: boolean;
}

/** `lab down [NAME] [--all]`: takes labs down with everything in them; of a fleet, stops the agents and removes what was deployed. */
export async function downCommand(name: string | undefined, options: DownOptions): Promise<number> {
  if (options.fleet) return fleetDown(options.fleet, options);
  if (options.all) return said(await labDownAll(), options);
  const chosen = name ?? options.lab ?? (await openTestbed(options)).name;
  if (!(await listLabs()).some((lab) => lab.name === chosen)) throw usage(`there is no lab named ${chosen}`, "`lab status` lists those that are there.");
  await labDown(chosen);
  return said([chosen], options);
}

function said(names: readonly string[], options: DownOptions): number {
  if (options.json) printJson({ ok: true, down: names });
  else print(names.length > 0 ? names.map((name) => `lab ${name} is down`).join("\n") : "no lab was up");
  return exitCodes.ok;
}

async function fleetDown(path: string, options: DownOptions): Promise<number> {
  const fleet = await openFleet(await readFleet(resolve(path)), { passphrase: askSecret });
  const accesses = fleet.hosts().map((handle) => new HostAccess(handle, askSecret));
  const outcomes = await undeploy(accesses, { deployment: fleet.name });
  await Promise.all(accesses.map((access) => access.close()));
  const ok = outcomes.every((outcome) => outcome.ok);
  if (options.json) {
    printJson({ ok, hosts: outcomes.map((o) => (o.ok ? { host: o.host, agent: o.value } : { host: o.host, error: o.problem.toJSON() })) });
    return ok ? exitCodes.ok : exitCodes.failed;
  }
  const words = { clean: "agent stopped, files removed", forced: "agent killed and cleaned up after, files removed", none: "no agent was running; files removed" };
  for (const o of outcomes) {
    if (o.ok) note(`${o.host}: ${words[o.value]}`);
    else fail(o.problem, options);
  }
  return ok ? exitCodes.ok : exitCodes.failed;
}
