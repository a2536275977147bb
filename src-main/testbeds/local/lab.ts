import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LabPlan, Links, PlannedHost } from "../../../src-shared/api/labPlan.ts";
import { Problem } from "../../problem.ts";
import { applySettings, linkStatus, linkTable } from "../links.ts";
import type { LinkSetting, TestbedStatus } from "../testbed.ts";
import { guestData, guestHost } from "../vm/guest.ts";
import { Machine } from "../vm/machine.ts";
import { VmHost } from "../vm/vmHost.ts";
import { EmulatorProcess } from "./emulatorProcess.ts";
import type { LabFolder } from "./folders.ts";
import { Host } from "./host.ts";
import { knownHostName, sharedEtc } from "./hostFiles.ts";
import type { LabHost } from "./labHost.ts";
import { labKind } from "./localLab.ts";
import type { LabRecord } from "./labRecord.ts";
import { ipBatch, makeKey, must } from "./must.ts";
import { coreCommands, emulatorConfigOf, hostNamespace, managementAddress, plugCommands, tapCommands, wireCommands, wireDevice, wireNamespace } from "./network.ts";
import { hostKeyOf, prepareHost, startScript } from "./prepareHost.ts";

const sharedEtcFolder = "/run/lab/etc";
const machineStage = (machine: string) => `/run/lab/machines/${machine}`;

/** A running lab, from inside its namespaces: networks, link emulator and hosts. */
export class Lab {
  readonly #folder: LabFolder;
  readonly #record: LabRecord;
  readonly #hosts = new Map<string, LabHost>();
  readonly #machines: Machine[] = [];
  #emulator: EmulatorProcess | undefined;
  #links: Links;
  /** The end of the changes asked for so far: they are made one after another. */
  #changes: Promise<unknown> = Promise.resolve();

  constructor(folder: LabFolder, record: LabRecord) {
    this.#folder = folder;
    this.#record = record;
    this.#links = record.plan.links;
  }

  get #plan(): LabPlan {
    return this.#record.plan;
  }

  /** Brings everything up. Throws a Problem; whatever was made then ends with this process. */
  async up(progress: (what: string) => void): Promise<void> {
    progress("making namespaces and links");
    await prepareMounts(this.#record);
    await this.#makeKeys();
    const all = this.#plan.hosts.map((_, i) => i);
    const here = all.filter((i) => this.#plan.hosts[i]?.vm === undefined);
    const elsewhere = all.filter((i) => !here.includes(i));
    await ipBatch([], coreCommands + here.map((i) => plugCommands(this.#plan, i)).join(""));
    for (const scope of ["all", "default"]) await writeFile(`/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`, "1");
    await must("nsenter", [`--net=/run/netns/${wireNamespace}`, "sh", "-c", "for s in all default; do echo 1 > /proc/sys/net/ipv6/conf/$s/disable_ipv6; done"]);
    await ipBatch(["-n", wireNamespace], elsewhere.map((i) => tapCommands(this.#plan, i)).join("") + wireCommands(all));
    progress(`starting ${all.length} hosts`);
    const machines = this.#plan.machines.map((_, number) => this.#makeMachine(number, progress));
    const results = await Promise.allSettled([this.#startEmulator(), ...here.map((i) => this.#makeHost(i)), ...machines]);
    const failed = results.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    await this.#writeKnownHosts();
  }

  addressOf(name: string): string | { readonly error: string } {
    const host = this.#hosts.get(name);
    if (!host) return { error: `no host ${name} in this lab` };
    return host.up ? host.address : { error: `${name} is ${host.detail}` };
  }

  linkSet(settings: readonly LinkSetting[]): Promise<void> {
    return this.#inTurn(() => this.#setLinks(applySettings(this.#plan, this.#links, settings)));
  }

  linkReset(): Promise<void> {
    return this.#inTurn(() => this.#setLinks(this.#plan.links));
  }

  stopHost(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const host = this.#host(name);
      if (host.plan.vm !== undefined) await this.#setWire(host.plan, "down");
      await host.stop();
      if (host.plan.vm === undefined) await this.#unplug(host.plan);
    });
  }

  startHost(name: string): Promise<void> {
    return this.#inTurn(() => this.#startAgain(this.#host(name)));
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const result = this.#changes.then(change);
    this.#changes = result.catch(() => {}); // told to who asked
    return result;
  }

  async #startAgain(host: LabHost): Promise<void> {
    if (host.up) return;
    if (host.plan.vm !== undefined) {
      await this.#setWire(host.plan, "up");
      return host.start();
    }
    const index = this.#plan.hosts.indexOf(host.plan);
    await this.#unplug(host.plan); // still plugged in when it ended by itself
    await ipBatch([], plugCommands(this.#plan, index));
    await ipBatch(["-n", wireNamespace], wireCommands([index]));
    await this.#running.interfacesChanged();
    await host.start();
  }

  /** A stopped host in a machine is a card without a driver: what is sent to it must not wait there until it is back. */
  async #setWire(plan: PlannedHost, state: "up" | "down"): Promise<void> {
    await must("ip", ["-n", wireNamespace, "link", "set", wireDevice(this.#plan.hosts.indexOf(plan)), state]);
  }

  /** Takes a host's network away, with all state in it. Links go first: with its namespace alone they would go later, at some time. */
  async #unplug(plan: PlannedHost): Promise<void> {
    if (!existsSync(`/run/netns/${hostNamespace(plan)}`)) return;
    const index = this.#plan.hosts.indexOf(plan);
    await must("ip", ["link", "delete", `m${index}`]);
    await must("ip", ["-n", wireNamespace, "link", "delete", `w${index}`]);
    await must("ip", ["netns", "delete", hostNamespace(plan)]);
    await this.#running.interfacesChanged();
  }

  async status(): Promise<TestbedStatus> {
    const report = await this.#running.report();
    return {
      name: this.#folder.name,
      kind: labKind(this.#plan),
      up: true,
      since: this.#record.startedAt,
      hosts: this.#plan.hosts.map(({ name }) => ({ name, up: this.#host(name).up, detail: this.#host(name).detail })),
      links: linkStatus(this.#plan, this.#links),
      traffic: report.pairs,
      emulator: { lateness: report.lateness, drops: report.drops, waiting: report.waiting, waitingBytes: report.waitingBytes },
    };
  }

  /** Ends all hosts, so that nothing writes to the lab's folder any more. */
  async stopHosts(): Promise<void> {
    for (const machine of this.#machines) machine.stop();
    await Promise.all([...this.#hosts.values()].filter((host) => host.plan.vm === undefined).map((host) => host.stop()));
  }

  get #running(): EmulatorProcess {
    if (!this.#emulator) throw new Error("the lab is not up yet");
    return this.#emulator;
  }

  #host(name: string): LabHost {
    const host = this.#hosts.get(name);
    if (host) return host;
    throw new Problem({ code: "lab.unknownHost", what: `the lab ${this.#folder.name} has no host ${name}`, remedy: `Hosts: ${[...this.#hosts.keys()].join(", ")}.` });
  }

  async #startEmulator(): Promise<void> {
    const log = openSync(this.#folder.log, "a", 0o600);
    try {
      this.#emulator = await EmulatorProcess.start(emulatorConfigOf(this.#plan, this.#record.seed), log);
    } finally {
      closeSync(log);
    }
  }

  async #setLinks(links: Links): Promise<void> {
    await this.#running.setLinks(linkTable(this.#plan, links));
    this.#links = links;
  }

  /** The key that logs in to this lab's hosts, and the password for `sudo: password`. */
  async #makeKeys(): Promise<void> {
    await makeKey(this.#folder.clientKey, "anycast-lab");
    if (this.#plan.hosts.some((host) => host.sudo === "password")) await writeFile(this.#folder.password, randomBytes(12).toString("base64url"), { mode: 0o600 });
  }

  async #makeHost(index: number): Promise<void> {
    const plan = this.#plan.hosts[index] as PlannedHost;
    const folder = this.#stageOf(plan);
    const data = this.#folder.host(plan.name);
    await mkdir(join(data, "data"), { recursive: true });
    await prepareHost(this.#plan, index, { folder, seenAs: folder, sharedEtc: sharedEtcFolder, data: join(data, "data"), rootless: this.#record.rootless, ...(await this.#secrets()) });
    const host = new Host(plan, {
      address: managementAddress(index),
      script: join(folder, startScript),
      log: join(data, "log"),
      timeNamespaces: existsSync("/proc/self/ns/time"),
    });
    this.#hosts.set(plan.name, host);
    await host.start();
  }

  /** Boots a machine and starts its hosts. */
  async #makeMachine(number: number, progress: (what: string) => void): Promise<void> {
    const plan = this.#plan.machines[number] as LabPlan["machines"][number];
    const support = this.#record.machines;
    if (!support) throw new Error(`the lab's record does not say what ${plan.name} runs on`);
    const machine = new Machine({ lab: this.#plan, plan, number, support, stage: machineStage(plan.name), folder: this.#folder.machine(plan.name), log: this.#folder.log });
    this.#machines.push(machine);
    const secrets = await this.#secrets();
    const hosts = await Promise.all(
      plan.hosts.map(async (name) => {
        const index = this.#plan.hosts.findIndex((host) => host.name === name);
        const own = this.#plan.hosts[index] as PlannedHost;
        await prepareHost(this.#plan, index, { folder: this.#stageOf(own), seenAs: guestHost(name), sharedEtc: "/etc", data: guestData(name), rootless: false, ...secrets });
        return new VmHost(own, managementAddress(index), machine);
      }),
    );
    for (const host of hosts) this.#hosts.set(host.plan.name, host);
    await machine.start(progress);
    await Promise.all(hosts.map((host) => host.start()));
  }

  async #secrets(): Promise<{ readonly clientKey: string; readonly password: string | undefined }> {
    return { clientKey: await readFile(`${this.#folder.clientKey}.pub`, "utf8"), password: await readFile(this.#folder.password, "utf8").catch(() => undefined) };
  }

  /** Where a host's files are written: where it runs, or what its machine is given. */
  #stageOf(plan: PlannedHost): string {
    return plan.vm === undefined ? `/run/lab/hosts/${plan.name}` : `${machineStage(plan.vm)}/hosts/${plan.name}`;
  }

  async #writeKnownHosts(): Promise<void> {
    const lines = await Promise.all(this.#plan.hosts.map(async (host) => `${knownHostName(this.#folder.name, host.name)} ${await hostKeyOf(this.#stageOf(host))}\n`));
    await writeFile(this.#folder.knownHosts, lines.join(""), { mode: 0o600 });
  }
}

/** Where the kernel cannot lay one folder over another, the machine's own programs have to do. */
const layPackages = `mount -t overlay -o ro,lowerdir=/run/lab/packages/usr:/usr overlay /usr || { [ -x /usr/sbin/sshd ] && [ -x /usr/bin/sudo ]; } || { echo "no overlay file system here; installed openssh-server and sudo would do instead" >&2; exit 1; }`;

/** The lab's own view of the machine: an empty /run, and the packages laid over /usr. */
async function prepareMounts(record: LabRecord): Promise<void> {
  const script = [
    "set -eu",
    "mount -t tmpfs -o mode=755 run /run",
    `mkdir -p /run/netns /run/lab/hosts /run/lab/packages ${sharedEtcFolder}`,
    ...(record.packages === undefined
      ? []
      : ['mount --bind "$1" /run/lab/packages', layPackages, `cp -r /run/lab/packages/etc/nginx ${sharedEtcFolder}/`]),
    `for n in ${sharedEtc.join(" ")}; do if [ -e "/etc/$n" ]; then mkdir -p "$(dirname "${sharedEtcFolder}/$n")"; cp -r --preserve=mode,links "/etc/$n" "${sharedEtcFolder}/$n" 2>/dev/null || true; fi; done`,
  ].join("\n");
  await must("sh", ["-c", script, "sh", record.packages ?? ""]);
}
