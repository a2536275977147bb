import { setTimeout as sleep } from "node:timers/promises";
import type { PlannedHost } from "../../../src-shared/api/labPlan.ts";
import { Problem } from "../../problem.ts";
import { sshdAnswers, type LabHost } from "../local/labHost.ts";
import type { GuestWord } from "./guest.ts";
import type { Machine } from "./machine.ts";

/** An emulated processor starts an sshd in two seconds; ten of them on a busy one take their time. */
const startTimeoutMs = 120_000;
/** Each greeting is a process of its own there: better to wait long for one than to ask often. */
const greetingMs = 30_000;
const stopTimeoutMs = 60_000;

/** A host in a virtual machine: the machine does what it is told, and says when the host ended. */
export class VmHost implements LabHost {
  readonly plan: PlannedHost;
  readonly address: string;
  readonly #machine: Machine;
  #state: "stopped" | "starting" | "up" | "stopping" = "stopped";
  #detail = "stopped";
  #onStopped: () => void = () => {};

  constructor(plan: PlannedHost, address: string, machine: Machine) {
    this.plan = plan;
    this.address = address;
    this.#machine = machine;
  }

  get up(): boolean {
    return this.#state === "up" || this.#state === "starting";
  }

  get detail(): string {
    return this.#detail;
  }

  async start(): Promise<void> {
    if (this.up) return;
    this.#become("starting", "starting");
    this.#machine.order(`start ${this.plan.name}`, this.plan, (word) => this.#hear(word));
    const deadline = performance.now() + startTimeoutMs;
    while (this.#state === "starting") {
      if (await sshdAnswers(this.address, greetingMs)) return this.#become("up", `up, in the virtual machine ${this.#machine.name}`);
      if (performance.now() > deadline) break;
      await sleep(300);
    }
    const what = this.#state === "starting" ? `its sshd does not answer after ${startTimeoutMs / 1000} s` : `its first process ended (${this.#detail})`;
    const evidence = await this.#machine.said();
    await this.stop().catch(() => {});
    throw new Problem({ code: "lab.hostFailed", host: this.plan.name, what, remedy: `The last lines of the console of its virtual machine ${this.#machine.name} are below.`, evidence });
  }

  async stop(): Promise<void> {
    if (this.#machine.ended !== undefined) return this.#become("stopped", this.#detail);
    const stopped = new Promise<void>((resolve) => (this.#onStopped = resolve));
    this.#become("stopping", "stopping");
    this.#machine.order(`stop ${this.plan.name}`, this.plan, (word) => this.#hear(word));
    const timer = sleep(stopTimeoutMs, "late", { ref: false });
    if ((await Promise.race([stopped, timer])) === "late") throw new Problem({ code: "vm.stuck", host: this.plan.name, what: `its virtual machine ${this.#machine.name} does not stop it`, remedy: "Take the lab down." });
    this.#become("stopped", "stopped");
  }

  #hear(word: GuestWord): void {
    if (word.word === "stopped") this.#onStopped();
    if (word.word !== "ended") return;
    if (this.#state === "stopping") this.#onStopped();
    else this.#become("stopped", word.detail);
  }

  #become(state: "stopped" | "starting" | "up" | "stopping", detail: string): void {
    this.#state = state;
    this.#detail = detail;
  }
}
