import type { Netlink } from "../linux/netlink.ts";
import { copyRoute, isMainRouteOver, listRoutes, removeListedRoute, type ListedRoute } from "../linux/routes.ts";

/** A table of ours that holds the main table's routes over one device, with packets kept smaller. */
export class MirroredTable {
  readonly #netlink: Netlink;
  readonly #table: number;
  readonly #device: number;
  readonly #limits: (routeMtu: number | undefined) => { readonly mtu: number; readonly advmss: number };
  #copies = new Map<string, ListedRoute>();

  constructor(netlink: Netlink, table: number, device: number, limits: (routeMtu: number | undefined) => { readonly mtu: number; readonly advmss: number }) {
    this.#netlink = netlink;
    this.#table = table;
    this.#device = device;
    this.#limits = limits;
  }

  /** Makes the table follow what has changed. */
  sync(): void {
    const wanted = new Map<string, ListedRoute>();
    for (const route of listRoutes(this.#netlink)) if (isMainRouteOver(route, this.#device)) wanted.set(`${route.key} ${route.mtu ?? 0}`, route);
    for (const [key, route] of this.#copies) if (!wanted.has(key)) removeListedRoute(this.#netlink, route, this.#table);
    for (const [key, route] of wanted) if (!this.#copies.has(key)) copyRoute(this.#netlink, route, this.#table, this.#limits(route.mtu));
    this.#copies = wanted;
  }

  close(): void {
    for (const route of this.#copies.values()) removeListedRoute(this.#netlink, route, this.#table);
    this.#copies.clear();
  }
}
