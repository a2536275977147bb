import type { Address } from "../../../src-shared/net/address.ts";
import { SystemCallError } from "../../linux/libc.ts";
import { Netlink, NETLINK_XFRM } from "../../linux/netlink.ts";
import { addPolicy, addState, deletePolicy, deleteState, listStates, putPolicy, readState, updateState, type OptimisationState, type Policy, type PolicyKey, type StateKey } from "../../linux/xfrm.ts";
import type { Moved } from "../../ports.ts";
import { names } from "../names.ts";

const { bound, unbound, priority, signallingPriority } = names.xfrm;
/** Addresses that nobody has (RFC 6666): for finding out what the kernel can do. */
const probe: StateKey = { header: "homeAddressOption", source: "100::1" as Address, destination: "100::2" as Address };

/** Throws a SystemCallError when the kernel cannot translate, or our rights do not allow it: EPROTONOSUPPORT without CONFIG_IPV6_MIP6. */
export function probeOptimisation(): void {
  const netlink = new Netlink(NETLINK_XFRM);
  try {
    deleteState(netlink, probe);
    addState(netlink, { ...probe, tag: bound });
    deleteState(netlink, probe);
  } finally {
    netlink.close();
  }
}

interface Entry {
  readonly key: StateKey;
  readonly policy: Policy | undefined;
  readonly counts: "out" | "in" | "unbound";
  careOf: Address | undefined;
}

/**
 * The kernel's own route optimisation (XFRM), as far as we use it. Policies are of type sub where the kernel has that: an administrator's IPsec policies
 * (type main) then apply to the same packets as well. Everything carries a reqid of ours.
 *
 * To begin with: signalling that we send (it has our mark) passes untranslated; arriving Home Address options are taken for bound home addresses and refused
 * for others, which the kernel reports; type 2 routing headers are taken for addresses marked as home addresses.
 */
export class Optimisation {
  readonly #netlink: Netlink;
  readonly #self: Address;
  readonly #type: PolicyKey["type"];
  readonly #entries = new Map<string, Entry>();
  readonly #policies = new Map<string, Policy>();
  readonly #gone = { out: { packets: 0, bytes: 0 }, in: { packets: 0, bytes: 0 } };

  /** Throws, with everything undone, when the kernel or our rights do not allow it. */
  constructor(self: Address) {
    this.#self = self;
    this.#netlink = new Netlink(NETLINK_XFRM);
    try {
      this.#type = this.#begin();
      this.#add("routing headers", { header: "routing" }, undefined, undefined, "in", bound);
      this.#add("unbound", { header: "homeAddressOption" }, undefined, undefined, "unbound", unbound);
      this.#addPolicy("bound", { direction: "in", type: this.#type, destination: self, priority, template: { header: "homeAddressOption", tag: bound } });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Correspondent: packets between this host and `home` travel by `careOf`. */
  bind(home: Address, careOf: Address): void {
    const [self, type] = [this.#self, this.#type];
    this.#add(`from ${home}`, { header: "homeAddressOption", source: home, destination: self }, careOf, undefined, "in");
    const key: StateKey = { header: "routing", source: self, destination: home };
    this.#add(`to ${home}`, key, careOf, { direction: "out", type, source: self, destination: home, priority, template: { ...key, tag: bound } }, "out");
  }

  unbind(home: Address): void {
    this.#remove(`to ${home}`);
    this.#remove(`from ${home}`);
  }

  /** Packets that a binding has translated so far, both ways. */
  packetsOf(home: Address): number {
    return [`to ${home}`, `from ${home}`].reduce((sum, name) => {
      const entry = this.#entries.get(name);
      return sum + ((entry && readState(this.#netlink, entry.key)?.packets) ?? 0);
    }, 0);
  }

  /** Anycast node: routing headers for `home` are taken; the address itself must be marked as a home address. */
  addHome(home: Address): void {
    this.#addPolicy(`home ${home}`, { direction: "in", type: this.#type, destination: home, priority, template: { header: "routing", tag: bound } });
  }

  removeHome(home: Address): void {
    this.#removePolicy(`home ${home}`);
  }

  /** Packets from `home` to `client` leave from `careOf` with a Home Address option. */
  optimise(home: Address, client: Address, careOf: Address): void {
    const key: StateKey = { header: "homeAddressOption", source: home, destination: client };
    const policy: Policy = { direction: "out", type: this.#type, source: home, destination: client, priority, template: { ...key, tag: bound } };
    this.#add(`${home} to ${client}`, key, careOf, policy, "out");
  }

  unoptimise(home: Address, client: Address): void {
    this.#remove(`${home} to ${client}`);
  }

  /** What the kernel has translated since the start, and refused for want of a binding. Packets as they pass XFRM: cut up outwards, merged inwards. */
  counts(): { readonly out: Moved; readonly in: Moved; readonly unbound: Moved } {
    const sums = { out: { ...this.#gone.out }, in: { ...this.#gone.in }, unbound: { packets: 0, bytes: 0 } };
    const counts = new Map([...this.#entries.values()].map((entry) => [nameOf(entry.key), entry.counts]));
    for (const state of listStates(this.#netlink, [bound, unbound])) {
      const which = counts.get(nameOf(state));
      if (which) add(sums[which], state);
    }
    return sums;
  }

  close(): void {
    for (const name of this.#policies.keys()) this.#removePolicy(name);
    for (const name of [...this.#entries.keys()].reverse()) this.#remove(name);
    this.#netlink.close();
  }

  /** The first policy shows which type the kernel has. */
  #begin(): PolicyKey["type"] {
    const signalling = { direction: "out", mark: names.mark, priority: signallingPriority } as const;
    try {
      this.#addPolicy("signalling", { ...signalling, type: "sub" });
      return "sub";
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.code !== "EINVAL") throw error;
      this.#addPolicy("signalling", { ...signalling, type: "main" });
      return "main";
    }
  }

  /** Makes a state and its policy, or changes the care-of address of one that is there. */
  #add(name: string, key: StateKey, careOf: Address | undefined, policy: Policy | undefined, counts: Entry["counts"], tag: number = bound): void {
    const known = this.#entries.get(name);
    if (known && known.careOf === careOf) return;
    const state = { ...key, careOf, tag, wildcard: !key.source };
    if (known) {
      this.#updateOrAdd(state);
      known.careOf = careOf;
      // The kernel keeps the next hop of established connections until their policy changes.
      if (policy) putPolicy(this.#netlink, policy);
      return;
    }
    addState(this.#netlink, state);
    this.#entries.set(name, { key, policy, counts, careOf });
    if (policy) addPolicy(this.#netlink, policy);
  }

  /** Somebody may have flushed the kernel's states. */
  #updateOrAdd(state: OptimisationState): void {
    try {
      updateState(this.#netlink, state);
    } catch (error) {
      if (!(error instanceof SystemCallError) || error.code !== "ESRCH") throw error;
      addState(this.#netlink, state);
    }
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name);
    if (!entry) return;
    this.#entries.delete(name);
    if (entry.policy) deletePolicy(this.#netlink, entry.policy);
    const last = readState(this.#netlink, entry.key);
    if (last && entry.counts !== "unbound") add(this.#gone[entry.counts], last);
    deleteState(this.#netlink, entry.key);
  }

  #addPolicy(name: string, policy: Policy): void {
    if (this.#policies.has(name)) return;
    addPolicy(this.#netlink, policy);
    this.#policies.set(name, policy);
  }

  #removePolicy(name: string): void {
    const policy = this.#policies.get(name);
    if (policy) deletePolicy(this.#netlink, policy);
    this.#policies.delete(name);
  }
}

function nameOf({ header, source, destination }: StateKey): string {
  return `${header} ${source} ${destination}`;
}

function add(sum: { packets: number; bytes: number }, moved: Moved): void {
  sum.packets += moved.packets;
  sum.bytes += moved.bytes;
}
