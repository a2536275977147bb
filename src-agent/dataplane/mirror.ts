import type { Netlink } from "../linux/netlink.ts";
import { copyRoute, isMainRouteOver, isOver, listRoutes, ownProtocol, removeListedRoute, type ListedRoute } from "../linux/routes.ts";

/** A table of ours that holds the main table's routes over one device, with packets kept smaller. */
export class MirroredTable {
  readonly #netlink: Netlink;
  readonly #table: number;
  readonly #device: number;
  readonly #limits: (routeMtu: number | undefined) => { readonly mtu: number; readonly advmss: number };

  constructor(netlink: Netlink, table: number, device: number, limits: (routeMtu: number | undefined) => { readonly mtu: number; readonly advmss: number }) {
    this.#netlink = netlink;
    this.#table = table;
    this.#device = device;
    this.#limits = limits;
  }

  /** Makes the table follow what has changed. Looks at what the table really holds: routes go with a link that goes down. */
  sync(): void {
    const listed = listRoutes(this.#netlink);
    const wanted = new Map(listed.filter((route) => isMainRouteOver(route, this.#device)).map((route) => [this.#keyOf(route, true), route]));
    const there = new Map(this.#own(listed).map((route) => [this.#keyOf(route, false), route]));
    for (const [key, route] of there) if (!wanted.has(key)) removeListedRoute(this.#netlink, route);
    for (const [key, route] of wanted) if (!there.has(key)) copyRoute(this.#netlink, route, this.#table, this.#limits(route.mtu));
  }

  close(): void {
    for (const route of this.#own(listRoutes(this.#netlink))) removeListedRoute(this.#netlink, route);
  }

  #own(listed: readonly ListedRoute[]): ListedRoute[] {
    return listed.filter((route) => route.table === this.#table && route.protocol === ownProtocol && isOver(route, this.#device));
  }

  /** Equal for a route and its copy. */
  #keyOf(route: ListedRoute, original: boolean): string {
    return `${route.key} ${original ? this.#limits(route.mtu).mtu : route.mtu}`;
  }
}
