import { resolve } from "node:path";
import { exitCodes } from "../../../problem.ts";
import type { DeployProgress } from "../../../services/hosts/deploy.ts";
import { deployAgents, type LabAgentsOptions } from "../../../services/lab-agents.ts";
import { openFleet } from "../../../testbeds/fleet/fleet.ts";
import { readFleet } from "../../../testbeds/fleet/fleetFile.ts";
import { findLabFile, readLab } from "../../../testbeds/labFile.ts";
import { labUp } from "../../../testbeds/local/labs.ts";
import type { Testbed } from "../../../testbeds/testbed.ts";
import { askSecret } from "../ask.ts";
import { note, print, printJson, progressLine, table } from "../output.ts";
import { meetHosts, usage, type WhichOptions } from "./which.ts";

export interface UpOptions extends WhichOptions {
  readonly name?: string;
  readonly rootless?: boolean;
  readonly agents?: boolean;
  readonly dataPlane?: string;
  readonly metrics?: string;
}

const dataPlanes = ["auto", "kernel", "ebpf", "userspace"] as const;

/** `lab up [FILE|NAME]`: a local lab from its file, or the agents of a fleet. What it brought up stays up when an agent fails, to be looked at. */
export async function upCommand(file: string | undefined, options: UpOptions): Promise<number> {
  const dataPlane = dataPlanes.find((kind) => kind === (options.dataPlane ?? "auto"));
  if (!dataPlane) throw usage(`there is no data plane "${options.dataPlane}"`, `Use one of ${dataPlanes.join(", ")}.`);
  if (options.fleet && file) throw usage("a lab file and --fleet exclude each other", "Give one of them.");
  const startedAt = performance.now();
  const line = progressLine();
  try {
    const testbed = options.fleet ? await openFleet(await readFleet(resolve(options.fleet)), { passphrase: askSecret }) : await local(file ?? "quickstart", options, (what) => line.show(what));
    line.end();
    const labSeconds = seconds(startedAt);
    if (testbed.kind !== "fleet") note(`lab ${testbed.name}: ${testbed.hosts().length} hosts up after ${labSeconds.toFixed(1)} s`);
    await meetHosts(testbed);
    const deploying = { dataPlane, ask: askSecret, ...(options.metrics && { metrics: options.metrics }), ...(process.stderr.isTTY && { onProgress: showProgress(testbed, (text) => line.show(text)) }) };
    const agents = options.agents === false ? [] : await startAgents(testbed, deploying).catch((error: unknown) => {
      line.end();
      if (testbed.kind !== "fleet") note(`lab ${testbed.name} stays up without some of its agents; \`lab down ${testbed.name}\` takes it down`);
      throw error;
    });
    line.end();
    const allSeconds = seconds(startedAt);
    if (options.json) printJson({ ok: true, lab: testbed.name, kind: testbed.kind, hosts: testbed.hosts().map((h) => h.name), agents, seconds: { lab: rounded(labSeconds), agents: rounded(allSeconds) } });
    else print(describe(testbed, agents, allSeconds));
    return exitCodes.ok;
  } finally {
    line.end();
  }
}

function local(file: string, options: UpOptions, progress: (what: string) => void): Promise<Testbed> {
  return readLab(findLabFile(file)).then((plan) => labUp(plan, { progress, ...(options.name && { name: options.name }), ...(options.rootless && { rootless: true }) }));
}

interface AgentLine {
  readonly host: string;
  readonly version: string;
  readonly dataPlane: string;
  readonly reason: string;
  readonly address: string;
  readonly node: string;
}

async function startAgents(testbed: Testbed, options: LabAgentsOptions): Promise<AgentLine[]> {
  const agents = await deployAgents(testbed, options);
  const lines = agents.hosts.map(({ handle, hello }) => ({ host: handle.name, version: hello.version, dataPlane: hello.dataPlane.kind, reason: hello.dataPlane.reason, address: hello.address, node: hello.node }));
  await agents.close();
  return lines;
}

/** One line for the whole fleet: how many hosts are in which phase. */
function showProgress(testbed: Testbed, show: (text: string) => void): (progress: DeployProgress) => void {
  const phases = new Map<string, string>();
  return (progress) => {
    phases.set(progress.host, progress.phase === "uploading" ? `uploading ${progress.what} ${Math.floor(progress.fraction * 10) * 10} %` : progress.phase);
    const counts = new Map<string, number>();
    for (const phase of phases.values()) counts.set(phase, (counts.get(phase) ?? 0) + 1);
    show(`agents of ${testbed.hosts().length} hosts: ${[...counts].map(([phase, count]) => `${count} ${phase}`).join(", ")}`);
  };
}

function describe(testbed: Testbed, agents: readonly AgentLine[], total: number): string {
  const rows = agents.map((a) => [a.host, a.address, a.dataPlane, a.reason]);
  const head = agents.length > 0 ? `${table([["host", "address", "data plane", "why"], ...rows])}\n` : "";
  const what = agents.length > 0 ? `${agents.length} agents running` : `${testbed.hosts().length} hosts, no agents`;
  return `${head}${testbed.kind} ${testbed.name}: ${what}, ${total.toFixed(1)} s`;
}

const seconds = (since: number) => (performance.now() - since) / 1000;
const rounded = (value: number) => Number(value.toFixed(3));
