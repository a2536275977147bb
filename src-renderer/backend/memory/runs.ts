import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { HandoffDetail } from "../../../src-shared/api/app/live.ts";
import type { FileProblem, Run, RunSeries, Scenario } from "../../../src-shared/api/app/run.ts";
import type { LogLine } from "../../../src-shared/api/app/work.ts";
import { hostileText } from "./hostile.ts";
import type { MemoryOptions } from "./options.ts";
import { playHandoff } from "./play.ts";
import { Dice } from "./random.ts";
import { memoryReport } from "./report.ts";
import type { Emit } from "./store.ts";
import { buildLab } from "./world.ts";

type Names = "scenario.list" | "scenario.read" | "scenario.check" | "scenario.save" | "run.start" | "run.stop" | "run.list" | "run.get" | "run.log" | "run.series" | "run.handoff" | "run.report";

interface Kept {
  run: Run;
  readonly log: LogLine[];
  readonly handoffs: HandoffDetail[];
  readonly dice: Dice;
  readonly seed: number;
  timer: ReturnType<typeof setTimeout> | null;
}

const steps = ["bringing the lab up", "deploying agents", "forming the group", "clients arrive", "handing over", "checking", "writing the report"] as const;

/** Scenarios and runs that take seconds and measure nothing. */
export class Runs {
  readonly #emit: Emit;
  readonly #options: MemoryOptions;
  readonly #runs = new Map<string, Kept>();
  readonly #texts = new Map<string, string>();
  #scenarios: Scenario[];
  #next = 1;
  /** Called when a run wants its lab; answers that lab's id. */
  readonly #lab: () => string;

  constructor(emit: Emit, options: MemoryOptions, lab: () => string) {
    this.#emit = emit;
    this.#options = options;
    this.#lab = lab;
    this.#scenarios = shippedScenarios();
    for (const scenario of this.#scenarios) this.#texts.set(scenario.id, scenarioText(scenario.id));
    if (options.scene !== "empty") for (let age = 3; age >= 1; age--) this.#past(age);
  }

  handlers(): Pick<AppHandlers, Names> {
    return {
      "scenario.list": () => this.#scenarios,
      "scenario.read": ({ scenario }) => ({ text: this.#texts.get(scenario) ?? "" }),
      "scenario.check": ({ text }) => problemsOf(text),
      "scenario.save": ({ name, text }) => this.#save(name, text),
      "run.start": ({ scenario }) => ({ run: this.#start(scenario) }),
      "run.stop": ({ run }) => this.#stop(run),
      "run.list": () => [...this.#runs.values()].map((kept) => kept.run).reverse(),
      "run.get": ({ run }) => this.#detail(run),
      "run.log": ({ run, after }) => this.#find(run).log.filter((line) => line.number > after),
      "run.series": ({ run }) => seriesOf(this.#find(run)),
      "run.handoff": ({ run, handoff }) => this.#handoff(run, handoff),
      "run.report": ({ run }) => {
        const kept = this.#find(run);
        return { html: new TextEncoder().encode(memoryReport(kept.run, kept.handoffs.map((h) => h.handoff))), file: `${kept.run.folder}/report.html` };
      },
    };
  }

  /** Stops what runs; answers what was stopped. */
  stopAll(): string[] {
    const running = [...this.#runs.values()].filter((kept) => kept.timer);
    for (const kept of running) this.#end(kept, "stopped");
    return running.map((kept) => kept.run.title);
  }

  #find(id: string): Kept {
    const kept = this.#runs.get(id);
    if (!kept) throw new AppError("not-found", `there is no run "${id}"`);
    return kept;
  }

  #save(name: string, text: string): Scenario {
    const [problem] = problemsOf(text);
    if (problem) throw new AppError("bad-file", `line ${problem.line}: ${problem.message}`);
    const scenario: Scenario = { id: `own-${name}`, title: name, description: "Your own scenario.", own: true, file: `~/.config/anycast-lab/scenarios/${name}.yaml`, hosts: 6, seconds: null };
    this.#scenarios = [...this.#scenarios.filter((each) => each.id !== scenario.id), scenario];
    this.#texts.set(scenario.id, text);
    return scenario;
  }

  #detail(id: string) {
    const kept = this.#find(id);
    const done = kept.run.state === "passed" || kept.run.state === "failed";
    const limit = (name: string, value: number, limit: number, unit: string) => ({ name, ok: value <= limit, value, unit, bound: `≤ ${limit} ${unit}` });
    const gaps = kept.handoffs.map((h) => h.handoff.clientGapMs ?? 0);
    return {
      run: kept.run,
      seed: "1",
      versions: { "anycast-lab": "0.1.0", node: "24.21.0", kernel: "6.1.0-31-amd64" },
      members: ["ams", "nyc", "tyo"],
      thresholds: done ? [limit("bytes lost or doubled", 0, 0, "B"), limit("median client gap over predicted", 3.1, 50, "ms"), limit("longest client gap", Math.max(0, ...gaps), kept.run.state === "failed" ? 300 : 1000, "ms")] : [],
      handoffs: kept.handoffs.map((h) => h.handoff),
    };
  }

  #handoff(run: string, id: string): HandoffDetail {
    const detail = this.#find(run).handoffs.find((h) => h.handoff.id === id);
    if (!detail) throw new AppError("not-found", `run ${run} has no handoff ${id}`);
    return detail;
  }

  #make(scenario: string, startedAt: number): Kept {
    const id = `run-${String(this.#next++).padStart(3, "0")}`;
    const found = this.#scenarios.find((each) => each.id === scenario);
    if (!found) throw new AppError("not-found", `there is no scenario "${scenario}"`);
    const total = found.id === "paper" ? 24 : 5;
    const run: Run = {
      id,
      scenario,
      title: this.#options.hostile ? hostileText(this.#next) : found.title,
      lab: this.#lab(),
      state: "starting",
      detail: null,
      remedy: null,
      startedAt,
      endedAt: null,
      folder: `~/anycast-lab/runs/2026-08-01T10-0${this.#next}-${scenario}`,
      progress: { done: 0, total: total + steps.length, step: steps[0], remainingSeconds: found.seconds },
      handoffs: 0,
      medianMs: null,
      medianGapMs: null,
      hasReport: false,
    };
    const kept: Kept = { run, log: [], handoffs: [], dice: new Dice(this.#next), seed: this.#next, timer: null };
    this.#runs.set(id, kept);
    return kept;
  }

  #past(age: number): void {
    const kept = this.#make(age === 2 ? "paper" : "quickstart", Date.now() - age * 3_600_000);
    while (kept.run.progress.done < kept.run.progress.total) this.#advance(kept);
    this.#end(kept, age === 3 ? "failed" : "passed", kept.run.startedAt + 41_000);
  }

  #start(scenario: string): string {
    const busy = [...this.#runs.values()].find((kept) => kept.timer);
    if (busy) throw new AppError("busy", `${busy.run.title} is still running`, { remedy: "Wait for it, or stop it first." });
    const kept = this.#make(scenario, Date.now());
    const beat = () => {
      this.#advance(kept);
      if (kept.run.progress.done < kept.run.progress.total) kept.timer = setTimeout(beat, 900 / this.#options.speed);
      else this.#end(kept, "passed");
    };
    kept.timer = setTimeout(beat, 300 / this.#options.speed);
    this.#change(kept, {});
    return kept.run.id;
  }

  #stop(id: string): Record<string, never> {
    const kept = this.#find(id);
    if (kept.timer) this.#end(kept, "stopped");
    return {};
  }

  #advance(kept: Kept): void {
    const { done, total } = kept.run.progress;
    const handing = done >= 4 && done < total - 2;
    const step = handing ? steps[4] : done < 4 ? (steps[done] as string) : (steps[steps.length - (total - done)] as string);
    this.#say(kept, handing ? `handoff ${kept.handoffs.length + 1}: full, donor and acceptor agreed` : step);
    if (handing) this.#addHandoff(kept);
    const times = kept.handoffs.map((h) => h.handoff.measuredMs ?? 0).sort((a, b) => a - b);
    const gaps = kept.handoffs.map((h) => h.handoff.clientGapMs ?? 0).sort((a, b) => a - b);
    this.#change(kept, {
      state: "running",
      handoffs: kept.handoffs.length,
      medianMs: times[times.length >> 1] ?? null,
      medianGapMs: gaps[gaps.length >> 1] ?? null,
      progress: { done: done + 1, total, step: this.#options.hostile ? hostileText(done) : step, remainingSeconds: ((total - done - 1) * 0.9) / this.#options.speed },
    });
  }

  #addHandoff(kept: Kept): void {
    const lab = buildLab({ ...this.#options, hosts: 6, clients: 2, sites: 3, seed: 5 });
    const members = lab.groups[0]?.members ?? [];
    const client = lab.clients[kept.handoffs.length % 2];
    const donor = members[kept.handoffs.length % members.length];
    const acceptor = members[(kept.handoffs.length + 1) % members.length];
    if (!client || !donor || !acceptor) return;
    kept.handoffs.push(playHandoff(lab, { id: `h-${kept.handoffs.length + 1}`, client, donor: donor.name, acceptor: acceptor.name, mode: kept.handoffs.length % 2 ? "prepared" : "full", startedAt: kept.run.startedAt + 4000 + kept.handoffs.length * 900 }, kept.dice));
  }

  #say(kept: Kept, text: string): void {
    const line: LogLine = { number: kept.log.length + 1, at: Date.now(), level: "info", source: "run", text: this.#options.hostile ? hostileText(kept.log.length) : text };
    kept.log.push(line);
    this.#emit("run.log", { run: kept.run.id, lines: [line] });
  }

  #end(kept: Kept, state: Run["state"], at = Date.now()): void {
    if (kept.timer) clearTimeout(kept.timer);
    kept.timer = null;
    this.#say(kept, state);
    this.#change(kept, { state, endedAt: at, hasReport: state === "passed" || state === "failed", detail: state === "failed" ? "threshold missed: longest client gap" : null });
  }

  #change(kept: Kept, change: Partial<Run>): void {
    kept.run = { ...kept.run, ...change };
    this.#emit("run.changed", kept.run);
  }
}

function seriesOf(kept: Kept): RunSeries {
  const dice = new Dice(kept.seed * 7 + kept.handoffs.length);
  const bins = 300;
  const moves = kept.handoffs.map((h) => ({ atMs: h.handoff.startedAt - kept.run.startedAt, client: h.handoff.clientName, acceptor: h.handoff.acceptor }));
  const clients = [...new Set(moves.map((m) => m.client))].map((name, i) => ({
    name,
    mbit: Array.from({ length: bins }, (_, bin) => {
      const quiet = moves.some((m) => m.client === name && bin * 100 >= m.atMs && bin * 100 < m.atMs + 300 + (kept.seed % 3) * 200);
      return bin < 8 ? null : Math.max(0, (quiet ? 12 : 92 - i * 20 - (kept.seed % 3) * 4) + dice.between(-5, 5));
    }),
  }));
  return { run: kept.run.id, binMs: 100, clients, handoffs: moves };
}

function problemsOf(text: string): FileProblem[] {
  const lines = text.split("\n");
  const tab = lines.findIndex((line) => /^\s*\t/.test(line));
  if (tab >= 0) return [{ line: tab + 1, column: 1, path: "", message: "a tab indents this line; YAML wants spaces" }];
  if (!lines.some((line) => line.startsWith("steps:"))) return [{ line: 1, column: 1, path: "steps", message: "a scenario needs steps: a list of what to do" }];
  return [];
}

function shippedScenarios(): Scenario[] {
  const make = (id: string, title: string, description: string, hosts: number, seconds: number): Scenario => ({ id, title, description, own: false, file: `assets/scenarios/${id}.yaml`, hosts, seconds });
  return [
    make("quickstart", "Quickstart", "A download and an echo connection move through three nodes on three sites, five times, without losing a byte.", 6, 45),
    make("paper", "The paper's figures", "Full and prepared handoffs over a grid of latencies, and how their time depends on each path.", 4, 900),
  ];
}

function scenarioText(id: string): string {
  return `name: ${id}\nlab: quickstart\nsteps:\n  - clients: [alice, bob]\n  - handOver: { client: alice, to: nyc, mode: full }\n  - wait: 2 s\n  - handOver: { client: alice, to: tyo, mode: prepared }\nthresholds:\n  bytesLost: 0\n  longestClientGapMs: 1000\n`;
}
