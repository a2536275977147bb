import { type Address, addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { SystemCallError } from "./libc.ts";
import { attribute, NLM_F_CREATE, NLM_F_REPLACE, nestedAttribute, parseAttributes, u32Attribute, type Netlink } from "./netlink.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const AF_INET6 = 10;
const RT_SCOPE_UNIVERSE = 0;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTA_MARK = 16;
const RTAX_MTU = 2;
const RTAX_ADVMSS = 8;

/** The number that marks routes and rules as ours (`ip -N route` shows `proto 135`, after the Mobility Header's). */
export const ownProtocol = 135;

export interface Route {
  readonly table: number;
  /** A single address; without it, the default route. */
  readonly destination?: Address;
  readonly device: number;
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

/** Adds a route, or replaces the one to the same destination in the same table. */
export function replaceRoute(netlink: Netlink, route: Route): void {
  const metrics = [
    ...(route.mtu === undefined ? [] : [u32Attribute(RTAX_MTU, route.mtu)]),
    ...(route.advmss === undefined ? [] : [u32Attribute(RTAX_ADVMSS, route.advmss)]),
  ];
  const body = routeMessage(route.table, route.destination, [
    u32Attribute(RTA_TABLE, route.table),
    u32Attribute(RTA_OIF, route.device),
    ...(metrics.length > 0 ? [nestedAttribute(RTA_METRICS, metrics)] : []),
    ...(route.preferredSource ? [attribute(RTA_PREFSRC, addressBytes(route.preferredSource))] : []),
  ]);
  netlink.request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, `add route to ${route.destination ?? "anywhere"} in table ${route.table}`);
}

/** Removes the route to one destination (or the default route) of a table; false when there is none. */
export function deleteRoute(netlink: Netlink, table: number, destination?: Address): boolean {
  const body = routeMessage(table, destination, [u32Attribute(RTA_TABLE, table)]);
  return netlink.attempt(RTM_DELROUTE, 0, body, `remove route to ${destination ?? "anywhere"} from table ${table}`, ["ESRCH", "ENETUNREACH"]);
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
