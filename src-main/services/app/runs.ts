import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { Run, RunDetail } from "../../../src-shared/api/app/run.ts";
import { asProblem, Problem } from "../../problem.ts";
import { RunFolder } from "../../report/run-folder.ts";
import { latenciesOf, planFor, versions } from "../experiment.ts";
import { type AgentHost, HostsSession } from "../lab-session.ts";
import { pingLatencies } from "../ping.ts";
import { type RunProgress, runScenario } from "../runner/runner.ts";
import type { LoadedScenario } from "../runner/scenario-file.ts";
import { deployAll, labId, type Labs } from "./labs.ts";
import { LogLines } from "./log-lines.ts";
import type { OpenLab } from "./open-lab.ts";
import { detailOf, emptyRun, exists, handoffOfRun, isRunFolder, medianOf, runOf, seriesOf } from "./run-view.ts";
import { loadById, scenarioPath, usualSeconds } from "./scenarios.ts";
import type { Emit } from "./store.ts";

/** How many steps bringing up the lab and making the report count for in the progress. */
const stepsAround = 3;
const mostListed = 500;
/** Runs of other processes are looked at this often. */
const lookEveryMs = 2000;

interface Active {
  run: Run;
  readonly log: LogLines;
  readonly abort: AbortController;
  readonly folder: RunFolder;
  readonly members: readonly string[];
  ended: Promise<void>;
}

/** Runs: the one that goes on, which no window's end stops, and those of the runs folder. */
export class Runs {
  readonly #labs: Labs;
  readonly #emit: Emit;
  readonly #base: string;
  readonly #active = new Map<string, Active>();
  /** Runs of the folder by id, for as long as their summary is the same file. */
  readonly #known = new Map<string, { readonly stamp: number; readonly run: Run }>();
  /** Runs of other processes that are looked at. */
  readonly #watched = new Set<string>();

  constructor(labs: Labs, emit: Emit, base: string) {
    this.#labs = labs;
    this.#emit = emit;
    this.#base = base;
  }

  readonly handlers = {
    "run.start": async ({ scenario, lab, keepLab = false }) => ({ run: await this.#start(scenario, lab, keepLab) }),
    "run.stop": async ({ run }) => {
      const active = this.#active.get(run);
      if (!active && isActive((await this.#get(run)).run)) throw new AppError("elsewhere", "another process runs it", { remedy: "Stop it where it was started." });
      this.#stop(active);
      return {};
    },
    "run.list": () => this.#list(),
    "run.get": ({ run }) => this.#get(run),
    "run.log": ({ run, after }) => this.#active.get(run)?.log.after(after) ?? [],
    "run.series": async ({ run }) => {
      const folder = new RunFolder(join(this.#base, this.#checked(run)));
      if (await exists(folder.file("summary"))) return seriesOf(run, folder, await folder.readSummary());
      // Goodput is read from the captures, when they are whole.
      return { run: (await this.#get(run)).run.id, binMs: 100, clients: [], handoffs: [] };
    },
    "run.handoff": async ({ run, handoff }) => {
      const going = this.#active.get(run)?.run;
      const open = going && isActive(going) && going.lab !== null ? this.#labs.find(going.lab) : undefined;
      return open ? open.live.handoff(handoff) : handoffOfRun(await this.#finished(run), handoff);
    },
    "run.report": async ({ run }) => {
      const folder = await this.#finished(run);
      return { html: new Uint8Array(await readFile(folder.file("report"))), file: folder.file("report") };
    },
  } satisfies Partial<AppHandlers>;

  /** Stops what runs and waits until it has ended; the titles of those. */
  async stopAll(): Promise<string[]> {
    const going = [...this.#active.values()].filter(({ run }) => isActive(run));
    for (const active of going) this.#stop(active);
    await Promise.all(going.map((active) => active.ended));
    return going.map(({ run }) => run.title);
  }

  async #start(scenario: string, lab: string | null, keepLab: boolean): Promise<string> {
    const busy = [...this.#active.values()].find(({ run }) => isActive(run));
    if (busy) throw new AppError("busy", `${busy.run.title} is still running`, { remedy: "Wait for it, or stop it first." });
    const loaded = await loadById(scenario);
    if (lab !== null) this.#labs.get(lab);
    const folder = await RunFolder.create(this.#base, loaded.scenario.name, new Date());
    const id = basename(folder.path);
    const run = { ...emptyRun(id, scenario, loaded.scenario.title ?? loaded.scenario.name, folder.path, Date.now()), lab };
    const active: Active = { run, folder, members: loaded.scenario.group.members, abort: new AbortController(), log: new LogLines((lines) => this.#emit("run.log", { run: id, lines })), ended: Promise.resolve() };
    this.#active.set(id, active);
    this.#change(active, {});
    active.ended = this.#run(active, loaded, lab, keepLab).catch((error: unknown) => this.#broke(active, asProblem(error)));
    return id;
  }

  #stop(active: Active | undefined): void {
    if (!active || !isActive(active.run)) return;
    active.abort.abort();
    active.log.add("stopping", "warn");
    this.#change(active, { state: "stopping" });
  }

  async #run(active: Active, loaded: LoadedScenario, lab: string | null, keepLab: boolean): Promise<void> {
    const own = lab === null;
    const hand = { say: active.log.add.bind(active.log), progress: (_: number, what: string) => this.#step(active, 0, what) };
    const open = own ? await this.#ownLab(active, loaded, keepLab, hand) : this.#labs.get(lab);
    this.#change(active, { lab: open.id });
    try {
      if (open.testbed.kind !== "fleet" && !own) await deployAll(open, hand);
      await this.#onLab(active, loaded, open);
    } finally {
      if (own && keepLab && !active.abort.signal.aborted) active.log.add(`the lab ${open.testbed.name} stays up`);
      else if (own) {
        this.#step(active, active.run.progress.total - 1, "taking the lab down");
        await this.#labs.takeDown(open.id).catch((error: unknown) => active.log.add(asProblem(error).message, "error"));
      }
    }
    await this.#finish(active);
  }

  /** The lab that the scenario describes, under a name of its own, so that it never meets one that is up. One that nobody but the run wants never outlives us. */
  async #ownLab(active: Active, loaded: LoadedScenario, keepLab: boolean, hand: Parameters<Labs["bringUp"]>[1]): Promise<OpenLab> {
    const plan = await planFor(loaded);
    const first = `run-${plan.name.slice(0, 20)}-${process.pid}`;
    let name = first;
    for (let n = 2; this.#labs.find(labId(name)); n++) name = `${first}-${n}`;
    if (active.abort.signal.aborted) throw stopped();
    this.#change(active, { lab: labId(name) });
    try {
      return await this.#labs.bringUp({ ...plan, name }, hand, { attached: !keepLab });
    } catch (error) {
      if (this.#labs.find(labId(name))) await this.#labs.takeDown(labId(name)).catch(() => {});
      throw error;
    }
  }

  async #onLab(active: Active, loaded: LoadedScenario, open: OpenLab): Promise<void> {
    if (active.abort.signal.aborted) throw stopped();
    const hosts = open.hosts().flatMap(({ agent }) => (agent ? [agent] : []));
    const latencies = open.testbed.kind !== "fleet" ? await latenciesOf(open.testbed) : await this.#measured(active, hosts);
    const before = open.testbed.kind !== "fleet" ? (await open.testbed.status()).links.filter((link) => link.changed) : [];
    let linksSet = false;
    const session = new HostsSession({
      testbed: open.testbed,
      hosts,
      versions: await versions(),
      latencyMs: latencies.between,
      onLinks: async () => {
        linksSet = true;
        await latencies.refresh();
        await open.refreshLinks();
      },
    });
    const { group } = loaded.scenario;
    const forget = open.hint({ id: group.id, backups: [...group.backups], services: group.services.map(({ name, kind, port }) => ({ name, kind, port })) });
    const stopCounting = session.onEvent((_, { body }) => body.type === "handoffDone" && this.#counted(active, open));
    this.#change(active, { state: active.abort.signal.aborted ? "stopping" : "running" });
    try {
      await runScenario(loaded, session, active.folder, {
        command: `npm start -- run ${scenarioPath(active.run.scenario)}`,
        capture: true,
        abort: active.abort.signal,
        onProgress: (progress) => this.#progress(active, progress),
      });
    } finally {
      stopCounting();
      forget();
      await session.close();
      // A lab that goes on keeps what a person set, and nothing of what the scenario did.
      if (linksSet) {
        await open.testbed.linkReset();
        await open.testbed.linkSet(before.map(({ from, to, quality }) => ({ link: { from, to }, bothWays: false, change: quality })));
        await open.refreshLinks();
      }
      void open.lookNow();
    }
  }

  /** Real links are measured once, before the run. */
  async #measured(active: Active, hosts: readonly AgentHost[]): Promise<Awaited<ReturnType<typeof latenciesOf>>> {
    this.#step(active, 0, "measuring the latencies between hosts");
    const { between, silent } = await pingLatencies(hosts);
    for (const pair of silent) active.log.add(`${pair}: no answer to ping; predictions count this path as 0 ms`, "warn");
    return { between, refresh: async () => {} };
  }

  #progress(active: Active, { done, total, step, remainingSeconds }: RunProgress): void {
    active.log.add(step);
    this.#change(active, { progress: { done: done + 1, total: total + stepsAround, step: step.slice(0, 4000), remainingSeconds: remainingSeconds || usualRest(active.run) } });
  }

  #step(active: Active, done: number, step: string): void {
    const { total } = active.run.progress;
    this.#change(active, { progress: { done: Math.max(0, done), total, step, remainingSeconds: usualRest(active.run) } });
  }

  #counted(active: Active, open: OpenLab): void {
    const handoffs = open.live.handoffs().filter((handoff) => handoff.startedAt >= active.run.startedAt);
    this.#change(active, { handoffs: active.run.handoffs + 1, medianMs: medianOf(handoffs.map((handoff) => handoff.measuredMs)) });
  }

  async #finish(active: Active): Promise<void> {
    const found = await runOf(active.folder, () => active.run.scenario);
    const { total } = active.run.progress;
    active.log.add(found.state === "passed" ? "passed" : `${found.state}${found.detail ? `: ${found.detail}` : ""}`, found.state === "passed" ? "info" : "error");
    this.#change(active, { ...found, title: active.run.title, lab: active.run.lab, startedAt: active.run.startedAt, endedAt: Date.now(), progress: { done: total, total, step: "done", remainingSeconds: 0 } });
  }

  /** It could not begin, or its folder could not be written. */
  #broke(active: Active, problem: Problem): void {
    active.log.add(problem.message, "error");
    for (const line of problem.evidence?.split("\n").slice(0, 50) ?? []) active.log.add(line, "error");
    const state = active.abort.signal.aborted ? "stopped" : "broken";
    this.#change(active, { state, detail: problem.message.slice(0, 4000), remedy: problem.remedy, endedAt: Date.now() });
  }

  #change(active: Active, change: Partial<Run>): void {
    active.run = { ...active.run, ...change };
    this.#emit("run.changed", active.run);
  }

  async #list(): Promise<Run[]> {
    const names = (await readdir(this.#base, { withFileTypes: true }).catch(() => [])).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    const past = names.filter((name) => !this.#active.has(name)).sort().reverse().slice(0, mostListed);
    const runs = (await Promise.all(past.map((name) => this.#past(name)))).filter((run) => run !== null);
    return [...[...this.#active.values()].map(({ run }) => run), ...runs].sort((a, b) => b.startedAt - a.startedAt);
  }

  async #past(name: string): Promise<Run | null> {
    const folder = new RunFolder(join(this.#base, name));
    const stamp = await stat(folder.file("summary")).then((found) => found.mtimeMs, () => 0);
    const known = this.#known.get(name);
    if (known?.stamp === stamp) return known.run;
    if (!(await isRunFolder(folder.path))) return null;
    const run = await runOf(folder, (scenario) => scenario);
    if (isActive(run)) this.#watch(name);
    else this.#known.set(name, { stamp, run });
    return run;
  }

  /** A run of another process (the command line, or a manager that is ending) is told when it has come to its end. */
  #watch(name: string): void {
    if (this.#watched.has(name)) return;
    this.#watched.add(name);
    const look = async (): Promise<void> => {
      this.#watched.delete(name);
      const run = await this.#past(name).catch(() => null);
      if (run && !isActive(run)) this.#emit("run.changed", run);
    };
    setTimeout(() => void look(), lookEveryMs).unref();
  }

  async #get(id: string): Promise<RunDetail> {
    const run = this.#active.get(id)?.run ?? (await this.#past(this.#checked(id)));
    if (!run) throw new AppError("not-found", `there is no run "${id}"`);
    const folder = new RunFolder(join(this.#base, id));
    if (!isActive(run) && (await exists(folder.file("summary")))) return detailOf(run, folder);
    const open = run.lab === null ? undefined : this.#labs.find(run.lab);
    const handoffs = isActive(run) ? (open?.live.handoffs() ?? []).filter((handoff) => handoff.startedAt >= run.startedAt) : [];
    return { run, seed: null, versions: {}, members: [...(this.#active.get(id)?.members ?? [])].sort(), thresholds: [], handoffs };
  }

  /** The folder of a run that has come to its end. Throws AppError `not-found` or `unfinished`. */
  async #finished(id: string): Promise<RunFolder> {
    const folder = new RunFolder(join(this.#base, this.#checked(id)));
    if (await exists(folder.file("summary"))) return folder;
    const there = this.#active.has(id) || (await exists(folder.path));
    if (!there) throw new AppError("not-found", `there is no run "${id}"`);
    throw new AppError("unfinished", "this run has no results yet", { remedy: "They are there when it has come to its end." });
  }

  /** An id as a folder's name, and nothing that leads elsewhere. */
  #checked(id: string): string {
    if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(id)) return id;
    throw new AppError("not-found", `there is no run "${id}"`);
  }
}

/** What is left of the time that a shipped scenario usually takes, s; null where that is not known, or over. */
function usualRest({ scenario, startedAt }: Run): number | null {
  const usual = usualSeconds(scenario);
  const left = usual === null ? 0 : usual - (Date.now() - startedAt) / 1000;
  return left > 0 ? Math.round(left) : null;
}

const isActive = ({ state }: Run): boolean => state === "starting" || state === "running" || state === "stopping";

const stopped = (): Problem => new Problem({ code: "run.interrupted", what: "the run was stopped before it began", remedy: "Start it again." });
