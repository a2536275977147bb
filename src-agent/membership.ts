import { generateKeyPairSync } from "node:crypto";
import type { AgentEventBody } from "../src-shared/api/events.ts";
import type { GroupConfig } from "../src-shared/api/control.ts";
import { parseAddress, type Address } from "../src-shared/net/address.ts";
import type { GroupView } from "../src-shared/protocol/core/group/effects.ts";
import type { Millis, Random } from "../src-shared/protocol/core/step.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import { ClientActivity } from "./clientActivity.ts";
import { GroupRuntime } from "./groupRuntime.ts";
import { MemberLinks } from "./members/links.ts";
import type { GroupFigures } from "./metrics/agentMetrics.ts";
import type { Clock, DataPlane, KeepWindow, ServiceProvider, RunningServices, WatchDatagrams } from "./ports.ts";

export interface MembershipPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly plane: DataPlane;
  readonly services: ServiceProvider;
  readonly watchDatagrams: WatchDatagrams;
  readonly keepWindow: KeepWindow;
  readonly send: (packet: MobilityPacket) => Millis;
  readonly tell: (event: AgentEventBody) => void;
  readonly drop: (reason: string, packet?: MobilityPacket) => void;
}

/** The key pair that a member's certificate is for. Made on the host and kept in memory only: a restarted agent is certified anew. */
export interface MemberKey {
  readonly publicPem: string;
  readonly privatePem: string;
}

export function makeMemberKey(): MemberKey {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { publicPem: publicKey.export({ type: "spki", format: "pem" }) as string, privatePem: privateKey.export({ type: "pkcs8", format: "pem" }) as string };
}

/** Bindings asked for by a group last the longest that return routability allows (MAX_RR_BINDING_LIFETIME, RFC 6275 §12). */
const bindingLifetimeSeconds = 420;

/** This host as a member of one group: X on the data plane, services, links to the other members, and the group's machines. */
export class Membership {
  readonly config: GroupConfig;
  readonly view: GroupView;
  readonly runtime: GroupRuntime;
  readonly #links: MemberLinks;
  readonly #activity: ClientActivity;
  readonly #running: RunningServices;
  readonly #ports: MembershipPorts;

  private constructor(config: GroupConfig, view: GroupView, runtime: GroupRuntime, links: MemberLinks, activity: ClientActivity, running: RunningServices, ports: MembershipPorts) {
    this.config = config;
    this.view = view;
    this.runtime = runtime;
    this.#links = links;
    this.#activity = activity;
    this.#running = running;
    this.#ports = ports;
  }

  /** Joins, or throws and leaves nothing behind. */
  static async join(config: GroupConfig, key: MemberKey, ports: MembershipPorts): Promise<Membership> {
    const view = viewOf(config);
    const self = config.members.find((m) => m.name === config.self);
    if (!self) throw new Error(`group ${config.id}: this host is "${config.self}", which is not in the list of members`);
    const careOf = parseAddress(self.address);
    const isContact = config.contact === config.self;
    const undo: (() => unknown)[] = [];
    try {
      const via = isContact ? view.homeAgent : (view.members.get(config.contact) as Address);
      ports.plane.addHome(view.home, { careOf, homeAgent: view.homeAgent, via });
      undo.push(() => ports.plane.removeHome(view.home));
      ports.plane.setMembers(view.home, [...view.members].filter(([name]) => name !== config.self).map(([, address]) => address));
      const running = await ports.services.start(view.home, config.services, (reason) => ports.drop(reason));
      undo.push(() => running.close());
      let links: MemberLinks | null = null;
      let activity: ClientActivity | null = null;
      const clients = { arrived: (client: Address, connections: number) => activity?.arrived(client, connections), left: (client: Address) => activity?.left(client) };
      const runtime = new GroupRuntime(view, { ...ports, connections: running.connections, clients, tellMember: (member, message) => links?.send(member, message) ?? false }, { autoOptimise: true });
      undo.push(() => runtime.close());
      links = new MemberLinks({
        group: config.id,
        self: { name: self.name, address: careOf, port: self.port },
        members: config.members.map((m) => ({ name: m.name, address: parseAddress(m.address), port: m.port })),
        authority: config.authority,
        certificate: config.certificate,
        privateKey: key.privatePem,
        patience: view.patience ?? 1,
        keepWindow: ports.keepWindow,
        onMessage: (from, message) => runtime.onMemberMessage(from, message),
        onUp: (member, rttMs) => ports.tell({ type: "memberUp", member, rttMs }),
        onDown: (member, reason) => ports.tell({ type: "memberDown", member, reason }),
        drop: (reason) => ports.drop(reason),
      });
      undo.push(() => links?.close());
      await links.listen();
      activity = new ClientActivity({
        home: view.home,
        clock: ports.clock,
        connections: running.connections,
        watchDatagrams: ports.watchDatagrams,
        tunnelSources: new Set([view.homeAgent, ...view.members.values()]),
        isElsewhere: (client) => runtime.isElsewhere(client),
        onActivity: (client, active) => runtime.onActivity(client, active),
        drop: (reason) => ports.drop(reason),
      });
      return new Membership(config, view, runtime, links, activity, running, ports);
    } catch (error) {
      for (const step of undo.toReversed()) await step();
      throw error;
    }
  }

  get isContact(): boolean {
    return this.view.contact === this.view.self;
  }

  async leave(): Promise<void> {
    this.#activity.close();
    this.runtime.close();
    this.#links.close();
    await this.#running.close();
    this.#ports.plane.removeHome(this.view.home);
  }

  /** What metrics say about this group, the registration apart. */
  figures(): Omit<GroupFigures, "registered"> {
    const others = this.config.members.filter((m) => m.name !== this.config.self);
    const { connections } = this.#running;
    const { home } = this.view;
    return {
      group: this.config.id,
      members: others.length,
      linksUp: others.filter((m) => this.#links.isUp(m.name)).length,
      ...this.runtime.counts,
      connections: connections.clientsOf(home).reduce((sum, client) => sum + connections.connectionsOf(home, client).length, 0),
    };
  }

  inspect(): Record<string, unknown> {
    const links = Object.fromEntries(this.config.members.filter((m) => m.name !== this.config.self).map((m) => [m.name, this.#links.isUp(m.name)]));
    const connections = this.#running.connections.clientsOf(this.view.home).map((client) => ({ client, connections: this.#running.connections.connectionsOf(this.view.home, client) }));
    return { id: this.config.id, home: this.view.home, epoch: this.config.epoch, links, connections, ...this.runtime.inspect() };
  }
}

function viewOf(config: GroupConfig): GroupView {
  return {
    id: config.id,
    home: parseAddress(config.homeAddress),
    homeAgent: parseAddress(config.homeAgent),
    self: config.self,
    contact: config.contact,
    members: new Map(config.members.map((m) => [m.name, parseAddress(m.address)])),
    lifetimeSeconds: bindingLifetimeSeconds,
    ...(config.patience !== undefined && { patience: config.patience }),
  };
}
