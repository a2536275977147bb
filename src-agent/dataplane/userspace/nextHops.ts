import { formatAddress, type Address } from "../../../src-shared/net/address.ts";
import type { Link } from "../../linux/links.ts";
import { findNeighbour, useNeighbour } from "../../linux/neighbours.ts";
import type { Netlink } from "../../linux/netlink.ts";
import { lookUpRoute } from "../../linux/routes.ts";
import { names } from "../names.ts";
import { keyAt } from "./addressKeys.ts";

/** How long an answer of the kernel is used, ms: also how often it is told that the neighbour is in use. */
const freshMs = 1000;

interface Hop {
  ethernet: Buffer | undefined;
  checkedAt: number;
}

/** Ethernet headers towards destinations, as the kernel's routes and neighbour table have them. */
export class NextHops {
  readonly #netlink: Netlink;
  readonly #device: Link;
  readonly #hops = new Map<string, Hop>();

  constructor(netlink: Netlink, device: Link) {
    this.#netlink = netlink;
    this.#device = device;
  }

  /**
   * The Ethernet header for packets to the address whose 16 bytes start at `at`. "unresolved": the kernel is asking the neighbour, try again soon;
   * "none": no route over the data interface.
   */
  ethernetFor(bytes: Buffer, at: number, now: number): Buffer | "unresolved" | "none" {
    const key = keyAt(bytes, at);
    const known = this.#hops.get(key);
    if (known?.ethernet && now - known.checkedAt < freshMs) return known.ethernet;
    if (this.#hops.size > 65536) this.#hops.clear();
    const found = this.#resolve(formatAddress(bytes, at));
    this.#hops.set(key, { ethernet: typeof found === "string" ? undefined : found, checkedAt: now });
    return found;
  }

  #resolve(destination: Address): Buffer | "unresolved" | "none" {
    const route = lookUpRoute(this.#netlink, destination, names.mark);
    if (!route || route.local || route.device !== this.#device.index) return "none";
    const known = findNeighbour(this.#netlink, this.#device.index, route.nextHop);
    if (!known?.fixed) useNeighbour(this.#netlink, this.#device.index, route.nextHop);
    const mac = known?.address ?? findNeighbour(this.#netlink, this.#device.index, route.nextHop)?.address;
    return mac ? Buffer.concat([mac, this.#device.address, Buffer.from([0x86, 0xdd])]) : "unresolved";
  }
}
