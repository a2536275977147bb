import { release } from "node:os";
import type { AgentCallName, AgentHello, AgentValue } from "../src-shared/api/control.ts";
import { agentCalls, controlProtocolVersion } from "../src-shared/api/control.ts";
import type { AgentEvent, AgentEventBody } from "../src-shared/api/events.ts";
import { parseAddress, type Address } from "../src-shared/net/address.ts";
import type { Millis, Random } from "../src-shared/protocol/core/step.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import { encodePacket } from "../src-shared/protocol/wire/packet.ts";
import { AgentError } from "./agentError.ts";
import { Answers } from "./answers.ts";
import { Drops } from "./drops.ts";
import { forgivingPlane } from "./forgivingPlane.ts";
import { HomeAgentRole, type HomePorts } from "./homeAgent/role.ts";
import { Incoming } from "./incoming.ts";
import { makeMemberKey, Membership, type MemberKey } from "./membership.ts";
import { MessageTeller } from "./messageTeller.ts";
import { AgentMetrics } from "./metrics/agentMetrics.ts";
import type { KeepWindow, Clock, DataPlane, HomeLinks, HomeStore, ServiceProvider, Signalling, WatchDatagrams } from "./ports.ts";
import { PeerErrors } from "./peerErrors.ts";
import { CorrespondentRole, RegistrationRole, type RolePorts } from "./roles.ts";

export interface EngineOptions {
  readonly host: string;
  /** This host's own address: the care-of address of a member, the correspondent's address of a client. */
  readonly address: Address;
  readonly interface: string;
  readonly version: string;
  readonly capabilities: readonly string[];
  readonly plane: DataPlane;
  readonly planeReason: string;
  readonly signalling: Signalling;
  readonly services: ServiceProvider;
  readonly homeLinks: HomeLinks;
  readonly homeStore: HomeStore;
  readonly watchDatagrams: WatchDatagrams;
  readonly keepWindow: KeepWindow;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: (event: AgentEvent) => void;
  /** Ends the process after `stop`. */
  readonly exit: () => void;
}

/** How often what the data plane has refused is looked at, ms. */
const planeDropsMs = 2_000;

type Handlers = { readonly [N in AgentCallName]: (args: ReturnType<(typeof agentCalls)[N]["args"]["parse"]>) => Promise<AgentValue<N>> };

/** The only loop of the agent: packets (incoming.ts), calls and timers go in, roles turn them into effects, effects go out. */
export class Engine {
  readonly #options: EngineOptions;
  readonly #drops: Drops;
  readonly #ports: RolePorts;
  readonly #homePorts: HomePorts;
  readonly #groups = new Map<string, Membership>();
  readonly #registrations = new Map<string, RegistrationRole>();
  readonly #homes = new Map<Address, HomeAgentRole>();
  readonly #memberKeys = new Map<string, MemberKey>();
  readonly #metrics = new AgentMetrics();
  readonly #messages: MessageTeller;
  readonly #planeDrops: NodeJS.Timeout;
  #correspondent: CorrespondentRole | null = null;
  #eventSequence = 0;
  #stopped = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    const tell = (body: AgentEventBody): void => this.tell(body);
    this.#messages = new MessageTeller(this.#metrics, tell, options.clock.mono());
    this.#drops = new Drops(tell, () => options.clock.mono());
    this.#ports = {
      clock: options.clock,
      random: options.random,
      plane: forgivingPlane(options.plane, (call, error) => this.#drops.add(`the data plane refused "${call}"`, undefined, (error as Error).message)),
      send: (packet) => this.#send(packet),
      tell,
      drop: (reason, packet) => this.#drops.add(reason, packet),
    };
    const answers = new Answers({ clock: options.clock, send: (bytes) => options.signalling.send(bytes), drop: (reason, detail) => this.#drops.add(reason, undefined, detail) });
    const peerErrors = new PeerErrors({ own: options.address, groups: () => [...this.#groups.values()], correspondent: () => this.#correspondent, drop: this.#ports.drop });
    const roles = { groups: this.#groups, registrations: this.#registrations, homes: this.#homes, correspondent: () => this.#correspondent };
    const incoming = new Incoming(roles, { own: options.address, clock: options.clock, answers, peerErrors, drops: this.#drops, messages: this.#messages, tell });
    this.#homePorts = { ...this.#ports, links: options.homeLinks, store: options.homeStore, own: options.address };
    this.#planeDrops = setInterval(() => this.#reportPlaneDrops(), planeDropsMs).unref();
    options.signalling.onPacket((bytes, at) => incoming.onPacket(bytes, at));
    options.signalling.onError((bytes) => incoming.onError(bytes));
    this.tell({ type: "agentStarted", version: options.version, dataPlane: options.plane.kind, reason: options.planeReason });
    this.#restoreHomes();
  }

  /** What a killed or updated agent served as home agent goes on as far as it can without keys. One that cannot be restored is told, and no reason to end. */
  #restoreHomes(): void {
    for (const home of this.#options.homeStore.list()) {
      try {
        const role = HomeAgentRole.restore(home, this.#homePorts);
        if (role) this.#homes.set(home, role);
      } catch (error) {
        this.tell({ type: "log", level: "error", text: `home address ${home} could not be restored: ${(error as Error).message}` });
      }
    }
  }

  /** Leaves all groups, takes X away, removes what the data plane made. Never throws; says what could not be undone. */
  async stop(reason: string): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#planeDrops);
    this.tell({ type: "agentStopping", reason });
    const undo = async (what: string, step: () => unknown): Promise<void> => {
      try {
        await step();
      } catch (error) {
        this.tell({ type: "log", level: "error", text: `stopping: ${what}: ${(error as Error).message}` });
      }
    };
    for (const registration of this.#registrations.values()) await undo("registration", () => registration.close());
    for (const group of this.#groups.values()) await undo(`group ${group.config.id}`, () => group.leave());
    for (const home of this.#homes.values()) await undo("home agent", () => home.close());
    if (this.#correspondent) await undo("correspondent", () => this.#correspondent?.close());
    await undo("signalling", () => this.#options.signalling.close());
    await undo("data plane", () => this.#options.plane.close());
  }

  /** What each control call does. */
  readonly handlers: Handlers = {
    hello: async () => this.#hello(),
    clock: async () => ({ mono: this.#options.clock.mono(), wall: this.#options.clock.wall() }),
    memberKey: async ({ group }) => {
      const key = this.#memberKeys.get(group) ?? makeMemberKey();
      this.#memberKeys.set(group, key);
      return { publicKey: key.publicPem };
    },
    serveCorrespondent: async ({ maxLifetimeSeconds }) => {
      this.#correspondent ??= new CorrespondentRole(this.#options.address, this.#ports, maxLifetimeSeconds);
      return {};
    },
    retireCorrespondent: async () => {
      this.#correspondent?.close();
      this.#correspondent = null;
      return {};
    },
    serveHome: async (config) => {
      const home = parseAddress(config.homeAddress);
      const existing = this.#homes.get(home);
      if (existing) existing.update(config);
      else this.#homes.set(home, HomeAgentRole.start(config, this.#homePorts));
      return {};
    },
    retireHome: async ({ homeAddress }) => {
      const home = parseAddress(homeAddress);
      this.#homes.get(home)?.retire();
      this.#options.homeStore.remove(home); // also what could not be restored
      this.#homes.delete(home);
      return {};
    },
    join: async (config) => {
      if (this.#groups.has(config.id)) throw new AgentError("already-joined", `this host is in group ${config.id} already; leave it first`);
      const key = this.#memberKeys.get(config.id);
      if (!key) throw new AgentError("no-member-key", `group ${config.id}: ask for memberKey and certify it before join`);
      const membership = await Membership.join(config, key, { ...this.#ports, services: this.#options.services, watchDatagrams: this.#options.watchDatagrams, keepWindow: this.#options.keepWindow });
      this.#groups.set(config.id, membership);
      if (config.contact === config.self && config.registration) {
        const { spi, key: registrationKey } = config.registration;
        this.#registrations.set(config.id, new RegistrationRole(membership.view, { spi, key: Buffer.from(registrationKey, "base64") }, this.#ports));
      }
      return {};
    },
    leave: async ({ group }) => {
      this.#registrations.get(group)?.close();
      this.#registrations.delete(group);
      await this.#groups.get(group)?.leave();
      this.#groups.delete(group);
      this.#memberKeys.delete(group);
      return {};
    },
    handOver: async ({ home, client, acceptor, mode, id, drain }) => {
      const connections = await this.#groupOf(home).runtime.handOver(id, parseAddress(client), acceptor, mode, drain);
      return { connections };
    },
    prepare: async ({ home, client }) => {
      await this.#groupOf(home).runtime.prepare(parseAddress(client));
      return {};
    },
    discardTokens: async ({ home, client }) => {
      this.#groupOf(home).runtime.discardTokens(parseAddress(client));
      return {};
    },
    optimise: async ({ home, client }) => {
      await this.#groupOf(home).runtime.optimise(parseAddress(client));
      return {};
    },
    inspect: async () => this.#inspect(),
    counters: async () => ({ dataPlane: this.#options.plane.counters(), drops: this.#drops.counts() }),
    metrics: async () => ({ text: this.metricsText() }),
    stop: async () => {
      await this.stop("asked to by the manager");
      setImmediate(this.#options.exit);
      return {};
    },
  };

  #hello(): AgentHello {
    const { version, host, capabilities, plane, planeReason, address } = this.#options;
    return {
      protocol: controlProtocolVersion,
      version,
      host,
      node: process.version,
      kernel: release(),
      architecture: process.arch,
      capabilities: [...capabilities],
      dataPlane: { kind: plane.kind, reason: planeReason },
      address,
      interface: this.#options.interface,
    };
  }

  #inspect(): AgentValue<"inspect"> {
    return {
      host: this.#options.host,
      address: this.#options.address,
      dataPlane: this.#options.plane.kind,
      groups: [...this.#groups.values()].map((g) => ({ ...g.inspect(), registration: this.#registrations.get(g.config.id)?.inspect() ?? null })),
      homes: [...this.#homes.values()].map((h) => h.inspect()),
      correspondent: this.#correspondent?.inspect() ?? null,
    };
  }

  /** Everything countable, as Prometheus reads it (docs/metrics.md). */
  metricsText(): string {
    const { version, host, plane, signalling } = this.#options;
    const { rss } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return this.#metrics.render({
      version,
      host,
      dataPlaneKind: plane.kind,
      dataPlane: plane.counters(),
      drops: this.#drops.counts(),
      signallingLost: signalling.lost(),
      homeBindings: [...this.#homes.values()].filter((home) => home.isRegistered).length,
      correspondentBindings: this.#correspondent?.bindings ?? 0,
      groups: [...this.#groups.values()].map((group) => ({ ...group.figures(), registered: this.#registrations.get(group.config.id)?.isRegistered ?? false })),
      process: { residentBytes: rss, cpuSeconds: (user + system) / 1e6, startedAt: performance.timeOrigin / 1000 },
    });
  }

  /** Refusals of the data plane become events and log lines, too. */
  #reportPlaneDrops(): void {
    const { plane, signalling } = this.#options;
    for (const [reason, count] of Object.entries(plane.counters().drops)) this.#drops.report(reason, count, "data plane");
    this.#drops.report("signalling that was read too slowly", signalling.lost(), "signalling");
    this.#drops.report("messages that were counted but not told one by one", this.#messages.untold, "signalling");
  }

  #groupOf(home: string): Membership {
    const wanted = parseAddress(home);
    const group = [...this.#groups.values()].find((g) => g.view.home === wanted);
    if (!group) throw new AgentError("no-such-group", `${this.#options.host} is not in a group with the anycast address ${wanted}`);
    return group;
  }

  /** Tells whoever listens. */
  tell(body: AgentEventBody): void {
    this.#metrics.observe(body);
    this.#options.emit({ sequence: this.#eventSequence++, mono: this.#options.clock.mono(), wall: this.#options.clock.wall(), body });
  }

  #send(packet: MobilityPacket): Millis {
    const at = this.#options.signalling.send(encodePacket(packet));
    queueMicrotask(() => this.#messages.sent(packet, at));
    return at;
  }
}
