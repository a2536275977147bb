import { createConnection } from "node:net";
import { resolve } from "node:path";
import type { Duplex } from "node:stream";
import type { LabPlan } from "../../../src-shared/api/labPlan.ts";
import { Problem } from "../../problem.ts";
import type { SshTarget } from "../../ssh/target.ts";
import type { HostHandle, LinkSetting, Sudo, Testbed, TestbedStatus } from "../testbed.ts";
import { askSupervisor, notRunning } from "./control.ts";
import type { LabFolder } from "./folders.ts";
import { knownHostName, loginUser } from "./hostFiles.ts";
import type { LabRecord } from "./labRecord.ts";
import { dataInterface } from "./network.ts";

/** An emulated processor takes some ten times as long, and is shared by several hosts. */
const emulatedPatience = 10;

/** `vm` where at least one host is in a virtual machine. */
export const labKind = (plan: LabPlan): "local" | "vm" => (plan.machines.length > 0 ? "vm" : "local");

/** A running lab of this machine, its virtual machines included, as the manager uses it: everything goes through the lab's two sockets. */
export class LocalLab implements Testbed {
  readonly kind: "local" | "vm";
  readonly name: string;
  readonly plan: LabPlan;
  readonly rootless: boolean;
  readonly folder: LabFolder;
  readonly #hosts: readonly HostHandle[];
  readonly #down: () => Promise<void>;

  constructor(folder: LabFolder, record: LabRecord, options: { readonly password: string | undefined; readonly down: () => Promise<void> }) {
    this.kind = labKind(record.plan);
    this.name = folder.name;
    this.folder = folder;
    this.plan = record.plan;
    this.rootless = record.rootless;
    this.#hosts = record.plan.hosts.map((host) => ({
      name: host.name,
      site: host.site,
      roles: host.roles,
      address: host.address,
      interface: dataInterface,
      ssh: this.#target(host.name),
      sudo: sudoOf(host.sudo, options.password),
      dataPlane: host.dataPlane,
      mobileIpv6: host.mobileIpv6,
      ...(host.vm !== undefined && { patience: emulatedPatience, virtualMachine: true }),
    }));
    this.#down = options.down;
  }

  get home(): LabPlan["home"] {
    return this.plan.home;
  }

  hosts(): readonly HostHandle[] {
    return this.#hosts;
  }

  connect(host: string): Promise<Duplex> {
    return connectThroughGate(this.folder, host);
  }

  async status(): Promise<TestbedStatus> {
    return (await askSupervisor(this.folder, { op: "status" })) as TestbedStatus;
  }

  async linkSet(settings: readonly LinkSetting[]): Promise<void> {
    await askSupervisor(this.folder, { op: "linkSet", settings: [...settings] });
  }

  async linkReset(): Promise<void> {
    await askSupervisor(this.folder, { op: "linkReset" });
  }

  async stopHost(host: string): Promise<void> {
    await askSupervisor(this.folder, { op: "stopHost", host });
  }

  async startHost(host: string): Promise<void> {
    await askSupervisor(this.folder, { op: "startHost", host });
  }

  down(): Promise<void> {
    return this.#down();
  }

  #target(host: string): SshTarget {
    const name = knownHostName(this.name, host);
    return {
      host,
      user: loginUser,
      hostname: name,
      port: 22,
      trust: { names: { name }, files: [this.folder.knownHosts] },
      credentials: { keyFiles: [this.folder.clientKey] },
      stream: () => this.connect(host),
    };
  }
}

function sudoOf(kind: LabPlan["hosts"][number]["sudo"], password: string | undefined): Sudo {
  return kind === "password" ? { kind, password: password as string } : { kind };
}

/** A byte stream to a lab host's sshd. Throws Problem `lab.notRunning`, or `lab.hostDown` with the reason. */
function connectThroughGate(folder: LabFolder, host: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(folder.sshSocket);
    let heard = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      heard = Buffer.concat([heard, chunk]);
      const end = heard.indexOf("\n");
      if (end < 0) return;
      const line = heard.toString("utf8", 0, end);
      socket.off("data", onData).off("close", onClose).off("error", onError);
      if (line !== "OK") {
        socket.destroy();
        reject(new Problem({ code: "lab.hostDown", host, what: line.replace(/^ERROR /, ""), remedy: "`lab status` says how the hosts are." }));
        return;
      }
      socket.pause();
      if (heard.length > end + 1) socket.unshift(heard.subarray(end + 1));
      resolve(socket);
    };
    const onError = (error: Error) => reject(notRunning(folder, error));
    const onClose = () => reject(notRunning(folder));
    socket.on("data", onData).once("error", onError).once("close", onClose);
    socket.once("connect", () => socket.write(`CONNECT ${host}\n`));
  });
}

const proxyProgram = resolve(import.meta.dirname, "proxy.ts");

/** An ssh_config with which a person's own ssh, scp or rsync reaches the hosts: `ssh -F FILE n1`. */
export function sshConfigText(folder: LabFolder, plan: LabPlan): string {
  const hosts = plan.hosts.map(({ name }) => [`Host ${name}`, `  HostKeyAlias ${knownHostName(plan.name, name)}`, ""].join("\n"));
  const common = [
    `Host ${plan.hosts.map((host) => host.name).join(" ")}`,
    `  User ${loginUser}`,
    `  IdentityFile "${folder.clientKey}"`,
    "  IdentitiesOnly yes",
    `  UserKnownHostsFile "${folder.knownHosts}"`,
    "  GlobalKnownHostsFile none",
    "  StrictHostKeyChecking yes",
    `  ProxyCommand env ELECTRON_RUN_AS_NODE=1 '${process.execPath}' '${proxyProgram}' '${folder.sshSocket}' %n`,
    "",
  ];
  return [...hosts, ...common].join("\n");
}
