import type { DataPlaneCounters, Moved } from "../ports.ts";

/** What data planes count; at first, in the order of `enum counter` in ebpf/mobility.bpf.c. The drops' names are what people read. */
export const counterNames = [
  "translatedOut",
  "translatedIn",
  "tunnelledOut",
  "tunnelledIn",
  "relayed",
  "signalling",
  "toAgent",
  "home address option without binding",
  "tunnel from a stranger",
  "reverse tunnel from a stranger",
  "reverse tunnel not from the registered care-of address",
  "reverse tunnel to a member that is not the contact",
  "type 2 routing header for an address that is not ours",
  "for a home address, but neither tunnelled nor with a routing header",
  "hop limit exceeded",
  "too big for the tunnel",
  "multicast or link-local destination from a home address",
  "packet could not be changed",
  "ICMPv6 errors about translated packets, too many",
  "held packets over the limit",
  "relayed packet of a client that nobody announced",
  "no route or no neighbour over the data interface",
  "packet could not be sent",
  "reassembled tunnel packet that is about no home address of ours",
  "ICMPv6 errors to other hosts, too many",
] as const;
export type CounterName = (typeof counterNames)[number];

/** Index of a counter, as the data path knows it. */
export const counterIndex = Object.fromEntries(counterNames.map((name, i) => [name, i])) as Readonly<Record<CounterName, number>>;

/** Why a packet goes to the agent, in the order of `enum notice` (from 1) in ebpf/mobility.bpf.c. */
export const noticeNames = ["held", "unbound", "tooBig", "error", "hops", "narrow", "bounced"] as const;
export type Notice = (typeof noticeNames)[number];

const firstDrop = counterIndex["home address option without binding"];

/** Puts counts (in the order of `counterNames`) into the shape that the rest of the agent reads; drops that never happened are left out. */
export function nameCounters(counts: readonly Moved[]): DataPlaneCounters {
  const of = (name: CounterName): Moved => counts[counterIndex[name]] ?? { packets: 0, bytes: 0 };
  const drops = counterNames.slice(firstDrop).flatMap((name) => (of(name).packets > 0 ? [[name, of(name).packets] as const] : []));
  return {
    translatedOut: of("translatedOut"),
    translatedIn: of("translatedIn"),
    tunnelledOut: of("tunnelledOut"),
    tunnelledIn: of("tunnelledIn"),
    relayed: of("relayed"),
    drops: Object.fromEntries(drops),
  };
}
