import { type ChildProcess, fork } from "node:child_process";
import type { FromManager, ToManager } from "./frames.ts";

/** How the manager's process is started. */
export interface ManagerProgram {
  /** The Node to run it on. */
  readonly node: string;
  /** Its main script. */
  readonly script: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A manager that ends again and again is started later each time; one that ran this long counts as sound. */
const firstWaitMs = 100;
const longestWaitMs = 30_000;
const soundAfterMs = 60_000;
const endWithinMs = 20_000;

/** The Electron shell's end of the manager's process. When that dies, it is started again, and windows must begin anew: `onRestart` says so. */
export class ManagerLink {
  readonly #program: ManagerProgram;
  readonly #onFrame: (window: number, frame: unknown) => void;
  readonly #onRestart: (why: string) => void;
  #child: ChildProcess;
  #waitMs = firstWaitMs;
  #ending = false;

  constructor(program: ManagerProgram, onFrame: (window: number, frame: unknown) => void, onRestart: (why: string) => void) {
    this.#program = program;
    this.#onFrame = onFrame;
    this.#onRestart = onRestart;
    this.#child = this.#start();
  }

  open(window: number): void {
    this.#send({ open: window });
  }

  close(window: number): void {
    this.#send({ close: window });
  }

  frame(window: number, frame: unknown): void {
    this.#send({ window, frame });
  }

  /** Asks the manager to end what runs, and waits for it; kills it when it takes too long. */
  async end(): Promise<void> {
    this.#ending = true;
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    this.#send({ end: true });
    const timer = setTimeout(() => child.kill("SIGKILL"), endWithinMs);
    await gone;
    clearTimeout(timer);
  }

  #send(message: ToManager): void {
    // That it died meanwhile is told by `exit`.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #restart(why: string): void {
    if (this.#ending) return;
    this.#child = this.#start();
    this.#onRestart(why);
  }

  #start(): ChildProcess {
    const startedAt = performance.now();
    const { node, script, environment } = this.#program;
    const child = fork(script, [], { execPath: node, execArgv: [], serialization: "advanced", stdio: ["ignore", "inherit", "inherit", "ipc"], env: { ...process.env, ...environment } });
    child.on("message", (message) => {
      const { window, frame } = message as FromManager;
      this.#onFrame(window, frame);
    });
    let lostBefore = false;
    const lost = (why: string) => {
      if (this.#ending || lostBefore) return;
      lostBefore = true;
      if (performance.now() - startedAt > soundAfterMs) this.#waitMs = firstWaitMs;
      setTimeout(() => this.#restart(why), this.#waitMs);
      this.#waitMs = Math.min(longestWaitMs, this.#waitMs * 4);
    };
    child.once("error", (error) => lost(`the manager could not be started: ${error.message}`));
    child.once("exit", (code, signal) => lost(`the manager ended by itself (${signal ?? `code ${code}`})`));
    return child;
  }
}
