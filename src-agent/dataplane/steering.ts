import type { Address } from "../../src-shared/net/address.ts";
import { addPassiveAddress, listAddresses, removeAddress } from "../linux/addresses.ts";
import { SystemCallError } from "../linux/libc.ts";
import { createVethPair, deleteLink, findLink, requireLink, type Link } from "../linux/links.ts";
import { Netlink } from "../linux/netlink.ts";
import { holdNamespaceLock } from "../linux/namespaceLock.ts";
import { removeTable } from "../linux/nftables.ts";
import { Offloads } from "../linux/offloads.ts";
import { deleteRoute, listRoutes, lookUpRoute, ownProtocol, removeListedRoute, replaceRoute } from "../linux/routes.ts";
import { RouteWatch } from "../linux/routeWatch.ts";
import { addRule, deleteRule, listOwnRules, type Rule } from "../linux/rules.ts";
import { listFilters, removeClsact, removeFilters } from "../linux/trafficControl.ts";
import { removeOptimisation } from "./kernel/leftovers.ts";
import { MirroredTable } from "./mirror.ts";
import { names } from "./names.ts";

/** Bytes that a Home Address option or type 2 routing header adds, and an IPv6-in-IPv6 header. */
export const extensionLength = 24;
export const tunnelLength = 40;
const ipAndTcpLength = 60;
/** The metric of a route that is used when there is no other. */
const lastResort = 0xffff_fffe;
/** Below this, tunnelled packets of the IPv6 minimum MTU would not fit. */
const smallestMtu = 1280 + tunnelLength;

/** How the stack's packets reach a data plane. */
export interface SteeringOptions {
  /**
   * Packets that keep or know their next hop leave by the data interface itself, where the data plane translates them on their way out; false: all
   * go through our own pair of devices.
   */
  readonly direct: boolean;
  /** See DataPlaneContext. */
  readonly kernelTranslates: boolean;
  /** Addresses or routes of this host have changed. */
  readonly onChange: () => void;
}

interface Destination {
  /** Where packets really go. */
  readonly towards: Address;
  /** Bytes that translation adds. */
  readonly room: number;
  /** What the route was made of, and whether it is a direct one; undefined before there is one. */
  route?: { readonly key: string; readonly direct: boolean };
}

/**
 * Brings the right packets to a data plane and keeps their size in bounds: a pair of devices of our own, policy routing for packets from home
 * addresses and to bound ones, and the home addresses on lo. Remembers what it makes in the kernel itself (marker rules), so that the next start
 * finds and removes what a killed process left.
 */
export class Steering {
  readonly netlink: Netlink;
  readonly device: Link;
  /** Where the stack's packets for us leave, and where what we hand to the stack arrives. */
  readonly stackEnd: Link;
  /** The other end of `stackEnd`: ours. */
  readonly agentEnd: Link;
  readonly #release: () => void;
  readonly #undo: (() => void)[] = [];
  readonly #homes = new Map<Address, boolean>();
  readonly #destinations = new Map<Address, Destination>();
  readonly #loopback: number;
  readonly #options: SteeringOptions;
  readonly #mirror: MirroredTable | undefined;

  /** Throws, with everything undone, when a part cannot be had. */
  constructor(device: string, options: SteeringOptions) {
    this.#options = options;
    this.#release = holdNamespaceLock(names.lock, "another agent's data plane runs in this network namespace: stop it first");
    this.netlink = new Netlink();
    try {
      removeLeftovers(this.netlink);
      this.device = requireLink(this.netlink, device);
      if (!this.device.ethernet) throw new Error(`${device} is not an Ethernet device: data planes cannot use it`);
      if (this.device.mtu < smallestMtu) throw new Error(`${device} has an MTU of ${this.device.mtu} bytes: tunnels need ${smallestMtu}`);
      this.#loopback = requireLink(this.netlink, "lo").index;
      this.#make(() => createVethPair(this.netlink, names.stackEnd, names.agentEnd, this.device.mtu), () => deleteLink(this.netlink, names.stackEnd));
      this.stackEnd = requireLink(this.netlink, names.stackEnd);
      this.agentEnd = requireLink(this.netlink, names.agentEnd);
      this.#rule({ priority: names.priorities.end, action: "nothing" });
      this.#rule({ priority: names.priorities.bypass, mark: names.mark, action: { goto: names.priorities.end } });
      this.#rule({ priority: names.priorities.toAway, action: { table: names.tables.toAway } });
      if (options.kernelTranslates) this.note("xfrm");
      replaceRoute(this.netlink, { table: names.tables.fromHome, device: this.stackEnd.index, metric: lastResort, ...this.#limits(tunnelLength) });
      if (options.direct) {
        this.#mirror = new MirroredTable(this.netlink, names.tables.fromHome, this.device.index, (routeMtu) => this.#limits(tunnelLength, routeMtu));
        this.#undo.push(() => this.#mirror?.close());
        this.#mirror.sync();
      }
      const watch = new RouteWatch(() => this.#changed());
      this.#undo.push(() => watch.close());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** `home` becomes local, and what it sends is ours. */
  addHome(home: Address): void {
    if (this.#homes.has(home)) return;
    const had = listAddresses(this.netlink).some((entry) => entry.address === home);
    // The rule first: by it the next start knows that the address is ours.
    addRule(this.netlink, fromHome(home));
    this.#homes.set(home, had);
    if (!had) addPassiveAddress(this.netlink, this.#loopback, home, this.#options.kernelTranslates);
  }

  removeHome(home: Address): void {
    const had = this.#homes.get(home);
    if (had === undefined) return;
    if (!had) removeAddress(this.netlink, this.#loopback, home);
    deleteRule(this.netlink, fromHome(home));
    this.#homes.delete(home);
  }

  /**
   * What this host sends to `away` is ours: it goes to `towards`, with `room` bytes left for what translation adds. True when it leaves by the data
   * interface with the right next hop already, false when by our own devices.
   */
  addDestination(away: Address, towards: Address, room: number): boolean {
    const known = this.#destinations.get(away);
    const destination: Destination = known?.route ? { towards, room, route: known.route } : { towards, room };
    this.#destinations.set(away, destination);
    return this.#routeTo(away, destination);
  }

  removeDestination(away: Address): void {
    const known = this.#destinations.get(away);
    this.#destinations.delete(away);
    if (known?.route) deleteRoute(this.netlink, names.tables.toAway, away, metricOf(known.route.direct));
  }

  /** Whether what this host sends to `away` has the right next hop now, see `addDestination`. */
  isDirect(away: Address): boolean {
    return this.#destinations.get(away)?.route?.direct ?? false;
  }

  /** The addresses at which this host takes packets, home addresses apart. */
  localAddresses(): Address[] {
    return listAddresses(this.netlink)
      .map((entry) => entry.address)
      .filter((address) => !this.#homes.has(address));
  }

  /** Leaves a note for `removeLeftovers` that we did `what` to the data interface, before it is done. */
  note(what: keyof typeof names.notes): void {
    this.#rule(noteRule(this.device.name, what));
  }

  /**
   * Large tunnelled packets are cut up by this host and not by the link: whatever carries frames with a virtio_net_hdr (a link emulator, a
   * virtual machine's host) cannot say "TCP in a tunnel" and would lose them.
   */
  segmentTunnels(): void {
    const offloads = new Offloads(this.device.name);
    if (!offloads.isOn(names.tunnelOffload)) return;
    this.note("tunnelOffload");
    this.#make(() => offloads.set(names.tunnelOffload, false), () => offloads.set(names.tunnelOffload, true));
  }

  #limits(room: number, routeMtu = this.device.mtu): { mtu: number; advmss: number } {
    const mtu = Math.min(routeMtu, this.device.mtu) - room;
    return { mtu, advmss: mtu - ipAndTcpLength };
  }

  #routeTo(away: Address, destination: Destination): boolean {
    const { towards, room, route: before } = destination;
    const source = lookUpRoute(this.netlink, away, names.mark)?.source;
    const next = this.#options.direct ? lookUpRoute(this.netlink, towards, names.mark) : undefined;
    const gateway = next && !next.local && next.device === this.device.index ? next.nextHop : undefined;
    const direct = gateway !== undefined;
    const key = `${gateway} ${source} ${room}`;
    if (before?.key === key) return direct;
    replaceRoute(this.netlink, {
      table: names.tables.toAway,
      destination: away,
      device: direct ? this.device.index : this.stackEnd.index,
      metric: metricOf(direct),
      ...(direct ? { gateway } : {}),
      ...(source ? { preferredSource: source } : {}),
      ...this.#limits(room),
    });
    destination.route = { key, direct };
    if (before && before.direct !== direct) deleteRoute(this.netlink, names.tables.toAway, away, metricOf(before.direct));
    return direct;
  }

  #changed(): void {
    this.#mirror?.sync();
    const routed = new Set(listRoutes(this.netlink).flatMap((route) => (route.table === names.tables.toAway ? [route.destination] : [])));
    for (const [away, destination] of this.#destinations) {
      if (!routed.has(away)) delete destination.route;
      quietly(() => this.#routeTo(away, destination));
    }
    this.#options.onChange();
  }

  close(): void {
    for (const home of this.#homes.keys()) quietly(() => this.removeHome(home));
    for (const away of this.#destinations.keys()) quietly(() => this.removeDestination(away));
    for (const undo of this.#undo.splice(0).reverse()) quietly(undo);
    this.netlink.close();
    this.#release();
  }

  #make(make: () => void, undo: () => void): void {
    make();
    this.#undo.push(undo);
  }

  #rule(rule: Rule): void {
    this.#make(() => addRule(this.netlink, rule), () => deleteRule(this.netlink, rule));
  }
}

/** Direct routes win while both are there. */
function metricOf(direct: boolean): number {
  return direct ? 1 : 2;
}

function fromHome(home: Address): Rule {
  return { priority: names.priorities.fromHome, source: home, action: { table: names.tables.fromHome } };
}

/** Matches nothing in practice (our own packets do not arrive with our mark), and keeps a fact as long as the kernel keeps what it is about. */
function noteRule(device: string, what: keyof typeof names.notes): Rule {
  return { priority: names.notes[what], incoming: device, mark: names.mark, action: { goto: names.priorities.end } };
}

/** Removes what a killed data plane left in this network namespace. Must not run beside a live one. */
export function removeLeftovers(netlink: Netlink): void {
  const rules = listOwnRules(netlink).filter(({ priority }) => priority >= names.notes.xfrm && priority <= names.priorities.end);
  const loopback = findLink(netlink, "lo")?.index;
  for (const rule of rules) {
    if (rule.priority === names.priorities.fromHome && rule.source && loopback !== undefined) removeAddress(netlink, loopback, rule.source);
    if (rule.incoming) quietly(() => undoNoted(netlink, rule.incoming as string, rule.priority));
  }
  removeTable(names.arrivingTable);
  if (findLink(netlink, names.stackEnd)?.kind === "veth") deleteLink(netlink, names.stackEnd);
  const tables: readonly number[] = Object.values(names.tables);
  for (const route of listRoutes(netlink)) if (route.protocol === ownProtocol && tables.includes(route.table)) removeListedRoute(netlink, route);
  // What the others go to is removed last.
  for (const rule of rules.sort((a, b) => a.priority - b.priority)) deleteRule(netlink, rule);
}

function undoNoted(netlink: Netlink, device: string, note: number): void {
  if (note === names.notes.xfrm) return removeOptimisation();
  const index = findLink(netlink, device)?.index;
  if (index === undefined) return;
  if (note === names.notes.tunnelOffload) new Offloads(device).set(names.tunnelOffload, true);
  if (note === names.notes.filters) for (const hook of ["ingress", "egress"] as const) removeFilters(netlink, index, hook, names.filterPreference);
  if (note === names.notes.clsact && !inUse(netlink, index)) removeClsact(netlink, index);
}

/** Whether somebody has filters in the device's clsact. */
export function inUse(netlink: Netlink, device: number): boolean {
  return (["ingress", "egress"] as const).some((hook) => listFilters(netlink, device, hook).length > 0);
}

/** Removal goes on when one thing is gone already or cannot be removed. */
function quietly(undo: () => void): void {
  try {
    undo();
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
  }
}

/** Removes what a killed agent left in this network namespace: for a stop command, without starting anything. Throws while an agent runs. */
export function cleanUp(): void {
  const release = holdNamespaceLock(names.lock, "an agent's data plane runs in this network namespace");
  const netlink = new Netlink();
  try {
    removeLeftovers(netlink);
  } finally {
    netlink.close();
    release();
  }
}
