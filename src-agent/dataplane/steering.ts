import type { Address } from "../../src-shared/net/address.ts";
import { addPassiveAddress, listAddresses, removeAddress } from "../linux/addresses.ts";
import { SystemCallError } from "../linux/libc.ts";
import { createVethPair, deleteLink, findLink, requireLink, type Link } from "../linux/links.ts";
import { Netlink } from "../linux/netlink.ts";
import { holdNamespaceLock } from "../linux/namespaceLock.ts";
import { Offloads } from "../linux/offloads.ts";
import { deleteRoute, lookUpRoute, replaceRoute } from "../linux/routes.ts";
import { addRule, deleteRule, listOwnRules, type Rule } from "../linux/rules.ts";
import { listFilters, removeClsact, removeFilters } from "../linux/trafficControl.ts";
import { names } from "./names.ts";

/** Bytes that a Home Address option or type 2 routing header adds, and an IPv6-in-IPv6 header. */
export const extensionLength = 24;
export const tunnelLength = 40;
const ipAndTcpLength = 60;
/** Below this, tunnelled packets of the IPv6 minimum MTU would not fit. */
const smallestMtu = 1280 + tunnelLength;

/**
 * Brings the right packets to a data plane and keeps their size in bounds: a pair of devices of our own, policy routing that sends packets from
 * home addresses and to bound ones into it, and the home addresses on lo. Remembers what it makes in the kernel itself (marker rules), so that
 * the next start finds and removes what a killed process left.
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
  readonly #destinations = new Set<Address>();
  readonly #loopback: number;

  /** Throws, with everything undone, when a part cannot be had. */
  constructor(device: string) {
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
      const { index, mtu } = { index: this.stackEnd.index, mtu: this.device.mtu - tunnelLength };
      replaceRoute(this.netlink, { table: names.tables.fromHome, device: index, mtu, advmss: mtu - ipAndTcpLength });
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
    if (!had) addPassiveAddress(this.netlink, this.#loopback, home);
  }

  removeHome(home: Address): void {
    const had = this.#homes.get(home);
    if (had === undefined) return;
    if (!had) removeAddress(this.netlink, this.#loopback, home);
    deleteRule(this.netlink, fromHome(home));
    this.#homes.delete(home);
  }

  /** What this host sends to `away` is ours, and leaves room for `room` more bytes. */
  addDestination(away: Address, room: number): void {
    const source = lookUpRoute(this.netlink, away, names.mark)?.source;
    const mtu = this.device.mtu - room;
    const route = { table: names.tables.toAway, destination: away, device: this.stackEnd.index, mtu, advmss: mtu - ipAndTcpLength };
    replaceRoute(this.netlink, source ? { ...route, preferredSource: source } : route);
    this.#destinations.add(away);
  }

  removeDestination(away: Address): void {
    if (this.#destinations.delete(away)) deleteRoute(this.netlink, names.tables.toAway, away);
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

  close(): void {
    for (const home of this.#homes.keys()) quietly(() => this.removeHome(home));
    for (const away of this.#destinations) quietly(() => this.removeDestination(away));
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

function fromHome(home: Address): Rule {
  return { priority: names.priorities.fromHome, source: home, action: { table: names.tables.fromHome } };
}

/** Matches nothing in practice (our own packets do not arrive with our mark), and keeps a fact as long as the kernel keeps what it is about. */
function noteRule(device: string, what: keyof typeof names.notes): Rule {
  return { priority: names.notes[what], incoming: device, mark: names.mark, action: { goto: names.priorities.end } };
}

/** Removes what a killed data plane left in this network namespace. Must not run beside a live one. */
export function removeLeftovers(netlink: Netlink): void {
  const rules = listOwnRules(netlink).filter(({ priority }) => priority >= names.notes.filters && priority <= names.priorities.end);
  const loopback = findLink(netlink, "lo")?.index;
  for (const rule of rules) {
    if (rule.priority === names.priorities.fromHome && rule.source && loopback !== undefined) removeAddress(netlink, loopback, rule.source);
    if (rule.incoming) quietly(() => undoNoted(netlink, rule.incoming as string, rule.priority));
  }
  if (findLink(netlink, names.stackEnd)?.kind === "veth") deleteLink(netlink, names.stackEnd);
  // What the others go to is removed last.
  for (const rule of rules.sort((a, b) => a.priority - b.priority)) deleteRule(netlink, rule);
}

function undoNoted(netlink: Netlink, device: string, note: number): void {
  const index = findLink(netlink, device)?.index;
  if (index === undefined) return;
  if (note === names.notes.tunnelOffload) new Offloads(device).set(names.tunnelOffload, true);
  if (note === names.notes.filters) removeFilters(netlink, index, "ingress", names.filterPreference);
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
