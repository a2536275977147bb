import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { PlannedHost } from "../../../src-shared/api/labPlan.ts";
import { Problem } from "../../problem.ts";
import { sshdAnswers, type LabHost } from "./labHost.ts";
import { hostNamespace } from "./network.ts";
import { hostEnvironment } from "./run.ts";

const startTimeoutMs = 15_000;

/** A host on this machine, as its supervisor sees it. Its network is plugged in and out by the lab. */
export class Host implements LabHost {
  readonly plan: PlannedHost;
  readonly address: string;
  /** Path of the script that process 1 runs. */
  readonly #script: string;
  readonly #log: string;
  readonly #timeNamespaces: boolean;
  #process: ChildProcess | undefined;
  #detail = "stopped";

  constructor(plan: PlannedHost, options: { readonly address: string; readonly script: string; readonly log: string; readonly timeNamespaces: boolean }) {
    this.plan = plan;
    this.address = options.address;
    this.#script = options.script;
    this.#log = options.log;
    this.#timeNamespaces = options.timeNamespaces;
  }

  get up(): boolean {
    return this.#process !== undefined;
  }

  get detail(): string {
    return this.#detail;
  }

  async start(): Promise<void> {
    if (this.#process) return;
    const log = openSync(this.#log, "a", 0o600);
    const offset = this.plan.clockOffsetSeconds;
    const clocks = this.#timeNamespaces ? ["--time", "--monotonic", String(offset), "--boottime", String(offset)] : [];
    const unshare = ["unshare", "--mount", "--pid", "--uts", "--ipc", ...clocks, "--fork", "--kill-child", "sh", this.#script];
    const child = spawn("nsenter", [`--net=/run/netns/${hostNamespace(this.plan)}`, ...unshare], { stdio: ["ignore", log, log], env: hostEnvironment });
    closeSync(log);
    this.#process = child;
    this.#detail = "starting";
    child.once("close", (code, signal) => {
      if (this.#process !== child) return;
      this.#process = undefined;
      this.#detail = `ended by itself (${signal ?? `exit code ${code}`})`;
    });
    await this.#untilAnswering(child);
    this.#detail = "up";
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (!child) return;
    this.#process = undefined;
    this.#detail = "stopped";
    const closed = once(child, "close");
    child.kill("SIGKILL"); // unshare dies, and with it by --kill-child process 1 of the host's pid namespace
    await closed;
    while (await sshdAnswers(this.address)) await sleep(10);
  }

  async #untilAnswering(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + startTimeoutMs;
    while (this.#process === child) {
      if (await sshdAnswers(this.address)) return;
      if (performance.now() > deadline) break;
      await sleep(20);
    }
    const evidence = (await readFile(this.#log, "utf8").catch(() => "")).trim().slice(-2000);
    const what = this.#process === child ? `its sshd does not answer after ${startTimeoutMs / 1000} s` : `its first process ended (${this.#detail})`;
    const full = /No space left on device/.test(evidence);
    await this.stop();
    throw new Problem({
      code: full ? "lab.diskFull" : "lab.hostFailed",
      host: this.plan.name,
      what: full ? "no space left for its files" : what,
      remedy: full ? "Free space on the lab's disk, or make the host's `disk` larger." : "The lines below say why; `anycast-lab doctor` checks what a lab needs.",
      evidence,
    });
  }
}
