import { type Address, addressBytes } from "../../../src-shared/net/address.ts";
import { takeToken, tokenBucket, type TokenBucket } from "../../../src-shared/protocol/core/tokenBucket.ts";
import type { CounterName } from "../counters.ts";
import { errorRate } from "../errorRate.ts";
import { clientOffset } from "../errorTarget.ts";
import { bounce, HeldPackets } from "../heldPackets.ts";
import { NarrowTunnels } from "../tunnelFragments.ts";
import { forSender, forSocket, hopLimitExceeded, tooBigForTunnel, translateError, type TranslatedError } from "../icmpRelay.ts";
import { addressKey, keyAt } from "./addressKeys.ts";
import { destinationAt, Frame, ipLength, sourceAt } from "./frame.ts";
import type { Client, Command, Home, Tables } from "./tables.ts";

const HOP_BY_HOP = 0;
const TUNNEL = 41;
const ROUTING = 43;
const ICMPV6 = 58;
const DESTINATION_OPTIONS = 60;
const MOBILITY = 135;
const hopLimit = 64;
/** §6.3, §6.4: how the two extension headers start, next header and length apart; an address follows. */
const homeAddressOption = Uint8Array.of(1, 2, 0, 0, 0xc9, 16);
const typeTwoRouting = Uint8Array.of(2, 1, 0, 0, 0, 0);
/** How often packets of unannounced clients are looked at for age, ms. */
const expiryMs = 250;

/** What the translator's surroundings do for it. Frames are theirs from then on. */
export interface TranslatorPorts {
  /** To the stack, as if it had just arrived. */
  toStack(frame: Frame): void;
  /** Out of the data interface, to where its destination is routed; large packets only where that is allowed (not in tunnels). */
  toWire(frame: Frame): void;
  /** Out of the data interface through a tunnel; `frame` is the inner packet, cut up when it is a large one, fragmented where the way is `narrow`. */
  toTunnel(frame: Frame, source: Uint8Array, destination: Uint8Array, hopLimit: number, narrow: boolean): void;
  count(name: CounterName, bytes: number, packets?: number): void;
  unbound(packet: Buffer): void;
  /** The binding with this slot is in use. */
  used(slot: number): void;
  now(): number;
  /** At most one a millisecond in the long run: what others can make us look at more closely. */
  mayTell(): boolean;
  /** The data interface's MTU, bytes. */
  readonly mtu: number;
  readonly self: Uint8Array;
  readonly selfText: Address;
}

/** See `bounce`. */
interface Bounced {
  readonly frame: Frame;
  readonly home: Home;
  readonly until: number;
}

/** The translation of src-agent/dataplane/ebpf/mobility.bpf.c, on frames in our memory: same decisions, same counters, in the same order. */
export class Translator {
  readonly #tables: Tables;
  readonly #ports: TranslatorPorts;
  readonly #held = new HeldPackets<string, Frame>();
  readonly #narrow = new NarrowTunnels();
  /** In the order in which they came. */
  readonly #bounced: Bounced[] = [];
  #errors: TokenBucket;

  constructor(tables: Tables, ports: TranslatorPorts) {
    this.#tables = tables;
    this.#ports = ports;
    this.#errors = tokenBucket(errorRate, ports.now());
  }

  /** Applies a change; what was kept for its client goes where the new state says. */
  apply(command: Exclude<Command, { do: "stop" | "reassembled" }>): void {
    this.#tables.apply(command);
    if (command.do !== "client") return;
    const home = addressKey(command.home);
    const client = addressKey(command.client);
    if (command.state.kind === "held") return this.#held.announce(home + client);
    const kept = this.#held.take(home + client);
    if (command.state.kind === "unknown") return;
    for (const frame of kept) this.#toClientState(frame, this.#tables.clients.get(home, client));
  }

  /** How soon `expire` must be called, ms; -1: not before the next packet. */
  get patienceMs(): number {
    if (this.#bounced.length > 0) return bounce.ms / 2;
    return this.#held.empty ? -1 : expiryMs;
  }

  expire(): void {
    while (this.#bounced[0] && this.#bounced[0].until <= this.#ports.now()) {
      const { frame, home } = this.#bounced.shift() as Bounced;
      this.#arrived(frame, home, false);
    }
    const dropped = this.#held.expire(this.#ports.now());
    if (dropped > 0) this.#ports.count("relayed packet of a client that nobody announced", 0, dropped);
  }

  /** A packet that this host sends, and that policy routing gave to us. */
  fromStack(frame: Frame): void {
    if (frame.next === MOBILITY) return this.#ports.toWire(frame);
    const home = this.#tables.homes.get(frame.key(sourceAt));
    if (home) return this.#fromHome(frame, home);
    const destination = frame.key(destinationAt);
    const binding = this.#tables.bindings.get(destination);
    if (binding && frame.next !== HOP_BY_HOP) {
      this.#ports.used(binding.slot);
      this.#ports.count("translatedOut", frame.length);
      if (!frame.insertExtension(ROUTING, typeTwoRouting, destinationAt, binding.bytes)) return this.#drop(frame, "too big for the tunnel");
      return this.#ports.toWire(frame);
    }
    const tunnel = this.#tables.tunnels.get(destination);
    if (!tunnel) return frame.isForLink() ? undefined : this.#ports.toWire(frame);
    this.#ports.count("tunnelledOut", frame.length);
    this.#toTunnel(frame, this.#ports.self, tunnel.bytes);
  }

  /** A packet that arrived at the data interface and that a filter gave to us. */
  fromWire(frame: Frame): void {
    const away = this.#tables.tunnels.get(frame.key(destinationAt));
    if (away) return this.#toAway(frame, away.bytes);
    switch (frame.next) {
      case TUNNEL:
        return this.#tunnelled(frame);
      case ROUTING:
        return this.#routed(frame);
      case DESTINATION_OPTIONS:
        return this.#withHomeAddress(frame);
    }
    if (this.#tables.homes.has(frame.key(destinationAt))) return this.#drop(frame, "for a home address, but neither tunnelled nor with a routing header");
    if (frame.next === MOBILITY && this.#isLocal(frame)) return this.#drop(frame, "signalling");
    if (frame.next === ICMPV6 && this.#isAboutTranslated(frame)) return this.#relayError(frame);
    this.#ports.toStack(frame);
  }

  /** §11.3.1: a packet from our home address, route-optimised or through the reverse tunnel. */
  #fromHome(frame: Frame, home: Home): void {
    if (frame.isForLink()) return this.#drop(frame, "multicast or link-local destination from a home address");
    const client = this.#tables.clients.get(home.key, frame.key(destinationAt));
    if (client?.optimised && frame.next !== HOP_BY_HOP) {
      this.#ports.count("translatedOut", frame.length);
      if (!frame.insertExtension(DESTINATION_OPTIONS, homeAddressOption, sourceAt, home.careOf)) return this.#drop(frame, "too big for the tunnel");
      return this.#ports.toWire(frame);
    }
    this.#ports.count("tunnelledOut", frame.length);
    this.#toTunnel(frame, home.careOf, home.via);
  }

  /** §10.4.1, §10.4.2: the home agent takes packets for the home address and tunnels them, but not what belongs to the link. */
  #toAway(frame: Frame, careOf: Uint8Array): void {
    const { bytes, at } = frame;
    if (bytes[at + sourceAt] === 0xfe && ((bytes[at + sourceAt + 1] as number) & 0xc0) === 0x80) return this.#ports.toStack(frame);
    const type = bytes[at + ipLength] as number;
    if (frame.next === ICMPV6 && type >= 133 && type <= 137) return this.#ports.toStack(frame);
    if (frame.hopLimit <= 1) return this.#hopsExceeded(frame);
    if (!this.#fits(frame)) return this.#tooBig(frame);
    frame.hop();
    this.#ports.count("tunnelledOut", frame.length);
    this.#toTunnel(frame, this.#ports.self, careOf);
  }

  /** §6.4, §11.3.3: a type 2 routing header names the home address that the packet is for. */
  #routed(frame: Frame): void {
    const { bytes, at } = frame;
    const header = at + ipLength;
    if (frame.length < header - at + 24 || bytes[header + 2] !== 2 || !this.#isLocal(frame)) return this.#ports.toStack(frame);
    if (bytes[header] === MOBILITY) return this.#drop(frame, "signalling");
    const home = this.#tables.homes.get(keyAt(bytes, header + 8));
    if (bytes[header + 1] !== 2 || bytes[header + 3] !== 1 || home?.careOfKey !== frame.key(destinationAt)) return this.#drop(frame, "type 2 routing header for an address that is not ours");
    this.#ports.count("translatedIn", frame.length);
    frame.stripExtension(destinationAt);
    this.#arrived(frame, home, false);
  }

  /** §6.3, §9.3.1: a Home Address option counts only with a binding of just this care-of address. */
  #withHomeAddress(frame: Frame): void {
    const { bytes, at } = frame;
    const header = at + ipLength;
    if (frame.length < header - at + 24 || !this.#isLocal(frame)) return this.#ports.toStack(frame);
    if (bytes[header] === MOBILITY) return this.#drop(frame, "signalling");
    if (bytes[header + 1] !== 2 || bytes[header + 6] !== 0xc9 || bytes[header + 7] !== 16) return this.#ports.toStack(frame);
    const binding = this.#tables.bindings.get(keyAt(bytes, header + 8));
    if (binding?.key !== frame.key(sourceAt)) {
      this.#ports.unbound(frame.packet);
      return this.#drop(frame, "home address option without binding");
    }
    this.#ports.used(binding.slot);
    this.#ports.count("translatedIn", frame.length);
    frame.stripExtension(sourceAt);
    this.#ports.toStack(frame);
  }

  #tunnelled(frame: Frame): void {
    const { bytes, at } = frame;
    const inner = at + ipLength;
    if (frame.length < 2 * ipLength || ((bytes[inner] as number) >> 4) !== 6 || !this.#isLocal(frame)) return this.#ports.toStack(frame);
    const innerSource = keyAt(bytes, inner + sourceAt);
    const innerDestination = keyAt(bytes, inner + destinationAt);
    const outerSource = frame.key(sourceAt);
    const outerDestination = frame.key(destinationAt);

    const to = this.#tables.homes.get(innerDestination);
    if (to) return to.careOfKey === outerDestination ? this.#tunnelledToHome(frame, to, outerSource) : this.#drop(frame, "tunnel from a stranger");

    const from = this.#tables.homes.get(innerSource);
    if (from) {
      if (from.careOfKey !== outerDestination || !this.#tables.members.get(from.key, outerSource)) return this.#drop(frame, "reverse tunnel from a stranger");
      if (!from.contact) return this.#drop(frame, "reverse tunnel to a member that is not the contact");
      return this.#retunnel(frame, from.careOf, from.homeAgent);
    }

    const registered = this.#tables.tunnels.get(innerSource);
    if (!registered) return this.#tables.tunnels.has(innerDestination) ? this.#drop(frame, "tunnel from a stranger") : this.#ports.toStack(frame);
    if (registered.key !== outerSource) return this.#drop(frame, "reverse tunnel not from the registered care-of address");
    this.#ports.count("tunnelledIn", frame.length);
    const away = this.#tables.tunnels.get(innerDestination);
    if (away) return this.#retunnel(frame, this.#ports.self, away.bytes);
    frame.decapsulate();
    if (this.#tables.locals.has(innerDestination)) return this.#ports.toStack(frame);
    if (!frame.hop()) return this.#drop(frame, "hop limit exceeded");
    this.#ports.toWire(frame);
  }

  /** A tunnel from the home agent or from another member with a packet for our home address in it. */
  #tunnelledToHome(frame: Frame, home: Home, outerSource: string): void {
    const fromMember = this.#tables.members.get(home.key, outerSource) ?? false;
    if (!fromMember && outerSource !== home.homeAgentKey) return this.#drop(frame, "tunnel from a stranger");
    if (carriesSignalling(frame)) return this.#drop(frame, "signalling");
    const client = this.#tables.clients.get(home.key, keyAt(frame.bytes, clientOffset(frame.bytes, frame.at + ipLength)));
    const bounced = client?.member?.key === outerSource;
    if (client?.member && !bounced) return this.#retunnel(frame, home.careOf, client.member.bytes);
    this.#ports.count("tunnelledIn", frame.length);
    frame.decapsulate();
    if (bounced) this.#delay(frame, home);
    else this.#arrived(frame, home, fromMember);
  }

  #delay(frame: Frame, home: Home): void {
    if (this.#bounced.length >= bounce.packets) return this.#drop(frame, "held packets over the limit");
    this.#bounced.push({ frame: frame.copy(), home, until: this.#ports.now() + bounce.ms });
  }

  /** A packet for our home address without whatever brought it here. */
  #arrived(frame: Frame, home: Home, fromMember: boolean): void {
    const key = keyAt(frame.bytes, clientOffset(frame.bytes, frame.at));
    const client = this.#tables.clients.get(home.key, key);
    const state = client?.state ?? "unknown";
    if (state !== "held" && (state !== "unknown" || !fromMember)) return this.#toClientState(frame, client);
    const dropped = this.#held.keep(home.key + key, frame.copy(), state === "held", this.#ports.now());
    if (dropped > 0) this.#ports.count("held packets over the limit", 0, dropped);
  }

  /** Delivered, or sent on to the member that serves the client now. */
  #toClientState(frame: Frame, client: Client | undefined): void {
    if (client?.state !== "relayed" || !client.member) return this.#ports.toStack(frame);
    const home = this.#tables.homes.get(frame.key(destinationAt));
    if (!home) return this.#ports.toStack(frame);
    if (!this.#fits(frame)) return this.#tooBig(frame);
    if (!frame.hop()) return this.#drop(frame, "hop limit exceeded");
    this.#ports.count("relayed", frame.length);
    this.#toTunnel(frame, home.careOf, client.member.bytes);
  }

  /** Takes a packet out of one tunnel and puts it into another. */
  #retunnel(frame: Frame, source: Uint8Array, destination: Uint8Array): void {
    frame.decapsulate();
    if (!frame.hop()) return this.#drop(frame, "hop limit exceeded");
    this.#ports.count("relayed", frame.length);
    this.#toTunnel(frame, source, destination);
  }

  #isLocal(frame: Frame): boolean {
    return this.#tables.locals.has(frame.key(destinationAt));
  }

  #fits(frame: Frame): boolean {
    return frame.largestPacket() + ipLength <= this.#ports.mtu;
  }

  #isAboutTranslated(frame: Frame): boolean {
    const { bytes, at } = frame;
    const type = bytes[at + ipLength] as number;
    if (frame.length < 2 * ipLength + 8 || type < 1 || type > 4 || !this.#isLocal(frame)) return false;
    const quoted = bytes[at + ipLength + 8 + 6] as number;
    return quoted === TUNNEL || quoted === ROUTING || quoted === DESTINATION_OPTIONS;
  }

  #toTunnel(frame: Frame, source: Uint8Array, destination: Uint8Array): void {
    const narrow = this.#narrow.size > 0 && this.#narrow.has(Buffer.from(destination).toString("latin1"), this.#ports.now());
    this.#ports.toTunnel(frame, source, destination, hopLimit, narrow);
  }

  #hopsExceeded(frame: Frame): void {
    if (this.#ports.mayTell()) this.#sendError(hopLimitExceeded(frame.packet, this.#ports.selfText));
    this.#drop(frame, "hop limit exceeded");
  }

  #tooBig(frame: Frame): void {
    if (this.#ports.mayTell()) this.#sendError(tooBigForTunnel(frame.packet, this.#ports.selfText, this.#ports.mtu));
    this.#drop(frame, "too big for the tunnel");
  }

  /** An error that quotes something like what we send: to the socket or host whose packet it is about; to the stack as it is when that is none of ours. */
  #relayError(frame: Frame): void {
    if (!this.#ports.mayTell()) return this.#drop(frame, "ICMPv6 errors about translated packets, too many");
    const error = translateError(frame.packet);
    if (error?.message.kind === "packetTooBig" && this.#isOurTunnel(error)) this.#narrow.learn(addressKey(error.added.towards), error.message.mtu, this.#ports.now());
    if (error && this.#isHere(error.source)) this.#toSocket(forSocket(error), error.source);
    else if (error && this.#isOurTunnel(error)) this.#sendError({ destination: error.source, packet: forSender(error) });
    else this.#ports.toStack(frame);
  }

  #isHere(address: Address): boolean {
    const key = addressKey(address);
    return this.#tables.locals.has(key) || this.#tables.homes.has(key);
  }

  /** Whether we do send that host's packets through that tunnel: else anybody could have us send errors to anybody. */
  #isOurTunnel({ source, destination, added }: TranslatedError): boolean {
    if (added.kind !== "tunnel") return false;
    const towards = addressBytes(added.towards);
    const here = this.#tables.homes.get(addressKey(source));
    if (here) return Buffer.compare(here.via, towards) === 0;
    const registered = this.#tables.tunnels.get(addressKey(destination));
    if (registered) return registered.key === addressKey(added.towards);
    const member = this.#tables.clients.get(addressKey(destination), addressKey(source))?.member;
    return member?.key === addressKey(added.towards);
  }

  #sendError(error: { readonly destination: Address; readonly packet: Uint8Array } | undefined): void {
    if (!error) return;
    if (this.#isHere(error.destination)) return this.#toSocket(error.packet, error.destination);
    const frame = Frame.of(error.packet);
    const { bucket, taken } = takeToken(this.#errors, this.#ports.now());
    this.#errors = bucket;
    if (taken) this.#ports.toWire(frame);
    else this.#drop(frame, "ICMPv6 errors to other hosts, too many");
  }

  /** To a socket of ours, or of the member that serves the client whom the error is about. */
  #toSocket(error: Uint8Array, destination: Address): void {
    const frame = Frame.of(error);
    const home = this.#tables.homes.get(addressKey(destination));
    if (home) this.#arrived(frame, home, false);
    else this.#ports.toStack(frame);
  }

  #drop(frame: Frame, why: CounterName): void {
    this.#ports.count(why, frame.length);
  }
}

function carriesSignalling(frame: Frame): boolean {
  const inner = frame.at + ipLength;
  const next = frame.bytes[inner + 6] as number;
  if (next === MOBILITY) return true;
  return (next === ROUTING || next === DESTINATION_OPTIONS) && frame.bytes[inner + ipLength] === MOBILITY;
}
