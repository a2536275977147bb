import { type Address, addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { SystemCallError } from "./libc.ts";
import { attribute, NLM_F_CREATE, NLM_F_REPLACE, nestedAttribute, parseAttributes, u32Attribute, type Netlink } from "./netlink.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTM_F_CLONED = 0x200;
const RT_TABLE_MAIN = 254;
const AF_INET6 = 10;
const RT_SCOPE_UNIVERSE = 0;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_MARK = 16;
const RTA_PREF = 20;
const RTA_NH_ID = 30;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;

/** The number that marks routes and rules as ours (`ip -N route` shows `proto 135`, after the Mobility Header's). */
export const ownProtocol = 135;

export interface Route {
  readonly table: number;
  /** A single address; without it, the default route. */
  readonly destination?: Address;
  readonly device: number;
  readonly gateway?: Address;
  /** Among routes to the same destination the lowest wins. */
  readonly metric: number;
  /** Bytes. */
  readonly mtu?: number;
  /** The TCP maximum segment size to announce, bytes. */
  readonly advmss?: number;
  readonly preferredSource?: Address;
}

function routeMessage(table: number, destination: Address | undefined, attributes: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(12);
  head[0] = AF_INET6;
  head[1] = destination ? 128 : 0;
  head[4] = table < 256 ? table : 0;
  head[5] = ownProtocol;
  head[6] = RT_SCOPE_UNIVERSE;
  head[7] = RTN_UNICAST;
  const to = destination ? [attribute(RTA_DST, addressBytes(destination))] : [];
  return Buffer.concat([head, ...to, ...attributes]);
}

/**
 * Adds a route, or replaces the one to the same destination with the same metric in the same table. The kernel does not replace a route that has a
 * gateway by one that has none, or the other way round: give those different metrics.
 */
export function replaceRoute(netlink: Netlink, route: Route): void {
  const metrics = [
    ...(route.mtu === undefined ? [] : [u32Attribute(RTAX_MTU, route.mtu)]),
    ...(route.advmss === undefined ? [] : [u32Attribute(RTAX_ADVMSS, route.advmss)]),
  ];
  const body = routeMessage(route.table, route.destination, [
    u32Attribute(RTA_TABLE, route.table),
    u32Attribute(RTA_OIF, route.device),
    ...(route.gateway ? [attribute(RTA_GATEWAY, addressBytes(route.gateway))] : []),
    u32Attribute(RTA_PRIORITY, route.metric),
    ...(metrics.length > 0 ? [nestedAttribute(RTA_METRICS, metrics)] : []),
    ...(route.preferredSource ? [attribute(RTA_PREFSRC, addressBytes(route.preferredSource))] : []),
  ]);
  netlink.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, `add route to ${route.destination ?? "anywhere"} in table ${route.table}`);
}

/** Removes the route to one destination with this metric from a table; false when there is none. */
export function deleteRoute(netlink: Netlink, table: number, destination: Address, metric: number): boolean {
  const body = routeMessage(table, destination, [u32Attribute(RTA_TABLE, table), u32Attribute(RTA_PRIORITY, metric)]);
  return netlink.attempt(RTM_DELROUTE, 0, body, `remove route to ${destination} from table ${table}`, ["ESRCH", "ENETUNREACH"]);
}

export interface Resolved {
  readonly device: number;
  /** Whom to ask for the link-layer address: the gateway, or the destination itself when it is on the link. */
  readonly nextHop: Address;
  /** The address this host would use as source. */
  readonly source: Address | undefined;
  readonly local: boolean;
}

/** Where packets to `destination` go now (with our mark, past our own rules); undefined when there is no route. */
export function lookUpRoute(netlink: Netlink, destination: Address, mark: number): Resolved | undefined {
  let answer: Buffer;
  try {
    answer = netlink.query(RTM_GETROUTE, routeMessage(0, destination, [u32Attribute(RTA_MARK, mark)]), `look up route to ${destination}`);
  } catch (error) {
    if (error instanceof SystemCallError && ["ENETUNREACH", "EHOSTUNREACH", "EACCES", "EINVAL"].includes(error.code)) return undefined;
    throw error;
  }
  const attributes = parseAttributes(answer, 12);
  const gateway = attributes.get(RTA_GATEWAY);
  const source = attributes.get(RTA_PREFSRC);
  return {
    device: attributes.get(RTA_OIF)?.readUInt32LE(0) ?? 0,
    nextHop: gateway?.length === 16 ? formatAddress(gateway) : destination,
    source: source?.length === 16 ? formatAddress(source) : undefined,
    local: answer[7] === RTN_LOCAL,
  };
}

/** A route as the kernel told it, for comparing, copying and removing. */
export interface ListedRoute {
  readonly table: number;
  readonly protocol: number;
  /** Undefined for a prefix. */
  readonly destination: Address | undefined;
  /** 0 when the route has several next hops. */
  readonly device: number;
  readonly mtu: number | undefined;
  /** Destination, next hops and metric, as they were told: equal text, equal route. */
  readonly key: string;
  readonly head: Buffer;
  readonly attributes: ReadonlyMap<number, Buffer>;
}

/** What makes up a route apart from its table and its size limits. */
const copied = [RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH, RTA_PREF, RTA_NH_ID];

/** Every IPv6 unicast route. */
export function listRoutes(netlink: Netlink): ListedRoute[] {
  return netlink.dump(RTM_GETROUTE, routeMessage(0, undefined, []), "list routes").flatMap((message) => {
    if (message[0] !== AF_INET6 || message[7] !== RTN_UNICAST || message.readUInt32LE(8) & RTM_F_CLONED) return [];
    const head = message.subarray(0, 12);
    const attributes = parseAttributes(message, 12);
    const metrics = attributes.get(RTA_METRICS);
    const key = [head[1], ...copied.map((type) => attributes.get(type)?.toString("hex") ?? "")].join(" ");
    const table = attributes.get(RTA_TABLE)?.readUInt32LE(0) ?? (head[4] as number);
    const device = attributes.get(RTA_OIF)?.readUInt32LE(0) ?? 0;
    const to = attributes.get(RTA_DST);
    const destination = head[1] === 128 && to?.length === 16 ? formatAddress(to) : undefined;
    return [{ table, protocol: head[5] as number, destination, device, mtu: metrics && parseAttributes(metrics).get(RTAX_MTU)?.readUInt32LE(0), key, head, attributes }];
  });
}

/** Whether a route is one that people or routing protocols made in the main table over `device`, link-local and multicast ones apart. */
export function isMainRouteOver(route: ListedRoute, device: number): boolean {
  const first = route.attributes.get(RTA_DST)?.[0] ?? 0;
  return route.table === RT_TABLE_MAIN && isOver(route, device) && first !== 0xfe && first !== 0xff;
}

/** Whether a route leads over `device`, or has several next hops. */
export function isOver(route: ListedRoute, device: number): boolean {
  return route.device === device || route.attributes.has(RTA_MULTIPATH);
}

/** The same route in another table, with size limits of its own. */
export function copyRoute(netlink: Netlink, route: ListedRoute, table: number, limits: { readonly mtu: number; readonly advmss: number }): void {
  const metrics = nestedAttribute(RTA_METRICS, [u32Attribute(RTAX_MTU, limits.mtu), u32Attribute(RTAX_ADVMSS, limits.advmss)]);
  netlink.attempt(RTM_NEWROUTE, NLM_F_CREATE, rawMessage(route, table, [metrics]), "copy a route", ["EEXIST"]);
}

/** Removes a route as listed; nothing when it is gone. */
export function removeListedRoute(netlink: Netlink, route: ListedRoute): void {
  netlink.attempt(RTM_DELROUTE, 0, rawMessage(route, route.table, []), "remove a route", ["ESRCH", "ENODEV"]);
}

function rawMessage(route: ListedRoute, table: number, more: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(12);
  head[0] = AF_INET6;
  head[1] = route.head[1] as number;
  head[5] = ownProtocol;
  head[7] = RTN_UNICAST;
  const attributes = copied.flatMap((type) => {
    const value = route.attributes.get(type);
    return value ? [attribute(type, value)] : [];
  });
  return Buffer.concat([head, ...attributes, u32Attribute(RTA_TABLE, table), ...more]);
}
