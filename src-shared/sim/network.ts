import type { Address } from "../net/address.ts";
import type { Effect, Millis, Random } from "../protocol/core/step.ts";
import { describe } from "../protocol/wire/describe.ts";
import type { MobilityPacket } from "../protocol/wire/message.ts";
import { decodePacket, encodePacket } from "../protocol/wire/packet.ts";
import { seededRandom, type SeededRandom } from "../stats/random.ts";
import { VirtualClock } from "./clock.ts";
import { isData, nextDestination, type DataPacket } from "./packet.ts";
import { Path, type PathConditions } from "./path.ts";
import { noteStop, VirtualPlane, type Verdict } from "./plane.ts";

/** What reaches a node's role. Times are the node's own clock. */
export type NodeInput =
  /** A message with a Mobility Header to this node; `mobilityHeader` as received. */
  | { readonly kind: "packet"; readonly packet: MobilityPacket; readonly mobilityHeader: Uint8Array; readonly at: Millis }
  /** A message from another member, over an ordered and reliable connection. */
  | { readonly kind: "member"; readonly from: string; readonly message: unknown; readonly at: Millis }
  /** A user packet for the upper layers. */
  | { readonly kind: "data"; readonly packet: DataPacket; readonly at: Millis }
  | { readonly kind: "unboundHomeAddress"; readonly source: Address; readonly destination: Address; readonly homeAddress: Address }
  | { readonly kind: "wake" };

/** What a role wants done. Effects with any other `do` are only recorded. */
export type NodeEffect =
  | Effect
  | { readonly do: "tellMember"; readonly member: string; readonly message: unknown }
  | { readonly do: "sendData"; readonly source: Address; readonly destination: Address; readonly data: unknown }
  | { readonly do: string };

/** What runs on a node: an input at a time of its own clock, and what is to be done about it, in order. */
export interface Role {
  input(input: NodeInput, now: Millis): readonly NodeEffect[];
  /** When it wants a `wake` next, on its own clock. Asked after every input. */
  nextWake(): Millis | null;
}

/** Everything that happened, in order, for assertions and for reading when they fail. `at` is virtual time. */
export type Happening =
  | { readonly at: Millis; readonly node: string; readonly what: "sent" | "received" | "lost"; readonly packet: MobilityPacket }
  | { readonly at: Millis; readonly node: string; readonly what: "drop"; readonly reason: string }
  | { readonly at: Millis; readonly node: string; readonly what: "event"; readonly event: { readonly type: string } & Readonly<Record<string, unknown>> }
  | { readonly at: Millis; readonly node: string; readonly what: "effect"; readonly effect: NodeEffect };

export interface NodeOptions {
  readonly address: Address;
  /** Whatever is sent to these goes to this node too: a home agent's home addresses. */
  readonly attracts?: readonly Address[];
  /** The node's clock is this far ahead of virtual time, in ms: nothing may lean on one clock. Default: drawn from the seed. */
  readonly clockAheadMs?: number;
}

/** A node of the virtual network. */
export interface VirtualNode {
  readonly name: string;
  readonly address: Address;
  readonly plane: VirtualPlane;
  /** Random bytes for its machines. */
  readonly random: Random;
  /** Its clock, now. */
  now(): Millis;
  /** Runs these effects as if its role had asked for them: the start of things. */
  perform(effects: readonly NodeEffect[]): void;
  /** Gives it an input from outside the network. */
  input(input: NodeInput): void;
  setRole(role: Role): void;
}

/** Nodes and the paths between them, in virtual time. The same seed gives the same run. */
export class VirtualNetwork {
  readonly clock = new VirtualClock();
  readonly happenings: Happening[] = [];
  readonly #random: SeededRandom;
  readonly #nodes = new Map<string, Node>();
  readonly #owners = new Map<Address, Node>();
  readonly #paths = new Map<string, Path>();

  constructor(seed: string | number) {
    this.#random = seededRandom(seed);
  }

  /** Adds a node without a role: give it one with `setRole`. Throws RangeError when its name or one of its addresses is taken. */
  node(name: string, options: NodeOptions): VirtualNode {
    if (this.#nodes.has(name)) throw new RangeError(`there is a node "${name}" already`);
    const random = this.#random.fork(`node ${name}`);
    const node = new Node(name, options.address, options.clockAheadMs ?? random.below(1_000_000_000), random.bytes, this);
    this.#nodes.set(name, node);
    for (const address of [options.address, ...(options.attracts ?? [])]) {
      if (this.#owners.has(address)) throw new RangeError(`${address} belongs to node "${this.#owners.get(address)?.name}" already`);
      this.#owners.set(address, node);
    }
    return node;
  }

  /** Sets (or changes, from now on) the conditions from one node to another. */
  path(from: string, to: string, conditions: PathConditions): void {
    const key = `${from} ${to}`;
    const path = this.#paths.get(key);
    if (path) path.conditions = conditions;
    else this.#paths.set(key, new Path(conditions, this.#random.fork(`path ${key}`)));
  }

  /** Both directions alike. */
  link(a: string, b: string, conditions: PathConditions): void {
    this.path(a, b, conditions);
    this.path(b, a, conditions);
  }

  /** Runs until `done`, or throws with the story so far. */
  runUntil(done: () => boolean, limitMs: Millis): void {
    try {
      this.clock.runUntilDone(done, this.clock.now + limitMs);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.story()}`, { cause: error });
    }
  }

  /** A node's upper layers send a user packet now. */
  say(node: string, packet: { readonly source: Address; readonly destination: Address; readonly data: unknown }): void {
    const from = this.#nodes.get(node);
    if (!from) throw new RangeError(`there is no node "${node}"`);
    from.perform([{ do: "sendData", ...packet }]);
  }

  runFor(ms: Millis): void {
    this.clock.runUntil(this.clock.now + ms);
  }

  /** One line per happening. */
  story(): string {
    return this.happenings
      .map((h) => {
        const detail = h.what === "event" ? JSON.stringify(h.event) : h.what === "drop" ? h.reason : h.what === "effect" ? h.effect.do : describe(h.packet);
        return `${h.at.toFixed(3).padStart(12)} ${h.node.padEnd(4)} ${h.what} ${detail}`;
      })
      .join("\n");
  }

  /** For nodes: sends a message or a user packet. */
  transmit(from: Node, packet: MobilityPacket | DataPacket): void {
    const to = this.#owners.get(nextDestination(packet));
    if (!to) return this.note({ at: this.clock.now, node: from.name, what: "drop", reason: `no route to ${nextDestination(packet)}` });
    if (isData(packet)) {
      const isMobile = packet.homeAddress !== undefined || packet.routingHomeAddress !== undefined;
      if (isMobile && this.#pathOf(from.name, to.name).conditions.dropsMobileData) return this.note({ at: this.clock.now, node: from.name, what: "drop", reason: "a middlebox on the path drops Mobile IPv6 data" });
      for (const at of this.#pathOf(from.name, to.name).packetArrivals(this.clock.now)) this.clock.schedule(at, () => to.receiveData({ ...packet, trail: [...packet.trail] }));
      return;
    }
    const bytes = encodePacket(packet);
    this.note({ at: this.clock.now, node: from.name, what: "sent", packet });
    const arrivals = this.#pathOf(from.name, to.name).packetArrivals(this.clock.now);
    if (arrivals.length === 0) this.note({ at: this.clock.now, node: from.name, what: "lost", packet });
    for (const at of arrivals) this.clock.schedule(at, () => to.receiveBytes(bytes));
  }

  /** For nodes: sends a message to another member. What arrives is a copy. */
  tell(from: Node, member: string, message: unknown): void {
    const to = this.#nodes.get(member);
    if (!to) throw new RangeError(`there is no node "${member}"`);
    const copy: unknown = structuredClone(message);
    this.clock.schedule(this.#pathOf(from.name, member).messageArrival(this.clock.now), () => to.input({ kind: "member", from: from.name, message: copy, at: to.now() }));
  }

  note(happening: Happening): void {
    this.happenings.push(happening);
  }

  #pathOf(from: string, to: string): Path {
    if (from === to) this.path(from, to, { latencyMs: 0 });
    const path = this.#paths.get(`${from} ${to}`);
    if (!path) throw new RangeError(`no path from "${from}" to "${to}": call path() or link()`);
    return path;
  }
}

const noRole: Role = { input: () => [{ do: "drop", reason: "no role" }], nextWake: () => null };

class Node implements VirtualNode {
  readonly name: string;
  readonly address: Address;
  readonly plane: VirtualPlane;
  readonly random: Random;
  readonly #ahead: number;
  readonly #network: VirtualNetwork;
  #role: Role = noRole;
  #cancelWake: () => void = () => {};

  constructor(name: string, address: Address, ahead: number, random: Random, network: VirtualNetwork) {
    this.name = name;
    this.address = address;
    this.random = random;
    this.#ahead = ahead;
    this.#network = network;
    this.plane = new VirtualPlane(address, {
      deliver: (packet) => this.#deliver(packet),
      forward: (packet) => this.#carryOut(packet, { verdict: "forward", packet }, "forwarded"),
      after: (ms, then) => network.clock.schedule(network.clock.now + ms, then),
    });
  }

  now(): Millis {
    return this.#network.clock.now + this.#ahead;
  }

  setRole(role: Role): void {
    this.#role = role;
    this.#sleep();
  }

  input(input: NodeInput): void {
    this.perform(this.#role.input(input, this.now()));
  }

  perform(effects: readonly NodeEffect[]): void {
    for (const effect of effects) this.#performOne(effect as Effect | Exclude<NodeEffect, Effect>);
    this.#sleep();
  }

  receiveBytes(bytes: Uint8Array): void {
    const decoded = decodePacket(bytes);
    if (!decoded.ok) return this.#note({ what: "drop", reason: `${decoded.reason}: ${decoded.field}` });
    const { packet, mobilityHeader } = decoded;
    const verdict = this.plane.signalling(packet);
    if (verdict.verdict === "forward") return this.#network.transmit(this, verdict.packet);
    if (verdict.verdict !== "deliver") return this.#note({ what: "drop", reason: verdict.verdict === "drop" ? verdict.reason : verdict.verdict });
    this.#note({ what: "received", packet });
    this.input({ kind: "packet", packet, mobilityHeader, at: this.now() });
  }

  receiveData(packet: DataPacket): void {
    this.#carryOut(packet, this.plane.incoming(packet), "forwarded");
  }

  #performOne(effect: NodeEffect): void {
    const known = effect as Effect | Extract<NodeEffect, { do: "tellMember" | "sendData" }>;
    switch (known.do) {
      case "send":
        return this.#network.transmit(this, known.packet);
      case "tellMember":
        return this.#network.tell(this, known.member, known.message);
      case "sendData": {
        const packet: DataPacket = { source: known.source, destination: known.destination, data: known.data, trail: [] };
        return this.#carryOut(packet, this.plane.outgoing(packet), "sent");
      }
      case "drop":
        return this.#note({ what: "drop", reason: known.reason });
      case "tell":
        return this.#note({ what: "event", event: known.event });
      case "bind":
      case "tunnel":
        this.plane[known.do](known.home, known.careOf);
        break;
      case "unbind":
      case "untunnel":
        this.plane[known.do](known.home);
        break;
    }
    this.#note({ what: "effect", effect });
  }

  #carryOut(arrived: DataPacket, verdict: Verdict<DataPacket>, forwarded: string): void {
    const note = (packet: DataPacket, what: string) => noteStop(packet, this.name, this.#network.clock.now, what);
    switch (verdict.verdict) {
      case "forward":
        note(verdict.packet, forwarded);
        return this.#network.transmit(this, verdict.packet);
      case "deliver":
        return this.#deliver(verdict.packet);
      case "held":
        return note(arrived, "held");
      case "unbound":
        this.#note({ what: "drop", reason: "Home Address option without a binding" });
        return this.input({ kind: "unboundHomeAddress", source: arrived.source, destination: arrived.destination, homeAddress: verdict.homeAddress });
      case "drop":
        return this.#note({ what: "drop", reason: verdict.reason });
    }
  }

  #deliver(packet: DataPacket): void {
    noteStop(packet, this.name, this.#network.clock.now, "delivered");
    this.input({ kind: "data", packet, at: this.now() });
  }

  #sleep(): void {
    this.#cancelWake();
    const wake = this.#role.nextWake();
    if (wake === null) return;
    // Taking the clock's lead off and adding it again may lose a bit of the last digit: a wake never comes before its time.
    this.#cancelWake = this.#network.clock.schedule(wake - this.#ahead, () => this.perform(this.#role.input({ kind: "wake" }, Math.max(wake, this.now()))));
  }

  #note(happening: DistributiveOmit<Happening, "at" | "node">): void {
    this.#network.note({ at: this.#network.clock.now, node: this.name, ...happening });
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
