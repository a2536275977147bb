import { cpus, release, totalmem } from "node:os";
import type { ManagerEventBody, RunDescription, RunSummary } from "../../../src-shared/api/summary.ts";
import { parseAddress } from "../../../src-shared/net/address.ts";
import { HostClock } from "../../report/clock.ts";
import { runFiles, type RunFolder } from "../../report/run-folder.ts";
import { finishRun } from "../../report/finish.ts";
import { asProblem, type Problem } from "../../problem.ts";
import { Captures } from "./captures.ts";
import { ClockSampler } from "./clock-sampler.ts";
import { EventLog } from "./event-log.ts";
import { Handoffs } from "./handoffs.ts";
import { describeStep, interrupted, perform, type Stage } from "./perform.ts";
import { visits, type ExperimentPoint } from "./points.ts";
import { checkHosts, type LoadedScenario } from "./scenario-file.ts";
import type { LabSession, SessionHost } from "./session.ts";
import { Workloads } from "./workloads.ts";

/** How far a run is. `remainingSeconds` is an estimate from the points done so far, null while there is none. */
export interface RunProgress {
  readonly done: number;
  readonly total: number;
  readonly step: string;
  readonly remainingSeconds: number | null;
}

export interface RunOptions {
  /** How the run can be repeated: the command line. */
  readonly command: string;
  readonly capture: boolean;
  readonly onProgress?: (progress: RunProgress) => void;
  readonly abort?: AbortSignal;
}

/** Late events and packets of the last step arrive within this time. */
const settleMs = 500;

/**
 * Runs a scenario on a lab that is up and leaves a whole run folder behind, also when a step fails: the folder then says which and why.
 * Resolves with the summary; rejects with a Problem only when the run could not begin or the folder could not be written.
 */
export async function runScenario(loaded: LoadedScenario, session: LabSession, folder: RunFolder, options: RunOptions): Promise<RunSummary> {
  checkHosts(loaded, session.hosts.map((host) => host.name));
  const { scenario } = loaded;
  const abort = options.abort ?? new AbortController().signal;
  await folder.write("scenario", loaded.text);
  const clocks = new ClockSampler(session);
  await clocks.start();
  const events = new EventLog(folder.file("events"), clocks);
  const stopEvents = session.onEvent((host, event) => events.agent(host, event));
  const taking = [scenario.group.homeAgent, ...scenario.group.members, ...scenario.clients];
  const captures = new Captures(session, folder);
  let memberPort = 0;
  let failure: Problem | null = null;
  let step: string | null = "set up";
  let workloads: Workloads | null = null;
  try {
    if (options.capture) await captures.start(session.hosts.filter((host) => taking.includes(host.name)));
    const { origins, hashes } = await serveFiles(loaded, session);
    ({ memberPort } = await session.formGroup(scenario.group, scenario.clients, origins));
    workloads = new Workloads({ session, scenario, folder, events, hashes });
    const handoffs = new Handoffs({ session, scenario, events, workloads });
    await runSteps(loaded, { session, scenario, events, workloads, handoffs, abort }, options, (now) => (step = now));
    handoffs.close();
    step = null;
  } catch (error) {
    failure = asProblem(error);
    events.manager({ type: "runFailed", code: failure.code, message: failure.message, step });
  }
  await workloads?.stopAll();
  await new Promise((resolve) => setTimeout(resolve, settleMs));
  await clocks.stop();
  const clockOf = (host: string) => (clocks.samples(host).length > 0 ? new HostClock(clocks.samples(host), clocks.zero) : null);
  const merged = await captures.finish((host) => correction(clockOf(host), clocks));
  for (const { host, packets, dropped, truncated } of merged) events.manager({ type: "captureEnded", host, packets, dropped, truncated });
  await session.dissolveGroup(scenario.group.id).catch((error: unknown) => events.manager(failed(asProblem(error), "dissolve the group", failure)));
  stopEvents();
  events.manager({ type: "runEnded" });
  await events.end();
  await folder.writeRun(describeRun(loaded, session, clocks, memberPort, options, taking));
  return finishRun(folder);
}

/** The second failure of a run is told, but the first one is what ended it. */
function failed(problem: Problem, step: string, first: Problem | null): ManagerEventBody {
  return { type: "runFailed", code: (first ?? problem).code, message: first ? `${first.message} (and then, ${step}: ${problem.message})` : problem.message, step };
}

/** What to add to a host's wall clock so that all hosts' packets stand in one order. */
function correction(clock: HostClock | null, clocks: ClockSampler): number {
  const now = clocks.now();
  return clock ? now + clocks.zero.wall - clock.toWall(now) : 0;
}

async function runSteps(loaded: LoadedScenario, stage: Stage, options: RunOptions, onStep: (step: string) => void): Promise<void> {
  const { scenario, points } = loaded;
  const order = [...visits(points, scenario)] as { readonly point: LoadedScenario["points"][number]; readonly repetition: number }[];
  const none: ExperimentPoint = { levels: {}, values: {} };
  const total = scenario.before.length + order.reduce((sum, { point }) => sum + point.steps.length, 0) + scenario.after.length;
  const startedAt = Date.now();
  let done = 0;
  const each = async (steps: LoadedScenario["points"][number]["steps"], point: ExperimentPoint, repetition: number) => {
    for (const step of steps) {
      if (stage.abort.aborted) throw interrupted();
      const text = describeStep(step);
      onStep(text);
      const remainingSeconds = done < 10 ? null : Math.round((((Date.now() - startedAt) / done) * (total - done)) / 1000);
      options.onProgress?.({ done, total, step: text, remainingSeconds });
      stage.events.manager({ type: "stepStarted", step: text, index: done, point: { ...point.levels }, repetition });
      await perform(step, point, repetition, stage);
      done++;
    }
  };
  await each(scenario.before, none, 0);
  for (const { point, repetition } of order) await each(point.steps, point, repetition);
  await each(scenario.after, none, 0);
  options.onProgress?.({ done: total, total, step: "report", remainingSeconds: 0 });
}

/** Has every member offer the same files. Rejects when they are not the same after all. */
async function serveFiles(loaded: LoadedScenario, session: LabSession): Promise<{ readonly origins: Record<string, Record<string, string>>; readonly hashes: Map<string, string> }> {
  const origins: Record<string, Record<string, string>> = {};
  const hashes = new Map<string, string>();
  for (const service of loaded.scenario.group.services) {
    if (service.kind !== "http") continue;
    const served = await Promise.all(loaded.scenario.group.members.map(async (member) => [member, await session.serveFiles(member, service.files)] as const));
    origins[service.name] = Object.fromEntries(served.map(([member, { origin }]) => [member, origin]));
    for (const [member, { sha256 }] of served) {
      for (const [path, hash] of Object.entries(sha256)) {
        const key = `${service.name} ${path}`;
        if ((hashes.get(key) ?? hash) !== hash) throw new Error(`${member} serves another ${path} than the other members`);
        hashes.set(key, hash);
      }
    }
  }
  return { origins, hashes };
}

function describeRun(loaded: LoadedScenario, session: LabSession, clocks: ClockSampler, memberPort: number, options: RunOptions, taking: readonly string[]): RunDescription {
  const { scenario } = loaded;
  const { id, address, homeAgent, contact, members } = scenario.group;
  const role = (host: string): RunDescription["hosts"][number]["role"] => (host === homeAgent ? "homeAgent" : members.includes(host) ? "member" : scenario.clients.includes(host) ? "client" : "other");
  const describeHost = (host: SessionHost) => ({ name: host.name, site: host.site, address: host.address, interface: host.interface, role: role(host.name), kernel: host.kernel, agent: host.agent, dataPlane: host.dataPlane, ...(host.virtualMachine && { virtualMachine: true }), clock: [...clocks.samples(host.name)] });
  return {
    schema: "anycast-lab/run/1",
    scenario: scenario.name,
    title: scenario.title ?? scenario.name,
    command: options.command,
    startedAt: new Date(clocks.zero.wall).toISOString(),
    zero: clocks.zero,
    seed: scenario.seed,
    versions: { ...session.versions },
    manager: { node: process.version, platform: process.platform, kernel: release(), cpus: cpus().length, memoryMB: Math.round(totalmem() / 2 ** 20) },
    lab: { name: session.name, kind: session.kind },
    group: { id, address: parseAddress(address), homeAgent, contact, members, memberPort },
    hosts: session.hosts.filter((host) => taking.includes(host.name)).map(describeHost),
  };
}

/** Where a run's files are, for messages. */
export function reportPath(folder: RunFolder): string {
  return `${folder.path}/${runFiles.report}`;
}
