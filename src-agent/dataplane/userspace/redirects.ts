import { addressBytes, type Address } from "../../../src-shared/net/address.ts";
import { addClsact, addRedirect, matchAddress, matchNextHeader, removeClsact, removeFilters, removeRedirect, type WordMatch } from "../../linux/trafficControl.ts";
import { names } from "../names.ts";
import { inUse, type Steering } from "../steering.ts";

const sourceAt = 8;
const destinationAt = 24;
const routedTo = 48;
const routing = 43;
const icmpv6 = 58;
const mobility = 135;
const destinationOptions = 60;
/** Tunnels, Mobility Headers. */
const always = [41, mobility];
/** The first number of each sort of filters: they are asked in this order. */
const sorts = { redirect: 1, pass: 0x600, redirectOthers: 0x700 } as const;
type Sort = keyof typeof sorts;

/** The tc filters that take packets from the data interface into our hands before the stack sees them. */
export class Redirects {
  readonly #steering: Steering;
  readonly #handles = new Map<string, { readonly sort: Sort; readonly numbers: readonly number[] }>();
  readonly #free: Record<Sort, number[]> = { redirect: [], pass: [], redirectOthers: [] };
  readonly #next: Record<Sort, number> = { ...sorts };
  readonly #translated: "by us" | "by the kernel" | "in place";
  readonly #madeClsact: boolean;

  /** `translated`: whose the extension headers are. The kernel's: see DataPlaneContext. In place: ours but for those that `pass` names. */
  constructor(steering: Steering, translated: "by us" | "by the kernel" | "in place") {
    this.#steering = steering;
    this.#translated = translated;
    steering.note("filters");
    this.#madeClsact = addClsact(steering.netlink, steering.device.index);
    if (this.#madeClsact) steering.note("clsact");
  }

  /** Everything to `address`, whatever it is. */
  addAll(address: Address): void {
    this.#add(`all ${address}`, [matchAddress(destinationAt, addressBytes(address))]);
  }

  removeAll(address: Address): void {
    this.#remove(`all ${address}`);
  }

  /** What Mobile IPv6 sends to one of our own addresses, and ICMPv6 errors. */
  addLocal(address: Address): void {
    const to = matchAddress(destinationAt, addressBytes(address));
    const typeAtMost3 = { offset: 40, mask: 0xfc000000, value: 0 };
    const type4 = { offset: 40, mask: 0xff000000, value: 0x04000000 };
    this.#add(`local ${address}`, [
      ...always.map((protocol) => [...to, matchNextHeader(protocol)]),
      ...[routing, destinationOptions].flatMap((protocol) => this.#early().map((before) => [...to, matchNextHeader(protocol), ...before])),
      [...to, matchNextHeader(icmpv6), typeAtMost3],
      [...to, matchNextHeader(icmpv6), type4],
    ]);
    if (this.#translated === "by us") return;
    const late = this.#translated === "in place" ? [routing, destinationOptions] : [routing];
    this.#add(`routed ${address}`, late.map((protocol) => [...to, matchNextHeader(protocol)]), "redirectOthers");
  }

  removeLocal(address: Address): void {
    this.#remove(`local ${address}`);
    this.#remove(`routed ${address}`);
  }

  /** Where the kernel translates: it may have routing headers from anybody to `home` by way of `careOf`. */
  passRouted(home: Address, careOf: Address): void {
    this.#remove(`home ${home}`);
    this.#add(`home ${home}`, [[...matchAddress(destinationAt, addressBytes(careOf)), matchNextHeader(routing), ...matchAddress(routedTo, addressBytes(home))]], "pass");
  }

  forgetRouted(home: Address): void {
    this.#remove(`home ${home}`);
  }

  /** In place: what matches is translated behind the filters. */
  pass(key: string, matches: readonly WordMatch[]): void {
    this.#remove(key);
    this.#add(key, [matches], "pass");
  }

  stopPassing(key: string): void {
    this.#remove(key);
  }

  /** Where we do not translate: but not those from `client`. */
  addRouted(home: Address, client: Address): void {
    this.#add(`${client} to ${home}`, [[...matchAddress(sourceAt, addressBytes(client)), matchNextHeader(routing), ...matchAddress(routedTo, addressBytes(home))]]);
  }

  removeRouted(home: Address, client: Address): void {
    this.#remove(`${client} to ${home}`);
  }

  /** Packets with an extension header that are ours before anything passes: all; signalling; signalling and ICMPv6 (an error may be about another's packet). */
  #early(): readonly (readonly WordMatch[])[] {
    if (this.#translated === "by us") return [[]];
    return this.#translated === "in place" ? [[before(mobility)], [before(icmpv6)]] : [[before(mobility)]];
  }

  close(): void {
    const { netlink, device } = this.#steering;
    removeFilters(netlink, device.index, "ingress", names.filterPreference);
    if (this.#madeClsact && !inUse(netlink, device.index)) removeClsact(netlink, device.index);
  }

  #add(key: string, filters: readonly (readonly WordMatch[])[], sort: Sort = "redirect"): void {
    if (this.#handles.has(key)) return;
    const { netlink, device, stackEnd } = this.#steering;
    const numbers = filters.map((matches) => {
      const handle = this.#free[sort].pop() ?? this.#next[sort]++;
      addRedirect(netlink, device.index, names.filterPreference, handle, matches, sort === "pass" ? undefined : stackEnd.index);
      return handle;
    });
    this.#handles.set(key, { sort, numbers });
  }

  #remove(key: string): void {
    const known = this.#handles.get(key);
    if (!known) return;
    for (const handle of known.numbers) removeRedirect(this.#steering.netlink, this.#steering.device.index, names.filterPreference, handle);
    this.#free[known.sort].push(...known.numbers);
    this.#handles.delete(key);
  }
}

/** This follows the extension header that follows the IPv6 header. */
function before(protocol: number): WordMatch {
  return { offset: 40, mask: 0xff000000, value: protocol * 2 ** 24 };
}
