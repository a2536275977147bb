import type { AgentArgs, AgentCallName, AgentHello, AgentValue, ServiceConfig } from "../../src-shared/api/control.ts";
import { defaults } from "../../src-shared/api/control.ts";
import type { AgentEvent } from "../../src-shared/api/events.ts";
import type { ScenarioGroup, ServedFile } from "../../src-shared/api/scenario.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import { parsePrefix, prefixContains } from "../../src-shared/net/prefix.ts";
import { Problem } from "../problem.ts";
import type { SshConnection } from "../ssh/connection.ts";
import type { HostHandle, LinkSetting, Testbed } from "../testbeds/testbed.ts";
import { callLimitMs, type AgentClient } from "./agent-client.ts";
import { startFileServer, type FileServer } from "./file-server.ts";
import { dissolveGroup, formGroup, type GroupDefinition, type GroupHosts } from "./groups.ts";
import { managerMono, type ClockReading, type LabSession, type RemoteProcess, type SessionHost } from "./runner/session.ts";

/** With hosts on emulated processors: services let go within 8 s, handoffs end within a minute. */
const slowPatience = 4;

/** A host with a running agent, as deployment leaves it. */
export interface AgentHost {
  readonly handle: HostHandle;
  readonly ssh: SshConnection;
  readonly client: AgentClient;
  readonly hello: AgentHello;
  /** Shell words that start our program there; subcommand and arguments follow. */
  readonly command: string;
  /** The agent's run directory there, absolute. */
  readonly directory: string;
  /** The same command line with the agent's rights (CAP_NET_RAW for captures). */
  privileged(command: string): Promise<RemoteProcess>;
  /** Ends the agent without a word to it. */
  kill(): Promise<void>;
}

export interface SessionOptions {
  readonly testbed: Testbed;
  readonly hosts: readonly AgentHost[];
  readonly versions: Readonly<Record<string, string>>;
  /** One-way latency in force, ms. */
  readonly latencyMs: (from: string, to: string) => number;
  /** Called after links were changed, before anything else happens. */
  readonly onLinks?: () => Promise<void>;
}

/** What a scenario runs on, bound to a testbed's hosts and their agents. */
export class HostsSession implements LabSession {
  readonly name: string;
  readonly kind: string;
  readonly hosts: readonly SessionHost[];
  readonly versions: Readonly<Record<string, string>>;
  readonly latencyMs: (from: string, to: string) => number;
  readonly #testbed: Testbed;
  readonly #onLinks: (() => Promise<void>) | undefined;
  readonly #hosts: ReadonlyMap<string, AgentHost>;
  readonly #servers: FileServer[] = [];
  readonly #groups = new Map<string, GroupDefinition>();
  /** How many times longer than usual agents may take for a call, and members of groups wait for each other. */
  readonly #patience: number;

  constructor(options: SessionOptions) {
    this.#testbed = options.testbed;
    this.#onLinks = options.onLinks;
    this.name = options.testbed.name;
    this.kind = options.testbed.kind;
    this.versions = options.versions;
    this.latencyMs = options.latencyMs;
    this.#hosts = new Map(options.hosts.map((host) => [host.handle.name, host]));
    this.#patience = options.hosts.some(({ handle }) => (handle.patience ?? 1) > 1) ? slowPatience : 1;
    this.hosts = options.hosts.map(({ handle, hello }) => ({
      name: handle.name,
      site: handle.site,
      address: parseAddress(hello.address),
      interface: hello.interface,
      kernel: hello.kernel,
      agent: hello.version,
      dataPlane: hello.dataPlane,
      ...(handle.virtualMachine && { virtualMachine: true }),
    }));
  }

  agentCommand(host: string): string {
    return this.#host(host).command;
  }

  async spawn(host: string, command: string, options: { readonly privileged?: boolean } = {}): Promise<RemoteProcess> {
    const target = this.#host(host);
    if (options.privileged) return target.privileged(command);
    const process = await target.ssh.start(command);
    return {
      stdout: process.stdout,
      stderr: process.stderr,
      endInput: () => process.stdin.end(),
      kill: () => {
        process.signal("TERM");
        process.close();
      },
      exited: process.exit.then(({ code }) => code ?? null).catch(() => null),
    };
  }

  call<N extends AgentCallName>(host: string, name: N, args: AgentArgs<N>): Promise<AgentValue<N>> {
    return this.#host(host).client.call(name, args, callLimitMs * this.#patience);
  }

  onEvent(listener: (host: string, event: AgentEvent) => void): () => void {
    const ends = [...this.#hosts].map(([name, { client }]) => client.onEvent((event) => listener(name, event)));
    return () => {
      for (const end of ends) end();
    };
  }

  async readClock(host: string): Promise<ClockReading> {
    const before = managerMono();
    const { mono, wall } = await this.call(host, "clock", {});
    const after = managerMono();
    return { managerMono: (before + after) / 2, hostMono: mono, hostWall: wall, errorMs: (after - before) / 2 };
  }

  async linkSet(settings: readonly LinkSetting[]): Promise<void> {
    await this.#testbed.linkSet(settings);
    await this.#onLinks?.();
  }

  stopNode(host: string): Promise<void> {
    return this.#testbed.stopHost(host);
  }

  killAgent(host: string): Promise<void> {
    return this.#host(host).kill();
  }

  async serveFiles(host: string, files: readonly ServedFile[]): Promise<{ readonly origin: string; readonly sha256: Readonly<Record<string, string>> }> {
    const { ssh, command, directory } = this.#host(host);
    const server = await startFileServer({ name: host, ssh, command, directory: `${directory}/files-${host}` }, files);
    this.#servers.push(server);
    return server;
  }

  async formGroup(group: ScenarioGroup, clients: readonly string[], origins: Readonly<Record<string, Readonly<Record<string, string>>>>): Promise<{ readonly memberPort: number }> {
    const definition: GroupDefinition = {
      id: group.id,
      homeAddress: group.address,
      homeAgent: group.homeAgent,
      ...(this.#isRoutedTo(group.homeAgent, group.address) && { homeLink: "routed" }),
      contact: group.contact,
      backups: group.backups,
      members: group.members,
      ...(this.#patience > 1 && { patience: this.#patience }),
      correspondents: clients.filter((client) => this.#host(client).handle.mobileIpv6 !== false),
      servicesOf: (member) => group.services.map((service) => this.#serviceOn(member, service, origins)),
    };
    await formGroup(definition, 1, this.#groupHosts());
    this.#groups.set(group.id, definition);
    return { memberPort: defaults.memberPort };
  }

  async dissolveGroup(group: string): Promise<void> {
    const definition = this.#groups.get(group);
    this.#groups.delete(group);
    if (definition) await dissolveGroup(definition, this.#groupHosts());
  }

  /** Ends what this session started on the hosts; agents go on. */
  async close(): Promise<void> {
    for (const id of this.#groups.keys()) await this.dissolveGroup(id).catch(() => {});
    await Promise.all(this.#servers.splice(0).map((server) => server.stop()));
  }

  /** A testbed that made its network knows that it routes the home prefix to this host. */
  #isRoutedTo(host: string, address: string): boolean {
    const { home } = this.#testbed;
    return home?.host === host && prefixContains(parsePrefix(home.prefix), parseAddress(address));
  }

  #serviceOn(member: string, service: ScenarioGroup["services"][number], origins: Readonly<Record<string, Readonly<Record<string, string>>>>): ServiceConfig {
    const { name, port } = service;
    switch (service.kind) {
      case "echo":
      case "udp-echo":
        return { kind: service.kind, name, port };
      case "http":
        return { kind: "http", name, port, origin: origins[name]?.[member] ?? "" };
      case "upload":
        return { kind: "upload", name, port, directory: `${this.#host(member).directory}/uploads-${name}` };
    }
  }

  #groupHosts(): GroupHosts {
    return {
      call: (host, call, args) => this.call(host, call, args),
      addressOf: (host) => this.#host(host).hello.address,
      onEvent: (listener) => this.onEvent(listener),
    };
  }

  #host(name: string): AgentHost {
    const host = this.#hosts.get(name);
    if (!host) throw new Problem({ code: "lab.no-host", what: `there is no host "${name}"; hosts are ${[...this.#hosts.keys()].join(", ")}`, remedy: "Use one of these names." });
    return host;
  }
}
