import type { Address } from "../net/address.ts";
import { headersOf, tunnelled, untunnelled, type DataPacket, type Headers } from "./packet.ts";

/** What a data plane makes of a packet. */
export type Verdict<P> =
  | { readonly verdict: "forward"; readonly packet: P }
  | { readonly verdict: "deliver"; readonly packet: P }
  | { readonly verdict: "held" }
  /** §9.3.1: a Home Address option that fits no binding; the correspondent is told. */
  | { readonly verdict: "unbound"; readonly homeAddress: Address }
  | { readonly verdict: "drop"; readonly reason: string };

interface HomeEntry {
  readonly careOf: Address;
  readonly homeAgent: Address;
  readonly via: Address;
}

/** What becomes of packets client -> home here; no entry: unknown. */
type ClientState =
  | { readonly now: "served" }
  | { readonly now: "held"; readonly kept: DataPacket[] }
  | { readonly now: "relayed"; readonly member: Address }
  /** Unknown, but a member has relayed packets of it already. */
  | { readonly now: "early"; readonly kept: DataPacket[] };

/** How long packets that run ahead of their connection are kept. */
const EARLY_MS = 1_000;

/**
 * A data plane without packets' bytes: the calls are those of the agent's DataPlane port, their effect is on headers. One instance per virtual node.
 */
export class VirtualPlane {
  readonly #own: Address;
  readonly #bindings = new Map<Address, Address>();
  readonly #tunnels = new Map<Address, Address>();
  readonly #homes = new Map<Address, HomeEntry>();
  readonly #members = new Map<Address, ReadonlySet<Address>>();
  readonly #optimised = new Set<string>();
  readonly #clients = new Map<string, ClientState>();
  readonly #deliver: (packet: DataPacket) => void;
  readonly #forward: (packet: DataPacket) => void;
  readonly #after: (ms: number, then: () => void) => void;

  /** `own`: this node's address. The others carry out what is decided about packets that had been kept, and tell the time. */
  constructor(own: Address, carryOut: { readonly deliver: (packet: DataPacket) => void; readonly forward: (packet: DataPacket) => void; readonly after: (ms: number, then: () => void) => void }) {
    this.#own = own;
    this.#deliver = carryOut.deliver;
    this.#forward = carryOut.forward;
    this.#after = carryOut.after;
  }

  bind(home: Address, careOf: Address): void {
    this.#bindings.set(home, careOf);
  }
  unbind(home: Address): void {
    this.#bindings.delete(home);
  }
  tunnel(home: Address, careOf: Address): void {
    this.#tunnels.set(home, careOf);
  }
  untunnel(home: Address): void {
    this.#tunnels.delete(home);
  }
  addHome(home: Address, options: HomeEntry): void {
    this.#homes.set(home, options);
  }
  removeHome(home: Address): void {
    this.#homes.delete(home);
  }
  setMembers(home: Address, members: readonly Address[]): void {
    this.#members.set(home, new Set(members));
  }
  optimise(home: Address, client: Address): void {
    this.#optimised.add(pair(home, client));
  }
  unoptimise(home: Address, client: Address): void {
    this.#optimised.delete(pair(home, client));
  }
  serve(home: Address, client: Address): void {
    const kept = this.#keptOf(home, client);
    this.#clients.set(pair(home, client), { now: "served" });
    for (const packet of kept) this.#deliver(packet);
  }
  unserve(home: Address, client: Address): void {
    this.#leave(home, client, "served");
  }
  relay(home: Address, client: Address, member: Address): void {
    const kept = this.#keptOf(home, client);
    this.#clients.set(pair(home, client), { now: "relayed", member });
    for (const packet of kept) this.#forward(tunnelled(packet, this.#own, member));
  }
  unrelay(home: Address, client: Address): void {
    this.#leave(home, client, "relayed");
  }
  hold(home: Address, client: Address): void {
    this.#clients.set(pair(home, client), { now: "held", kept: this.#keptOf(home, client) });
  }
  release(home: Address, client: Address): void {
    if (this.#clients.get(pair(home, client))?.now === "held") this.serve(home, client);
  }
  discard(home: Address, client: Address): void {
    this.#leave(home, client, "held");
  }

  /** Where a correspondent sends what is for `home`, if it is bound. */
  careOfAddress(home: Address): Address | undefined {
    return this.#bindings.get(home);
  }

  isHome(address: Address): boolean {
    return this.#homes.has(address);
  }

  /** A user packet of this node's own upper layers. */
  outgoing(packet: DataPacket): Verdict<DataPacket> {
    const home = this.#homes.get(packet.source);
    if (home) {
      if (this.#optimised.has(pair(packet.source, packet.destination))) return forward({ ...packet, source: home.careOf, homeAddress: packet.source });
      return forward(tunnelled(packet, home.careOf, home.via));
    }
    const careOf = this.#bindings.get(packet.destination);
    return forward(careOf ? { ...packet, destination: careOf, routingHomeAddress: packet.destination } : packet);
  }

  /** A user packet that has reached this node. */
  incoming(packet: DataPacket): Verdict<DataPacket> {
    if (packet.tunnel) return this.#outOfTunnel(packet, packet.tunnel);
    if (packet.routingHomeAddress !== undefined) return this.#routed(packet, packet.routingHomeAddress);
    if (packet.homeAddress !== undefined) return this.#fromCareOf(packet, packet.homeAddress);
    const careOf = this.#tunnels.get(packet.destination);
    if (careOf) return forward(tunnelled(packet, this.#own, careOf));
    return packet.destination === this.#own ? { verdict: "deliver", packet } : dropped("not for this node");
  }

  /** Signalling that is not for this node: a home agent passes it on both ways; it is never translated (§6.1). */
  signalling<P extends Headers>(packet: P): Verdict<P> {
    if (packet.tunnel) {
      const isReverse = packet.tunnel.destination === this.#own && this.#tunnels.get(packet.source) === packet.tunnel.source;
      if (isReverse) return forward(untunnelled(packet));
      const isInner = packet.tunnel.destination === this.#own && this.#homes.has(packet.destination);
      return isInner ? { verdict: "deliver", packet } : dropped("tunnel from another address than the registered one");
    }
    const careOf = this.#tunnels.get(packet.destination);
    if (careOf) return forward(tunnelled(packet, this.#own, careOf));
    return packet.destination === this.#own ? { verdict: "deliver", packet } : dropped("not for this node");
  }

  #outOfTunnel(packet: DataPacket, tunnel: NonNullable<Headers["tunnel"]>): Verdict<DataPacket> {
    const inner = untunnelled(packet);
    if (this.#tunnels.get(inner.source) === tunnel.source) return forward(inner);
    const home = this.#homes.get(inner.destination);
    const fromMember = home !== undefined && this.#isMember(inner.destination, tunnel.source);
    if (home && (tunnel.source === home.homeAgent || fromMember)) return this.#toHome(inner, inner.destination, fromMember);
    const outward = this.#homes.get(inner.source);
    if (outward && this.#isMember(inner.source, tunnel.source)) return forward(tunnelled(inner, outward.careOf, outward.via));
    return dropped("tunnel from another address than the registered one");
  }

  #routed(packet: DataPacket, home: Address): Verdict<DataPacket> {
    if (!this.#homes.has(home)) return dropped("type 2 routing header for a home address that is not ours");
    const { routingHomeAddress: _, ...inner } = packet;
    return this.#toHome({ ...inner, destination: home }, home, false);
  }

  #toHome(packet: DataPacket, home: Address, fromMember: boolean): Verdict<DataPacket> {
    const key = pair(home, packet.source);
    const state = this.#clients.get(key);
    if (state?.now === "relayed") return forward(tunnelled(packet, this.#own, state.member));
    if (state?.now === "held" || state?.now === "early") {
      state.kept.push(packet);
      return { verdict: "held" };
    }
    if (state?.now === "served" || !fromMember) return { verdict: "deliver", packet };
    // Ahead of the connection that it belongs to.
    const early: ClientState = { now: "early", kept: [packet] };
    this.#clients.set(key, early);
    this.#after(EARLY_MS, () => {
      if (this.#clients.get(key) === early) this.#clients.delete(key);
    });
    return { verdict: "held" };
  }

  #keptOf(home: Address, client: Address): DataPacket[] {
    const state = this.#clients.get(pair(home, client));
    return state?.now === "held" || state?.now === "early" ? state.kept : [];
  }

  #leave(home: Address, client: Address, only: ClientState["now"]): void {
    if (this.#clients.get(pair(home, client))?.now === only) this.#clients.delete(pair(home, client));
  }

  #fromCareOf(packet: DataPacket, home: Address): Verdict<DataPacket> {
    if (this.#bindings.get(home) !== packet.source) return { verdict: "unbound", homeAddress: home };
    const { homeAddress: _, ...inner } = packet;
    return { verdict: "deliver", packet: { ...inner, source: home } };
  }

  #isMember(home: Address, address: Address): boolean {
    return this.#members.get(home)?.has(address) ?? false;
  }
}

/** Notes a stop on the packet's way. */
export function noteStop(packet: DataPacket, node: string, at: number, what: string): void {
  packet.trail.push({ node, at, what, headers: headersOf(packet) });
}

function pair(home: Address, client: Address): string {
  return `${home} ${client}`;
}

function forward<P>(packet: P): Verdict<P> {
  return { verdict: "forward", packet };
}

function dropped(reason: string): { readonly verdict: "drop"; readonly reason: string } {
  return { verdict: "drop", reason };
}
