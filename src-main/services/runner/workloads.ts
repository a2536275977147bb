import { createInterface } from "node:readline";
import type { ScenarioFile, Workload } from "../../../src-shared/api/scenario.ts";
import { LineFile, type RunFolder } from "../../report/run-folder.ts";
import { Problem } from "../../problem.ts";
import type { EventLog } from "./event-log.ts";
import type { LabSession, RemoteProcess } from "./session.ts";

/** Programs start and end within a second; on an emulated processor that has others to start, within half a minute. */
const startPatienceMs = 120_000;
const stopPatienceMs = 60_000;

/** How far a workload is, as its log tells. */
interface Progress {
  bytes: number;
  over: boolean;
}

interface Running {
  readonly workload: Workload;
  readonly process: RemoteProcess;
  readonly expectedBytes: number | null;
  readonly state: Progress;
  /** Resolves at the first sign of life: the connection stands. */
  readonly alive: Promise<boolean>;
  readonly ended: Promise<void>;
}

/** The clients' programs of a run. Their logs go into the run folder line by line, unchanged. */
export class Workloads {
  readonly #session: LabSession;
  readonly #scenario: ScenarioFile;
  readonly #folder: RunFolder;
  readonly #events: EventLog;
  /** SHA-256 of each served file, by service and path. */
  readonly #hashes: ReadonlyMap<string, string>;
  readonly #running = new Map<string, Running>();
  readonly #starts = new Map<string, number>();

  constructor(options: { readonly session: LabSession; readonly scenario: ScenarioFile; readonly folder: RunFolder; readonly events: EventLog; readonly hashes: ReadonlyMap<string, string> }) {
    this.#session = options.session;
    this.#scenario = options.scenario;
    this.#folder = options.folder;
    this.#events = options.events;
    this.#hashes = options.hashes;
  }

  /** Starts a workload; resolves when its connection stands. */
  async start(name: string): Promise<void> {
    const workload = this.#named(name);
    if (this.#running.get(name)?.state.over === false) throw new Problem({ code: "scenario.step", what: `workload ${name} runs already`, remedy: "Stop it, or wait for it, before it is started again." });
    const log = this.#logName(name);
    const file = new LineFile(this.#folder.clientLog(log));
    const expected = this.#expected(workload);
    const process = await this.#session.spawn(workload.client, `${this.#session.agentCommand(workload.client)} workload ${this.#arguments(workload)}`);
    this.#events.manager({ type: "workloadStarted", workload: name, kind: workload.kind, client: workload.client, log, expectedBytes: expected.bytes, expectedSha256: expected.sha256 });
    const running = this.#follow(workload, process, file, expected.bytes);
    this.#running.set(name, running);
    const patience = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), startPatienceMs).unref());
    if (!(await Promise.race([running.alive, patience]))) {
      process.kill();
      throw new Problem({ code: "scenario.workload", host: workload.client, what: `workload ${name} got no connection to X within ${startPatienceMs / 1000} s`, remedy: `Its log is ${this.#folder.clientLog(log)}; \`lab inspect\` shows whether X is registered and served.` });
    }
  }

  /** Ends a workload now and waits until its log is whole. */
  async stop(name: string): Promise<void> {
    const running = this.#running.get(name);
    if (!running || running.state.over) return;
    running.process.endInput();
    const late = setTimeout(() => running.process.kill(), stopPatienceMs);
    await running.ended;
    clearTimeout(late);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((name) => this.stop(name)));
  }

  /** Waits until a workload has ended by itself. Rejects with a Problem when that takes longer than `atMostMs`. */
  async wait(name: string, atMostMs: number): Promise<void> {
    const running = this.#running.get(name);
    if (!running) throw new Problem({ code: "scenario.step", what: `workload ${name} was not started`, remedy: "Start it before waiting for it." });
    const patience = new Promise<false>((resolve) => setTimeout(() => resolve(false), atMostMs).unref());
    if ((await Promise.race([running.ended, patience])) === false) throw new Problem({ code: "scenario.timeout", what: `workload ${name} has not ended within ${atMostMs / 1000} s (${running.state.bytes} of ${running.expectedBytes ?? "?"} bytes)`, remedy: "Give `wait` a longer `atMost`, or look at the client's log." });
  }

  /** Share of its bytes that a transfer has moved; null when it has not begun or is no transfer. */
  progress(name: string): number | null {
    const running = this.#running.get(name);
    return running?.expectedBytes ? Math.min(1, running.state.bytes / running.expectedBytes) : null;
  }

  isOver(name: string): boolean {
    return this.#running.get(name)?.state.over ?? true;
  }

  /** The client's transfers under way, and how far they are. */
  progressOf(client: string): Record<string, number> {
    return Object.fromEntries([...this.#running.values()].flatMap(({ workload, state }) => {
      const share = this.progress(workload.name);
      return workload.client === client && !state.over && share !== null ? [[workload.name, share]] : [];
    }));
  }

  #follow(workload: Workload, process: RemoteProcess, file: LineFile, expectedBytes: number | null): Running {
    const state: Progress = { bytes: 0, over: false };
    let live: (alive: boolean) => void = () => {};
    const alive = new Promise<boolean>((resolve) => (live = resolve));
    let complaint = "";
    process.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-1000)));
    const lines = createInterface({ input: process.stdout });
    const closed = new Promise<void>((resolve) => lines.once("close", resolve));
    const ended = (async () => {
      const [exit] = await Promise.all([process.exited, closed]);
      if (complaint) file.append({ type: "stderr", text: complaint });
      state.over = true;
      live(true);
      this.#events.manager({ type: "workloadEnded", workload: workload.name, exit });
      await file.end().catch(() => {}); // a full disk shows again, and is reported, when the event log ends
    })();
    lines.on("line", (text) => {
      const line = parsed(text);
      if (!line) return;
      file.append(line);
      if (typeof line.bytes === "number" && line.type === "progress") state.bytes = line.bytes;
      if (line.type === "end" || (line.type === "progress" && state.bytes > 0) || line.type === "lines") live(true);
    });
    return { workload, process, expectedBytes, state, alive, ended };
  }

  #arguments(workload: Workload): string {
    const { address, services } = this.#scenario.group;
    const service = services.find((s) => s.name === workload.service);
    if (!service) throw new Error(`no service ${workload.service}`);
    switch (workload.kind) {
      case "echo":
        return `echo --to ${address} --port ${service.port} --period ${workload.period} --padding ${workload.padding}`;
      case "download":
        return `download --url http://[${address}]:${service.port}${workload.path}`;
      case "upload":
        return `upload --url http://[${address}]:${service.port}/${workload.name}.bin --bytes ${workload.bytes} --seed ${workload.seed}`;
    }
  }

  #expected(workload: Workload): { readonly bytes: number | null; readonly sha256: string | null } {
    if (workload.kind === "upload") return { bytes: workload.bytes, sha256: null };
    if (workload.kind === "echo") return { bytes: null, sha256: null };
    const service = this.#scenario.group.services.find((s) => s.name === workload.service);
    const file = service?.kind === "http" ? service.files.find((f) => f.path === workload.path) : undefined;
    return { bytes: file?.bytes ?? null, sha256: this.#hashes.get(`${workload.service} ${workload.path}`) ?? null };
  }

  #named(name: string): Workload {
    const workload = this.#scenario.workloads.find((w) => w.name === name);
    if (!workload) throw new Error(`no workload ${name}`);
    return workload;
  }

  /** A workload that is started again logs into a file of its own. */
  #logName(name: string): string {
    const count = (this.#starts.get(name) ?? 0) + 1;
    this.#starts.set(name, count);
    return count === 1 ? `${name}.jsonl` : `${name}-${count}.jsonl`;
  }
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === "object" ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
