import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { LabPlan, Links, PlannedHost } from "../../../src-shared/api/labPlan.ts";
import { Problem } from "../../problem.ts";
import { applySettings, linkStatus, linkTable } from "../links.ts";
import type { LinkSetting, TestbedStatus } from "../testbed.ts";
import { EmulatorProcess } from "./emulatorProcess.ts";
import type { LabFolder } from "./folders.ts";
import { Host } from "./host.ts";
import { hostFiles, knownHostName, sharedEtc } from "./hostFiles.ts";
import { hostScript } from "./hostScript.ts";
import type { LabRecord } from "./labRecord.ts";
import { coreCommands, emulatorConfigOf, hostCommands, hostNamespace, managementAddress, plugCommands, wireCommands, wireNamespace } from "./network.ts";
import { run } from "./run.ts";

const sharedEtcFolder = "/run/lab/etc";

/** A running lab, from inside its namespaces: networks, link emulator and hosts. */
export class Lab {
  readonly #folder: LabFolder;
  readonly #record: LabRecord;
  readonly #hosts = new Map<string, Host>();
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
    await batch([], coreCommands + all.map((i) => plugCommands(this.#plan, i)).join(""));
    for (const scope of ["all", "default"]) await writeFile(`/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`, "1");
    await must("nsenter", [`--net=/run/netns/${wireNamespace}`, "sh", "-c", "for s in all default; do echo 1 > /proc/sys/net/ipv6/conf/$s/disable_ipv6; done"]);
    await batch(["-n", wireNamespace], wireCommands(all));
    progress(`starting ${all.length} hosts`);
    const results = await Promise.allSettled([this.#startEmulator(), ...all.map((i) => this.#makeHost(i))]);
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
      await host.stop();
      await this.#unplug(host.plan);
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

  async #startAgain(host: Host): Promise<void> {
    if (host.up) return;
    const index = this.#plan.hosts.indexOf(host.plan);
    await this.#unplug(host.plan); // still plugged in when it ended by itself
    await batch([], plugCommands(this.#plan, index));
    await batch(["-n", wireNamespace], wireCommands([index]));
    await this.#running.interfacesChanged();
    await host.start();
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
      kind: "local",
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
    await Promise.all([...this.#hosts.values()].map((host) => host.stop()));
  }

  get #running(): EmulatorProcess {
    if (!this.#emulator) throw new Error("the lab is not up yet");
    return this.#emulator;
  }

  #host(name: string): Host {
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
    const own = `/run/lab/hosts/${plan.name}`;
    const data = this.#folder.host(plan.name);
    const places = { etc: join(own, "etc"), sharedEtc: sharedEtcFolder, root: join(own, "root"), data: join(data, "data"), network: join(own, "network") };
    const script = join(own, "start");
    await mkdir(places.root, { recursive: true });
    await mkdir(places.data, { recursive: true });
    const clientKey = await readFile(`${this.#folder.clientKey}.pub`, "utf8");
    for (const file of hostFiles(this.#plan, index, clientKey)) {
      await mkdir(dirname(join(places.etc, file.path)), { recursive: true });
      await writeFile(join(places.etc, file.path), file.text);
      await chmod(join(places.etc, file.path), file.mode);
    }
    await makeKey(join(places.etc, "ssh/ssh_host_ed25519_key"), plan.name);
    await writeFile(places.network, hostCommands(this.#plan, index));
    const password = plan.sudo === "password" ? await readFile(this.#folder.password, "utf8") : undefined;
    await writeFile(script, hostScript(plan, places, { rootless: this.#record.rootless, password }), { mode: 0o600 });
    const host = new Host(plan, {
      address: managementAddress(index),
      script,
      log: join(data, "log"),
      timeNamespaces: existsSync("/proc/self/ns/time"),
    });
    this.#hosts.set(plan.name, host);
    await host.start();
  }

  async #writeKnownHosts(): Promise<void> {
    const lines = await Promise.all(
      this.#plan.hosts.map(async ({ name }) => {
        const [type, key] = (await readFile(`/run/lab/hosts/${name}/etc/ssh/ssh_host_ed25519_key.pub`, "utf8")).split(" ");
        return `${knownHostName(this.#folder.name, name)} ${type} ${key}\n`;
      }),
    );
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

async function makeKey(path: string, comment: string): Promise<void> {
  await must("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path]);
}

async function batch(options: readonly string[], commands: string): Promise<void> {
  await must("ip", [...options, "-batch", "-"], commands);
}

/** Runs a program that has to succeed. Throws Problem `lab.setUp` or `lab.diskFull` with what it said. */
async function must(program: string, args: readonly string[], input = ""): Promise<void> {
  const { code, stderr } = await run(program, args, { input });
  if (code === 0) return;
  const evidence = stderr.trim().slice(-2000);
  if (/No space left on device/.test(evidence)) throw new Problem({ code: "lab.diskFull", what: "no space left for the lab's files", remedy: "Free space, or set XDG_STATE_HOME to another disk.", evidence });
  throw new Problem({ code: "lab.setUp", what: `${program} failed while the lab was set up`, remedy: code === 127 ? `Install ${program}.` : "The lines below say why; `anycast-lab doctor` checks what a lab needs.", evidence });
}
