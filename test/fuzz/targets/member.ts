import { parseAddress, type Address } from "../../../src-shared/net/address.ts";
import type { GroupEffect, GroupView } from "../../../src-shared/protocol/core/group/effects.ts";
import { Group } from "../../../src-shared/protocol/core/group/group.ts";
import type { GroupInput } from "../../../src-shared/protocol/core/group/groupInput.ts";
import type { MemberMessage } from "../../../src-shared/protocol/core/group/memberMessage.ts";
import { bindingManagementKey, signBindingAcknowledgement } from "../../../src-shared/protocol/wire/authenticator.ts";
import type { MobilityMessage, MobilityPacket } from "../../../src-shared/protocol/wire/message.ts";
import { encodeMobilityHeader } from "../../../src-shared/protocol/wire/mobilityHeader.ts";
import { decodePacket, encodePacket } from "../../../src-shared/protocol/wire/packet.ts";
import { seededRandom } from "../../../src-shared/stats/random.ts";
import { Feed } from "../feed.ts";
import { must, type Target } from "../target.ts";

const home = parseAddress("2001:db8:f::1");
const homeAgent = parseAddress("2001:db8:f::ff");
const members = new Map(["k", "a", "b"].map((name, i) => [name, parseAddress(`2001:db8:${i + 1}::1`)]));
const names = [...members.keys(), "stranger"] as const;
const clients = ["2001:db8:c1::1", "2001:db8:c2::1", "2001:db8:c3::1"].map(parseAddress);
const handoffs = ["h1", "h2", "h3"] as const;
const token = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const grant = { token, nonceIndex: 5, ageMs: 0 };
const modes = ["full", "prepared"] as const;
const inputs = 40;
/** Clients, handoffs and rebinds are few here, so nothing that is done at once can be much. */
const mostEffects = 200;

/** One member, to whom anybody says anything in any order: other members, clients, the network, the services and people. */
class World {
  now = 1_000;
  readonly #feed: Feed;
  readonly #group: Group;
  readonly #self: string;
  /** What this member has sent last to each client: cookies and numbers that answers need. */
  readonly #cookies = new Map<string, Uint8Array>();
  readonly #numbers = new Map<Address, number>();
  readonly #asked = new Set<string>();
  #requests = 0;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#self = feed.flag() ? "a" : "k";
    const view: GroupView = { id: "g", home, homeAgent, self: this.#self, contact: "k", members, lifetimeSeconds: 420 };
    this.#group = new Group(view, seededRandom("member").bytes, { autoOptimise: feed.flag(), clients: 2 });
  }

  step(): void {
    const feed = this.#feed;
    const [client, handoff] = [feed.pick(clients), feed.pick(handoffs)];
    switch (feed.below(10)) {
      case 0:
      case 1:
      case 2:
        return this.#input({ kind: "member", from: feed.pick(names), message: this.#message(client, handoff), at: this.now });
      case 3:
      case 4:
        return this.#packet(client);
      case 5:
        return this.#input(this.#call(client, handoff));
      case 6:
      case 7:
        return this.#input(
          feed.pick<GroupInput>([
            { kind: "collected", handoff, client, bundle: Uint8Array.of(1), connections: 1, frozenAt: this.now, drainMs: 0 },
            { kind: "restored", handoff },
            { kind: "notCollected", handoff, reason: "r" },
            { kind: "reinstated", handoff },
            { kind: "notRestored", handoff, reason: "r" },
          ]),
        );
      default:
        return this.#pass(feed.time());
    }
  }

  /** In the end everybody who asked is answered, and nothing is left that only time could end. */
  finish(): void {
    for (let i = 0; i < 8; i++) this.#pass(20_000);
    must(this.#asked.size === 0, `never answered: ${[...this.#asked].join(", ")}`);
    const { donations, acceptances, known } = this.#group.inspect(this.now) as { donations: unknown[]; acceptances: unknown[]; known: { busy: number } };
    must(donations.length === 0 && acceptances.length === 0, "a handoff that never ends");
    must(known.busy <= 2, "busy for ever");
  }

  #message(client: Address, handoff: string): MemberMessage {
    const feed = this.#feed;
    const lease = { next: feed.byte(), last: feed.byte() };
    const given = feed.flag() ? grant : null;
    return feed.pick<MemberMessage>([
      { kind: "take", handoff, client, acceptor: feed.pick(names), mode: feed.pick(modes), drain: feed.flag(), lease, grant: given },
      { kind: "expect", handoff, client, donor: feed.pick(names) },
      { kind: "offer", handoff, client, mode: feed.pick(modes), lease, grant: given, early: feed.flag() },
      { kind: "frozen", handoff, client },
      { kind: "state", handoff, client, connections: 1, drainMs: 0, bundle: Uint8Array.of(1) },
      { kind: "withdrawn", handoff, client },
      { kind: "accepted", handoff, client, sequence: feed.flag() ? 1 : null, lifetimeSeconds: feed.pick([420, 0, 1e9]), connections: 1, drainMs: 0, bytes: 1 },
      { kind: "refused", handoff, client, step: "s", reason: "r", lastSequence: feed.flag() ? feed.u16() : null },
      { kind: "rebind", client, lease, grant },
      { kind: "rebound", client, sequence: 1, lifetimeSeconds: feed.pick([420, 0, 4, 1e9]) },
      { kind: "rebindFailed", client, reason: "r", lastSequence: feed.flag() ? feed.u16() : null },
      { kind: "activity", client, active: feed.flag() },
    ]);
  }

  #call(client: Address, handoff: string): GroupInput {
    const feed = this.#feed;
    const request = `r${this.#requests++}`;
    const wish = { handoff: `${handoff}-${request}`, acceptor: feed.pick(names), mode: feed.pick(modes), drain: feed.flag(), decidedAt: this.now };
    const call = feed.pick<GroupInput>([
      { kind: "activity", client, active: true },
      { kind: "handOver", client, wish },
      { kind: "prepare", client, request },
      { kind: "optimise", client, request },
      { kind: "discardTokens", client },
      { kind: "notCapable", client, cookie: feed.flag() ? null : (this.#cookies.get(`homeTestInit ${client}`) ?? null) },
      { kind: "bindingLost", client, why: feed.pick(["unbound", "homeAddressOption", "noData"] as const) },
      { kind: "activity", client, active: false },
    ]);
    if (call.kind === "handOver") this.#asked.add(wish.handoff);
    if (call.kind === "prepare" || call.kind === "optimise") this.#asked.add(request);
    return call;
  }

  #packet(client: Address): void {
    const feed = this.#feed;
    const own = members.get(this.#self) as Address;
    const cookieOf = (kind: string): Uint8Array => (feed.below(8) === 7 ? new Uint8Array(8) : (this.#cookies.get(`${kind} ${client}`) ?? new Uint8Array(8)));
    const sequence = ((this.#numbers.get(client) ?? 0) + feed.pick([0, 1, 0xffff, 0x8000])) & 0xffff;
    const message = feed.pick<MobilityMessage>([
      { kind: "homeTest", nonceIndex: 5, cookie: cookieOf("homeTestInit"), token, options: [] },
      { kind: "careOfTest", nonceIndex: 5, cookie: cookieOf("careOfTestInit"), token, options: [] },
      { kind: "bindingAcknowledgement", status: feed.pick([0, 135, 136, 138, 128, 130]), keyManagement: false, sequence, lifetimeUnits: feed.pick([105, 0, 1, 0xffff]), options: [] },
      { kind: "bindingRefreshRequest", options: [] },
      { kind: "bindingError", status: 1, homeAddress: home, options: [] },
    ]);
    const through = message.kind === "homeTest" && feed.below(8) !== 7;
    const packet: MobilityPacket = {
      source: client,
      destination: message.kind === "homeTest" ? home : own,
      ...(through ? { tunnel: { source: homeAgent, destination: own } } : {}),
      ...(message.kind === "bindingAcknowledgement" ? { routingHomeAddress: home } : {}),
      message,
    };
    const signed = message.kind === "bindingAcknowledgement" && feed.below(8) !== 7 ? signBindingAcknowledgement(packet, own, bindingManagementKey(token, token)) : packet;
    this.#input({ kind: "packet", packet: signed, mobilityHeader: encodeMobilityHeader(signed.message), at: this.now });
  }

  #pass(ms: number): void {
    const until = this.now + ms;
    for (let woken = 0; ; woken++) {
      const next = this.#group.nextWake();
      if (next === null || next > until) break;
      must(woken < 1_000, "wants to be woken without end");
      this.now = Math.max(this.now, next);
      this.#input({ kind: "wake" });
    }
    this.now = until;
  }

  #input(input: GroupInput): void {
    const effects = this.#group.input(input, this.now);
    must(effects.length <= mostEffects, `${effects.length} effects of one input`);
    if (input.kind === "packet") must(effects.length > 0, "ignored without a reason");
    for (const effect of effects) this.#effect(effect);
  }

  #effect(effect: GroupEffect): void {
    switch (effect.do) {
      case "send":
        return this.#onSent(effect.packet);
      case "tellMember":
        return must(effect.member !== this.#self && members.has(effect.member), `a message to "${effect.member}"`);
      case "relay":
        return must(effect.member !== undefined && effect.member !== members.get(this.#self), `relayed to ${String(effect.member)}`);
      case "collect":
        return must(effect.relayTo !== undefined, "collected for nobody");
      case "answer":
        return must(this.#asked.delete(effect.request), `an answer that nobody waits for: ${effect.request}`);
    }
  }

  #onSent(packet: MobilityPacket): void {
    must(decodePacket(encodePacket(packet)).ok, "sent what cannot be decoded");
    const { message, destination } = packet;
    if (message.kind === "homeTestInit" || message.kind === "careOfTestInit") this.#cookies.set(`${message.kind} ${destination}`, message.cookie);
    if (message.kind === "bindingUpdate") this.#numbers.set(destination, message.sequence);
  }
}

export const member: Target = {
  name: "member",
  weight: 0.08,
  longest: 600,
  seeds: () => [
    // A handoff at the contact; an offer at the acceptor.
    Uint8Array.from([0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 1, 0, 0, 3, 0, 1, 0, 0, 1, 0, 0, 6, 0]),
    Uint8Array.from([1, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0, 0, 2, 0, 0, 3, 0, 1, 0, 0, 1]),
  ],
  run: (input) => {
    const feed = new Feed(input);
    const world = new World(feed);
    for (let i = 0; i < inputs && feed.more; i++) world.step();
    world.finish();
  },
};
