import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { LabPlan, PlannedHost, PlannedMachine } from "../../../src-shared/api/labPlan.ts";
import { Problem } from "../../problem.ts";
import { ipBatch, must } from "../local/must.ts";
import { hostMac, machineMac, machineTap, plugMachineCommands, wireDevice, wireNamespace } from "../local/network.ts";
import { systemEnvironment } from "../local/run.ts";
import { guestScript, readGuestWord, type GuestOrder, type GuestWord } from "./guest.ts";
import { machineArguments } from "./qemu.ts";
import { bootTimeoutOf, cpusOf, memoryOf, type MachineSupport } from "./support.ts";

/** Apparent size of the disk that a machine's hosts write to; it takes what they write. */
const dataBytes = 32 * 2 ** 30;

export interface MachineSetting {
  readonly lab: LabPlan;
  readonly plan: PlannedMachine;
  /** Which of the lab's machines it is. */
  readonly number: number;
  readonly support: MachineSupport;
  /** What goes into it, in the supervisor's view: `hosts/NAME/…`. */
  readonly stage: string;
  /** For its disk and what its console says, on the lab's disk. */
  readonly folder: string;
  /** A file for what QEMU itself says. */
  readonly log: string;
}

/**
 * A virtual machine, from its supervisor's side: one QEMU, a child of the supervisor in the lab's own pid namespace, so that it ends with the lab
 * whatever happens.
 */
export class Machine {
  readonly #setting: MachineSetting;
  readonly #listeners = new Map<string, (word: GuestWord) => void>();
  #process: ChildProcess | undefined;
  /** Why it does not run, once it has run. */
  #ended: string | undefined;
  #onEnd: (why: string) => void = () => {};

  constructor(setting: MachineSetting) {
    this.#setting = setting;
  }

  get name(): string {
    return this.#setting.plan.name;
  }

  /** Why it does not run; undefined while it does. */
  get ended(): string | undefined {
    return this.#ended;
  }

  get console(): string {
    return join(this.#setting.folder, "console");
  }

  /** Boots it and plugs its management card in; its hosts are not started. Throws Problem `vm.bootFailed` or `vm.bootTimeout` with the console's last lines. */
  async start(progress: (what: string) => void): Promise<void> {
    const { plan, support, number, folder, stage, lab } = this.#setting;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(join(stage, "init"), guestScript(lab, plan, number));
    const labDisk = `${stage}.tar`;
    await must("tar", ["-C", stage, "--owner=0", "--group=0", "-cf", labDisk, "."]);
    const dataDisk = join(folder, "data.ext4");
    await writeFile(dataDisk, "", { mode: 0o600 });
    await truncate(dataDisk, dataBytes);
    await must("mke2fs", ["-q", "-t", "ext4", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1", dataDisk]);
    const indexes = plan.hosts.map((name) => lab.hosts.findIndex((host) => host.name === name));
    await ipBatch(["-n", wireNamespace], `tuntap add dev ${machineTap(number)} mode tap vnet_hdr\n`);
    const cards = [{ tap: machineTap(number), mac: machineMac(number) }, ...indexes.map((i) => ({ tap: wireDevice(i), mac: hostMac(i) }))];
    const args = machineArguments({ image: support.image, accelerator: support.accelerator, memoryBytes: memoryOf(plan), cpus: cpusOf(plan), dataDisk, labDisk, console: this.console, cards });
    progress(`booting the virtual machine ${plan.name} (${support.image.kernel}, ${support.accelerator === "kvm" ? "hardware virtualisation" : "emulated"})`);
    await this.#boot(args);
    await ipBatch(["-n", wireNamespace], `link set ${machineTap(number)} netns 1\n`); // 1: this process, in the lab's pid namespace
    await ipBatch([], plugMachineCommands(number));
  }

  /** Gives an order about a host; `listener` hears what becomes of the host from now on. Throws Problem `vm.ended`. */
  order(order: GuestOrder, host: PlannedHost, listener: (word: GuestWord) => void): void {
    if (this.#ended !== undefined || !this.#process) throw new Problem({ code: "vm.ended", host: host.name, what: `its virtual machine ${this.name} does not run (${this.#ended ?? "not started"})`, remedy: "Take the lab down and up again; the machine's console is in the lab's folder." });
    this.#listeners.set(host.name, listener);
    this.#process.stdin?.write(`${order}\n`);
  }

  /** The console's last lines. */
  async said(): Promise<string> {
    const text = await readFile(this.console, "latin1").catch(() => "");
    const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
    return lines.slice(-20).join("\n");
  }

  stop(): void {
    this.#process?.kill("SIGKILL");
  }

  #boot(args: readonly string[]): Promise<void> {
    const { plan, support } = this.#setting;
    return new Promise((resolve, reject) => {
      const log = openSync(this.#setting.log, "a", 0o600);
      const child = spawn("nsenter", [`--net=/run/netns/${wireNamespace}`, support.qemu, ...args], { stdio: ["pipe", "pipe", log], env: { ...systemEnvironment, TMPDIR: dirname(this.console) } });
      closeSync(log);
      this.#process = child;
      const limit = bootTimeoutOf(plan);
      const refuse = async (code: string, what: string): Promise<void> => {
        clearTimeout(timer);
        child.kill("SIGKILL");
        const qemuSaid = code === "vm.bootFailed" ? (await readFile(this.#setting.log, "utf8").catch(() => "")).trim().split("\n").slice(-5).join("\n") : "";
        reject(new Problem({ code, what: `the virtual machine ${this.name} ${what}`, remedy: "The console's last lines are below. A busy machine needs longer: `vms: { NAME: { bootTimeout: 300 s } }` in the lab file.", evidence: `${qemuSaid}\n${await this.said()}`.trim() }));
      };
      const timer = setTimeout(() => void refuse("vm.bootTimeout", `did not boot within ${limit / 1000} s`), limit);
      this.#onEnd = (why) => void refuse("vm.bootFailed", `ended while it booted (${why})`);
      child.once("error", (error) => this.#onEnd(error.message));
      child.once("close", (code, signal) => this.#hasEnded(`QEMU ended, ${signal ?? `exit code ${code}`}`));
      child.stdin?.on("error", () => {}); // told by `close`
      createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
        const word = readGuestWord(line);
        if (word?.word === "ready") {
          clearTimeout(timer);
          this.#onEnd = () => {};
          resolve();
        } else if (word?.word === "failed") void refuse("vm.bootFailed", `cannot set itself up: ${word.what}`);
        else if (word) this.#listeners.get(word.host)?.(word);
      });
    });
  }

  #hasEnded(why: string): void {
    this.#ended = why;
    this.#onEnd(why);
    for (const [host, listener] of this.#listeners) listener({ word: "ended", host, detail: `its virtual machine ended (${why})` });
  }
}
