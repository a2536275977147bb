import { addressBytes, type Address } from "../../../src-shared/net/address.ts";
import { addClsact, addRedirect, matchAddress, matchNextHeader, removeClsact, removeFilters, removeRedirect, type WordMatch } from "../../linux/trafficControl.ts";
import { names } from "../names.ts";
import { inUse, type Steering } from "../steering.ts";

const destinationAt = 24;
const icmpv6 = 58;
/** Tunnels, routing headers, destination options, Mobility Headers. */
const protocols = [41, 43, 60, 135];

/** The tc filters that take packets from the data interface into our hands before the stack sees them. */
export class Redirects {
  readonly #steering: Steering;
  readonly #handles = new Map<string, readonly number[]>();
  readonly #free: number[] = [];
  #next = 1;
  readonly #madeClsact: boolean;

  constructor(steering: Steering) {
    this.#steering = steering;
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
      ...protocols.map((protocol) => [...to, matchNextHeader(protocol)]),
      [...to, matchNextHeader(icmpv6), typeAtMost3],
      [...to, matchNextHeader(icmpv6), type4],
    ]);
  }

  removeLocal(address: Address): void {
    this.#remove(`local ${address}`);
  }

  close(): void {
    const { netlink, device } = this.#steering;
    removeFilters(netlink, device.index, "ingress", names.filterPreference);
    if (this.#madeClsact && !inUse(netlink, device.index)) removeClsact(netlink, device.index);
  }

  #add(key: string, filters: readonly (readonly WordMatch[])[]): void {
    if (this.#handles.has(key)) return;
    const { netlink, device, stackEnd } = this.#steering;
    const handles = filters.map((matches) => {
      const handle = this.#free.pop() ?? this.#next++;
      addRedirect(netlink, device.index, names.filterPreference, handle, matches, stackEnd.index);
      return handle;
    });
    this.#handles.set(key, handles);
  }

  #remove(key: string): void {
    for (const handle of this.#handles.get(key) ?? []) {
      removeRedirect(this.#steering.netlink, this.#steering.device.index, names.filterPreference, handle);
      this.#free.push(handle);
    }
    this.#handles.delete(key);
  }
}
