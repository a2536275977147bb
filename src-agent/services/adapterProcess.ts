import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

const firstDelayMs = 100;
const longestDelayMs = 10_000;
/** A process that lived this long has started well: the next failure begins with the short delay again. */
const steadyAfterMs = 10_000;
const killAfterMs = 2000;

export type Log = (level: "info" | "warn" | "error", text: string) => void;

/**
 * A service process of ours: started without any capability, restarted when it dies, with growing pauses. What it prints becomes log lines.
 * A root agent also empties the bounding set, since a root child would otherwise regain all of it.
 */
export class AdapterProcess {
  readonly #name: string;
  readonly #command: readonly string[];
  readonly #log: Log;
  readonly #inherited: readonly number[];
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | null = null;
  #delayMs = firstDelayMs;
  #stopped = false;

  /** `inherited`: descriptors that the process gets as its 3, 4, …; they stay ours, too, for the next process. */
  constructor(name: string, command: readonly string[], log: Log, inherited: readonly number[] = []) {
    this.#name = name;
    this.#command = command;
    this.#log = log;
    this.#inherited = inherited;
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGTERM");
    const kill = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
    await gone;
    clearTimeout(kill);
  }

  #start(): void {
    const startedAt = Date.now();
    const child = spawn("setpriv", [...withoutCapabilities(), ...this.#command], { stdio: ["ignore", "pipe", "pipe", ...this.#inherited] });
    this.#child = child;
    for (const [stream, level] of [[child.stdout, "info"], [child.stderr, "warn"]] as const) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#log(level, `${this.#name}: ${line.slice(0, 2000)}`));
    }
    let ended = false;
    const end = (why: string) => {
      if (ended) return;
      ended = true;
      this.#ended(why, Date.now() - startedAt);
    };
    child.once("error", (error) => end(error.message.includes("ENOENT") ? "setpriv (package util-linux) is not installed" : error.message));
    child.once("exit", (code, signal) => end(signal ? `killed by ${signal}` : `exit code ${code}`));
  }

  #ended(why: string, livedMs: number): void {
    if (this.#stopped) return;
    if (livedMs >= steadyAfterMs) this.#delayMs = firstDelayMs;
    this.#log("error", `${this.#name}: the service process ended (${why}); starting it again in ${this.#delayMs} ms`);
    this.#timer = setTimeout(() => this.#start(), this.#delayMs);
    this.#delayMs = Math.min(2 * this.#delayMs, longestDelayMs);
  }
}

function withoutCapabilities(): string[] {
  const bounding = process.getuid?.() === 0 ? ["--bounding-set=-all"] : [];
  return ["--no-new-privs", "--ambient-caps=-all", "--inh-caps=-all", ...bounding, "--"];
}
