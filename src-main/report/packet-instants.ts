import type { HandoffMode, HandoffStepName } from "../../src-shared/api/handoff.ts";
import type { Address } from "../../src-shared/net/address.ts";
import { departureKey, type CaptureFacts, type LinkFact, type SignallingFact } from "./facts.ts";

/** The packet that marks an instant: when it passed the host's interface, and its position in the capture. */
export interface PacketInstant {
  readonly at: number;
  readonly packet: number;
}
export type PacketInstants = Partial<Record<HandoffStepName, PacketInstant>>;

/** Which handoff to look for. Names are hosts; `told` are its instants as the agents told them, which only say where to look. */
export interface HandoffPlace {
  readonly client: Address;
  readonly contact: string;
  readonly donor: string;
  readonly acceptor: string;
  readonly mode: HandoffMode;
  readonly told: Partial<Record<HandoffStepName, number>>;
}

/** How far around the told instants packets are looked for, ms. Far above what would still count as agreement. */
const slackMs = 50;

/** Finds the packets of a handoff. An instant that no packet marks is absent. */
export function packetInstants(facts: CaptureFacts, place: HandoffPlace, addresses: ReadonlyMap<string, Address>): PacketInstants {
  const { client, contact, acceptor } = place;
  const toldStart = place.told.homeTestInit ?? place.told.frozen ?? place.told.decided;
  if (toldStart === undefined) return {};
  const from = toldStart - slackMs;
  const until = (place.told.firstPacket ?? place.told.bindingAcknowledgement ?? toldStart + 30_000) + slackMs;
  const seen = (host: string, direction: "in" | "out", kind: SignallingFact["message"]["kind"], after: number, before: number) => firstMessage(facts, client, { host, direction, kind, after, before });

  const found: { -readonly [N in HandoffStepName]?: PacketInstant } = {};
  const careOfTestInit = seen(acceptor, "out", "careOfTestInit", from, until);
  if (isRelayed(place.told) && !careOfTestInit) return relayedInstants(facts, place, addresses, from, until);
  const careOfTest = careOfTestInit && seen(acceptor, "in", "careOfTest", careOfTestInit.at, until);
  const update = careOfTest && seen(acceptor, "out", "bindingUpdate", careOfTest.at, until);
  const acknowledgement = update && seen(acceptor, "in", "bindingAcknowledgement", update.at, until);
  Object.assign(found, present({ careOfTestInit, careOfTest, bindingUpdate: update, bindingAcknowledgement: acknowledgement }));
  const first = acknowledgement && firstDeparture(facts, acceptor, client, acknowledgement.at, until);
  if (first) found.firstPacket = first;
  if (place.mode === "full") {
    const homeTestInit = seen(contact, "out", "homeTestInit", from, until);
    const homeTest = homeTestInit && seen(contact, "in", "homeTest", homeTestInit.at, careOfTestInit?.at ?? until);
    Object.assign(found, present({ homeTestInit, homeTest }));
  }
  if (careOfTestInit) Object.assign(found, stateInstants(facts, place, addresses, { from, careOfTestInit: careOfTestInit.at, update: update?.at ?? until }));
  return found;
}

interface Wanted {
  readonly host: string;
  readonly direction: "in" | "out";
  readonly kind: SignallingFact["message"]["kind"];
  readonly after: number;
  readonly before: number;
}

function firstMessage(facts: CaptureFacts, client: Address, { host, direction, kind, after, before }: Wanted): SignallingFact | undefined {
  return facts.signalling.find((s) => s.host === host && s.direction === direction && s.message.kind === kind && s.at >= after && s.at <= before && (direction === "out" ? s.destination : s.source) === client);
}

/** Handed over without a binding, to be served by way of the home agent: no test, no update. */
export function isRelayed(told: HandoffPlace["told"]): boolean {
  return told.careOfTestInit === undefined && told.firstPacket !== undefined;
}

/** Offer and state cross the link between the members, and the acceptor's first packet leaves through a tunnel. */
function relayedInstants(facts: CaptureFacts, place: HandoffPlace, addresses: ReadonlyMap<string, Address>, from: number, until: number): PacketInstants {
  const { contact, donor, acceptor, client, told } = place;
  // The contact may have asked first whether the client has Mobile IPv6.
  const homeTestInit = told.homeTestInit === undefined ? undefined : firstMessage(facts, client, { host: contact, direction: "out", kind: "homeTestInit", after: from, before: until });
  const between = (host: string, direction: LinkFact["direction"]) =>
    facts.links.filter((link) => link.source === addresses.get(donor) && link.destination === addresses.get(acceptor) && link.host === host && link.direction === direction && link.at >= from && link.at <= until);
  const [left, arrived] = [between(donor, "out"), between(acceptor, "in")];
  const stateReceived = nearest(arrived, told.stateReceived);
  const first = stateReceived && firstDeparture(facts, acceptor, client, stateReceived.at, until);
  return { ...present({ homeTestInit, frozen: nearest(left, told.frozen), stateSent: nearest(left, told.stateSent), stateReceived }), ...(first && { firstPacket: first }) };
}

/** When a member last sent the client new bytes from X in (from, until), or null. After its freeze it must not; what it repeats harms nobody. */
export function lastFreshDeparture(facts: CaptureFacts, member: string, client: Address, from: number, until: number): number | null {
  const departures = facts.departures.get(departureKey(member, client));
  if (!departures) return null;
  const index = departures.freshAt.lowerBound(until) - 1;
  if (index < 0) return null;
  const at = departures.freshAt.at(index);
  return at > from ? at : null;
}

function firstDeparture(facts: CaptureFacts, member: string, client: Address, from: number, until: number): PacketInstant | null {
  const departures = facts.departures.get(departureKey(member, client));
  const index = departures?.at.lowerBound(from) ?? 0;
  if (!departures || index >= departures.at.length) return null;
  const at = departures.at.at(index);
  return at <= until ? { at, packet: departures.packet.at(index) } : null;
}

/**
 * The offer crosses the member link inside TLS: the last segment from D that reached A before A's Care-of Test Init ends it. The freeze is a departure of a
 * segment from D to A too: in `prepared` the offer's own, in `full` a later one, which A awaits before its Binding Update. Told times choose among them.
 */
function stateInstants(facts: CaptureFacts, place: HandoffPlace, addresses: ReadonlyMap<string, Address>, { from, careOfTestInit, update }: { readonly from: number; readonly careOfTestInit: number; readonly update: number }): PacketInstants {
  const source = addresses.get(place.donor);
  const destination = addresses.get(place.acceptor);
  const between = (link: LinkFact) => link.source === source && link.destination === destination;
  const arrived = facts.links.filter((link) => between(link) && link.host === place.acceptor && link.direction === "in" && link.at >= from && link.at <= careOfTestInit).at(-1);
  const left = facts.links.filter((link) => between(link) && link.host === place.donor && link.direction === "out" && link.at >= from && link.at <= update);
  // Segments are cut anew on their way (offloads), so the last one is matched by where it ends in the stream.
  const end = arrived && (arrived.sequence + arrived.length) >>> 0;
  const lastIndex = left.findLastIndex((link) => arrived && link.ports === arrived.ports && (link.sequence + link.length) >>> 0 === end);
  const offer = lastIndex < 0 ? left : left.slice(0, lastIndex + 1);
  return { ...present({ stateReceived: arrived }), ...present({ frozen: nearest(place.mode === "full" ? left : offer, place.told.frozen), stateSent: nearest(offer, place.told.stateSent) }) };
}

function nearest(links: readonly LinkFact[], told: number | undefined): LinkFact | undefined {
  if (told === undefined) return undefined;
  return links.reduce<LinkFact | undefined>((best, link) => (!best || Math.abs(link.at - told) < Math.abs(best.at - told) ? link : best), undefined);
}

function present(found: Partial<Record<HandoffStepName, PacketInstant | undefined>>): PacketInstants {
  return Object.fromEntries(Object.entries(found).flatMap(([step, fact]) => (fact ? [[step, { at: fact.at, packet: fact.packet }]] : [])));
}
