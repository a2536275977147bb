import type { AgentEvent } from "../../../src-shared/api/events.ts";
import type { Host } from "../../../src-shared/api/app/host.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { Client } from "../../../src-shared/api/app/lab.ts";
import { Problem } from "../../problem.ts";
import type { AskSecret } from "../../ssh/target.ts";
import type { HostHandle, Testbed } from "../../testbeds/testbed.ts";
import { latenciesOf } from "../experiment.ts";
import type { AgentHost } from "../lab-session.ts";
import { clientsOf, type GroupHint, groupsOf, type Inspected, readInspection } from "./groups-view.ts";
import { type HostChange, HostLink } from "./host-link.ts";
import { linkFaults, shownLinks } from "./links.ts";
import { LiveLab } from "./live.ts";
import { Sampler } from "./sampler.ts";
import type { Emit, LabStore } from "./store.ts";

export interface OpenLabOptions {
  readonly id: string;
  readonly testbed: Testbed;
  readonly store: LabStore;
  readonly emit: Emit;
  /** Whether anybody looks: samples are taken only then. */
  readonly watched: () => boolean;
  readonly askAbout: (host: string) => AskSecret;
}

/** Agents' words after which groups and clients are asked for anew. */
const tellingEvents: readonly AgentEvent["body"]["type"][] = ["homeRegistered", "homeRegistrationFailed", "memberUp", "memberDown", "clientServed", "clientGone", "handoffDone", "handoffFailed"];
const lookAgainMs = 400;

/** A lab that is up, as the manager of windows holds it: its hosts, what their agents tell, its links, groups and clients. */
export class OpenLab {
  readonly id: string;
  readonly testbed: Testbed;
  readonly live: LiveLab;
  readonly #options: OpenLabOptions;
  readonly #links = new Map<string, HostLink>();
  readonly #sampler: Sampler;
  #latencies: Awaited<ReturnType<typeof latenciesOf>> | null = null;
  #hints: GroupHint[] = [];
  #lookTimer: NodeJS.Timeout | null = null;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: OpenLabOptions) {
    this.id = options.id;
    this.testbed = options.testbed;
    this.#options = options;
    const scene = {
      group: (home: string) => this.#state().groups.find((group) => group.home === home) ?? null,
      client: (address: string) => this.#describeClient(address),
      columns: () => this.#columns(),
      latencyMs: (from: string, to: string) => this.latencyMs(from, to),
    };
    this.live = new LiveLab(this.id, options.emit, scene, (host) => this.#links.get(host)?.clock ?? null);
    this.#sampler = new Sampler({ testbed: this.testbed, state: () => this.#state(), watched: options.watched, emit: (sample) => options.emit("live.sample", { lab: this.id, sample }) });
    for (const handle of options.testbed.hosts()) this.add(handle);
  }

  /** A host that the testbed has gained. */
  add(handle: HostHandle): HostLink {
    const link = new HostLink(handle, this.testbed.name, {
      ask: this.#options.askAbout(handle.name),
      onChange: (host, change) => this.#hostChanged(host, change),
      onEvent: (host, event) => this.#told(host, event),
    });
    this.#links.set(handle.name, link);
    return link;
  }

  async remove(host: string): Promise<void> {
    await this.#links.get(host)?.close();
    this.#links.delete(host);
  }

  hosts(): HostLink[] {
    return [...this.#links.values()];
  }

  /** Throws AppError `not-found`. */
  host(name: string): HostLink {
    const link = this.#links.get(name);
    if (!link) throw new AppError("not-found", `there is no host "${name}" in this lab`);
    return link;
  }

  /** The host's agent. Throws Problem `agent.notRunning`. */
  agent(name: string): AgentHost {
    const { agent } = this.host(name);
    if (!agent) throw new Problem({ code: "agent.notRunning", host: name, what: "no agent runs there", remedy: "Deploy it first." });
    return agent;
  }

  /** Connects to every host and to the agents that run; hosts that do not answer show why. */
  async attachAll(): Promise<void> {
    await Promise.all([this.refreshLinks(), ...this.hosts().map((link) => link.attach().catch(() => false))]);
    await this.lookNow();
  }

  /** Links as they are now; call it after they were changed. */
  async refreshLinks(): Promise<void> {
    this.#latencies ??= await latenciesOf(this.testbed);
    await this.#latencies.refresh();
    if (this.testbed.kind === "fleet" || this.#closed) return;
    const before = this.#state();
    const links = shownLinks((await this.testbed.status()).links);
    const faults = linkFaults(links, before.faults);
    const gone = before.faults.filter((fault) => !faults.some((each) => each.id === fault.id)).map((fault) => fault.id);
    this.#options.store.change(this.id, { links, faults, ...(gone.length > 0 && { gone }) });
  }

  /** One-way latency in force, ms; 0 until it is known. */
  latencyMs(from: string, to: string): number {
    return this.#latencies?.between(from, to) ?? 0;
  }

  /** What a run knows of its group, until that is dissolved. */
  hint(hint: GroupHint): () => void {
    this.#hints.push(hint);
    return () => {
      this.#hints = this.#hints.filter((each) => each !== hint);
    };
  }

  /** Asks all agents for groups and clients. */
  lookNow(): Promise<void> {
    if (this.#lookTimer) clearTimeout(this.#lookTimer);
    this.#lookTimer = null;
    this.#looking = this.#looking.then(() => this.#look()).catch(() => {}); // a host that goes away tells so itself
    return this.#looking;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#lookTimer) clearTimeout(this.#lookTimer);
    this.#sampler.close();
    this.live.close();
    await Promise.all(this.hosts().map((link) => link.close()));
  }

  #state() {
    return this.#options.store.get(this.id);
  }

  #hostChanged(name: string, change: HostChange): void {
    if (this.#closed || !this.#options.store.has(this.id)) return;
    const host = this.#state().hosts.find((each) => each.id === name);
    if (!host) return;
    this.#options.store.change(this.id, { hosts: [{ ...host, ...change }] });
    if (change.agent?.is === "up") this.live.forgetSequence(name);
    if (change.agent) this.#lookSoon();
  }

  #told(host: string, event: AgentEvent): void {
    if (this.#closed) return;
    const { body } = event;
    if (body.type === "clientServed") this.#served(body);
    this.live.take(host, event);
    if (tellingEvents.includes(body.type)) this.#lookSoon();
  }

  /** At once, so that the map follows a handoff; the look that comes after it counts connections. */
  #served({ home, client: address, member, how, why }: Extract<AgentEvent["body"], { type: "clientServed" }>): void {
    const state = this.#state();
    const group = state.groups.find((each) => each.home === home);
    if (!group) return;
    const described = this.#describeClient(address);
    const before = state.clients.find((each) => each.id === described.id);
    const client: Client = { ...described, address, group: group.id, connections: before?.connections ?? 0, servedBy: member, how, why };
    this.#options.store.change(this.id, { clients: [client] });
  }

  #lookSoon(): void {
    this.#lookTimer ??= setTimeout(() => void this.lookNow(), lookAgainMs);
  }

  async #look(): Promise<void> {
    const answers = await Promise.all(
      this.hosts().map(async ({ name, agent }): Promise<readonly [string, Inspected] | null> => {
        const answer = await agent?.client.call("inspect", {}, 5000).catch(() => null);
        return answer ? [name, readInspection(answer)] : null;
      }),
    );
    if (this.#closed || !this.#options.store.has(this.id)) return;
    const hosts = new Map(answers.filter((answer) => answer !== null));
    const before = this.#state();
    const clients = clientsOf(hosts, (address) => this.#describeClient(address), before.clients);
    const groups = groupsOf(hosts, this.#hints, clients);
    const shown = new Set([...clients, ...groups].map((each) => each.id));
    const gone = [...before.clients, ...before.groups].flatMap((each) => (shown.has(each.id) ? [] : [each.id]));
    const changedHosts = before.hosts.flatMap((host): Host[] => {
      const served = clients.filter((client) => client.servedBy === host.id).length;
      const roles = rolesOf(host, groups, this.#links.get(host.id)?.handle);
      return served === host.clients && roles.join() === host.roles.join() ? [] : [{ ...host, clients: served, roles }];
    });
    const same = gone.length === 0 && changedHosts.length === 0 && JSON.stringify([groups, clients]) === JSON.stringify([before.groups, before.clients]);
    if (!same) this.#options.store.change(this.id, { groups, clients, ...(gone.length > 0 && { gone }), ...(changedHosts.length > 0 && { hosts: changedHosts }) });
  }

  #describeClient(address: string): Pick<Client, "id" | "name" | "site" | "host"> {
    const host = this.#options.store.has(this.id) ? this.#state().hosts.find((each) => each.address === address) : undefined;
    return { id: `client-${host?.id ?? address}`, name: host?.name ?? address, site: host?.site ?? this.#state().sites[0]?.id ?? "elsewhere", host: host?.id ?? null };
  }

  #columns(): ReadonlyMap<string, string> {
    const { hosts, clients } = this.#state();
    return new Map([...hosts.flatMap((host) => (host.address ? [[host.address, host.id] as const] : [])), ...clients.map((client) => [client.address, client.id] as const)]);
  }
}

/** What a host does now in groups, or what the lab file means it for. */
function rolesOf(host: Host, groups: ReturnType<typeof groupsOf>, handle: HostHandle | undefined): Host["roles"] {
  const roles: Host["roles"] = [...(handle?.roles ?? [])];
  const add = (role: Host["roles"][number]) => {
    if (!roles.includes(role)) roles.push(role);
  };
  for (const group of groups) {
    if (group.homeAgent === host.id) add("homeAgent");
    if (group.members.some((member) => member.host === host.id)) add("member");
    if (group.contact === host.id) add("contact");
    if (group.backups.includes(host.id)) add("backup");
  }
  return roles;
}
