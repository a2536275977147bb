import { dirname, resolve } from "node:path";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { RunSummary } from "../../src-shared/api/summary.ts";
import type { LabPlan } from "../../src-shared/api/labPlan.ts";
import { RunFolder } from "../report/run-folder.ts";
import { findLabFile, planOf, readLab } from "../testbeds/labFile.ts";
import { labUp } from "../testbeds/local/labs.ts";
import type { LinkStatus, Testbed } from "../testbeds/testbed.ts";
import { deployAgents, type LabAgentsOptions } from "./lab-agents.ts";
import { HostsSession } from "./lab-session.ts";
import { runScenario, type RunOptions } from "./runner/runner.ts";
import type { ScenarioChanges } from "./runner/scenario-changes.ts";
import { loadScenario, type LoadedScenario } from "./runner/scenario-file.ts";
import { YamlSource } from "./runner/yaml-source.ts";

const shipped = resolve(import.meta.dirname, "../../assets/scenarios");

export interface ExperimentOptions extends RunOptions {
  /** The run folder itself; otherwise a dated one below `runs`. */
  readonly out?: string;
  readonly dataPlane?: LabAgentsOptions["dataPlane"];
  readonly rootless?: boolean;
  /** Where it runs instead of on the scenario's own lab, and how much of it. */
  readonly changes?: ScenarioChanges;
  /** Leaves the lab up afterwards, to look at. */
  readonly keep?: boolean;
  readonly onNote?: (text: string) => void;
}

/** The scenario that a person means: a path, or the name of one that ships with the app. */
export function findScenario(pathOrName: string): string {
  const named = resolve(shipped, `${pathOrName}.yaml`);
  return !existsSync(pathOrName) && existsSync(named) ? named : pathOrName;
}

/**
 * Everything a scenario needs, from nothing to the report: its lab, agents on all hosts, the run, and the lab down again, also when something fails or
 * is interrupted or killed. Rejects with a Problem when the run could not begin.
 */
export async function runExperiment(pathOrName: string, options: ExperimentOptions): Promise<{ readonly summary: RunSummary; readonly folder: RunFolder }> {
  const note = options.onNote ?? (() => {});
  const loaded = await loadScenario(findScenario(pathOrName), options.changes);
  const plan = await planFor(loaded);
  const folder = options.out ? await RunFolder.at(resolve(options.out)) : await RunFolder.create(resolve("runs"), loaded.scenario.name, new Date());
  const lab = await labUp(plan, { name: `run-${loaded.scenario.name}-${process.pid}`, progress: note, attached: !options.keep, ...(options.rootless && { rootless: true }) });
  try {
    note("deploying agents");
    const agents = await deployAgents(lab, { ...(options.dataPlane && { dataPlane: options.dataPlane }) });
    const latencies = await latenciesOf(lab);
    const session = new HostsSession({ testbed: lab, hosts: agents.hosts, versions: await versions(), latencyMs: latencies.between, onLinks: latencies.refresh });
    try {
      return { summary: await runScenario(loaded, session, folder, options), folder };
    } finally {
      await session.close();
      await agents.close();
    }
  } finally {
    if (options.keep) note(`the lab stays up as ${lab.name}`);
    else await lab.down();
  }
}

/** The lab that a scenario names or holds. */
export async function planFor(loaded: LoadedScenario): Promise<LabPlan> {
  const { lab } = loaded.scenario;
  if (typeof lab === "string") return readLab(findLabFile(lab, dirname(loaded.file)));
  const source = new YamlSource(loaded.file, loaded.text);
  return planOf(lab, loaded.file, (path, message) => source.issue(["lab", ...path], message));
}

/** One-way latencies in force between hosts of a lab, kept current: the access links of both ends and the path between their sites. 0 where links are real. */
export async function latenciesOf(lab: Testbed): Promise<{ readonly between: (from: string, to: string) => number; readonly refresh: () => Promise<void> }> {
  let links: ReadonlyMap<string, LinkStatus> = new Map();
  const siteOf = new Map(lab.hosts().map((host) => [host.name, host.site]));
  const delay = (kind: LinkStatus["kind"], from: string, to: string): number | undefined => links.get(`${kind} ${from} ${to}`)?.quality.delayMs;
  const refresh = async (): Promise<void> => {
    if (lab.kind !== "fleet") links = new Map((await lab.status()).links.map((link) => [`${link.kind} ${link.from} ${link.to}`, link]));
  };
  await refresh();
  return {
    refresh,
    between: (from, to) => (delay("access", from, "*") ?? 0) + (delay("pair", from, to) ?? delay("path", siteOf.get(from) ?? "", siteOf.get(to) ?? "") ?? 0) + (delay("access", "*", to) ?? 0),
  };
}

/** For `run.json`. */
export async function versions(): Promise<Record<string, string>> {
  const { version } = JSON.parse(await readFile(resolve(import.meta.dirname, "../../package.json"), "utf8")) as { version: string };
  return { "anycast-lab": version, node: process.version };
}
