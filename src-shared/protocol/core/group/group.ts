import type { Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import type { Millis, Random } from "../step.ts";
import { acceptorTimer, acceptorWake, onAcceptorNotCapable, onAcceptorPacket, onFrozen, onNotRestored, onOffer, onRestored, onState, onWithdrawn, type Acceptance } from "./acceptor.ts";
import { ClientStore } from "./clientStore.ts";
import * as contact from "./contact.ts";
import { forgettable, isAway, newContactClient, type ContactClient } from "./contactClient.ts";
import { onHomeTest, onNotCapable as onClientNotCapable } from "./contactHomeTest.ts";
import { collected, donorTimer, donorWake, notCollected, onVerdict, reinstated, startDonation, type Donation } from "./donor.ts";
import { EarlyOffers } from "./earlyOffers.ts";
import type { GroupEffect, GroupStep, GroupView, HandoffName } from "./effects.ts";
import type { GroupInput } from "./groupInput.ts";
import type { MemberMessage } from "./memberMessage.ts";
import { ServedBindings } from "./servedBindings.ts";
import { timeLimits } from "./timeLimits.ts";
import { Wakes } from "./wakes.ts";

/** How long an offer waits for the contact's word that its donor may make it. */
const unexpectedOfferMs = 2_000;
/** Entries woken by one `wake`; the others follow in the next, which is due at once, so that a million timers do not keep everything else waiting. */
const wokenAtOnce = 256;
/** Handoffs in each direction, and refreshes, under way at a time; beyond that they are refused. */
export const openHandoffs = 1024;
/** Clients that `inspect` lists. */
const inspected = 10_000;

export interface GroupOptions {
  /** Bind new clients without being asked. */
  readonly autoOptimise: boolean;
  /** Clients that the contact knows, and that are bound to a member, at most. Default 1,048,576. */
  readonly clients?: number;
}

/**
 * One member's part in a group: tables of per-client entries, and which entry an input is for. Every transition of an entry is a pure function in
 * contact.ts, donor.ts, acceptor.ts, binding.ts; this class only looks entries up, stores what comes back and remembers when to wake.
 */
export class Group {
  readonly view: GroupView;
  readonly #random: Random;
  readonly #autoOptimise: boolean;
  readonly #wakes = new Wakes();
  readonly #clients: ClientStore;
  readonly #donations = new Map<string, Donation>();
  readonly #acceptances = new Map<string, Acceptance>();
  readonly #bindings: ServedBindings;
  /** Which donor the contact has announced for a handoff, and offers that came before that word. */
  readonly #expected = new Map<string, { readonly client: Address; readonly donor: string }>();
  readonly #early = new EarlyOffers();

  constructor(view: GroupView, random: Random, options: GroupOptions) {
    this.view = view;
    this.#random = random;
    this.#autoOptimise = options.autoOptimise;
    const limit = options.clients ?? 1 << 20;
    const seed = new DataView(random(4).slice().buffer).getInt32(0);
    this.#clients = new ClientStore(limit, seed);
    this.#bindings = new ServedBindings(view, this.#wakes, limit, seed);
  }

  /** The next time at which `wake` must be given, or null. */
  nextWake(): Millis | null {
    const next = Math.min(this.#wakes.next() ?? Infinity, this.#clients.nextWake() ?? Infinity, this.#bindings.nextEnd() ?? Infinity);
    return next === Infinity ? null : next;
  }

  /** Bytes of memory that the packed tables of clients take. */
  get clientBytes(): number {
    return this.#clients.bytes + this.#bindings.bytes;
  }

  awaitsCareOfTest(client: Address): boolean {
    if (this.#bindings.awaitsCareOfTest(client)) return true;
    return [...this.#acceptances.values()].some((a) => a.client === client && a.phase === "binding" && a.binding?.phase === "careOfTest");
  }

  get isContact(): boolean {
    return this.view.self === this.view.contact;
  }

  /** One input, and what is to be done about it, in order. */
  input(input: GroupInput, now: Millis): GroupEffect[] {
    const out: GroupEffect[] = [];
    const pending: GroupInput[] = [input];
    for (let next = pending.shift(); next; next = pending.shift()) {
      for (const effect of this.#route(next, now)) {
        // What a member says to itself needs no network.
        if (effect.do === "tellMember" && effect.member === this.view.self) {
          if (effect.mark) out.push(effect.mark);
          pending.push({ kind: "member", from: this.view.self, message: effect.message, at: now });
        } else {
          out.push(effect);
        }
      }
    }
    return out;
  }

  /** How many clients the contact knows, and how many are bound to this member. */
  get counts(): { readonly clients: number; readonly bound: number } {
    return { clients: this.#clients.size, bound: this.#bindings.size };
  }

  /** For people: every table (of clients the first 10,000), tokens' values left out. */
  inspect(now: Millis): Record<string, unknown> {
    const clients = firstOf(this.#clients.entries(), inspected).map((c) => ({
      client: c.client,
      server: c.server,
      capability: c.capability,
      active: c.active,
      nextSequence: c.nextSequence,
      homeTokenAgeMs: c.grant ? now - c.grant.receivedAt : null,
      boundForMs: c.boundUntil === null ? null : c.boundUntil - now,
      retryInMs: c.retryAt === null ? null : c.retryAt - now,
      work: c.work.phase,
    }));
    const bound = firstOf(this.#bindings.entries(), inspected).map(([client, until]) => ({ client, forMs: until - now }));
    const donations = [...this.#donations.values()].map(({ handoff, client, acceptor, phase }) => ({ handoff, client, acceptor, phase }));
    const acceptances = [...this.#acceptances.values()].map(({ handoff, client, donor, phase }) => ({ handoff, client, donor, phase }));
    const known = { clients: this.#clients.size, busy: this.#clients.busy, bound: this.#bindings.size, watched: this.#bindings.watched, timers: this.#wakes.size, clientBytes: this.clientBytes };
    return { contact: this.view.contact, self: this.view.self, known, clients, bound, donations, acceptances };
  }

  #route(input: GroupInput, now: Millis): readonly GroupEffect[] {
    switch (input.kind) {
      case "packet":
        return this.#packet(input, now);
      case "member":
        return this.#member(input.from, input.message, input.at, now);
      case "notCapable":
        return this.#notCapable(input.client, input.cookie, now);
      case "bindingLost":
        return this.#bindings.lost(input.client, input.why);
      case "activity":
        return this.#activity(input.client, input.active, this.view.self, now);
      case "handOver":
        return this.#asked(input.client, input.wish.handoff, (state) => contact.handOver(state, input.wish, this.view, now, this.#random));
      case "prepare":
        return this.#asked(input.client, input.request, (state) => contact.prepare(state, input.request, this.view, now, this.#random));
      case "optimise":
        return this.#asked(input.client, input.request, (state) => contact.rebind(state, input.request, this.view, now, this.#random));
      case "discardTokens":
        return this.#onClient(input.client, (state) => contact.discardGrant(state));
      case "collected":
        // Too late: whatever became of the handoff, the client's connections stand still here and must go on.
        if (this.#donations.get(input.handoff)?.phase !== "collecting") return [{ do: "drop", reason: "connections collected for a handoff that is over" }, { do: "reinstate", handoff: input.handoff, client: input.client }];
        return this.#onDonation(input.handoff, (state) => collected(state, input, this.view, now));
      case "notCollected":
        return this.#onDonation(input.handoff, (state) => notCollected(state, input.reason, this.view));
      case "reinstated":
        return this.#onDonation(input.handoff, (state) => reinstated(state, this.view));
      case "restored":
        return this.#onAcceptance(input.handoff, now, (state) => onRestored(state, this.view));
      case "notRestored":
        return this.#onAcceptance(input.handoff, now, (state) => onNotRestored(state, input.reason));
      case "transport":
        return this.#bindings.onTransport(input.client, input.transport, now);
      case "wake":
        return this.#wake(now);
    }
  }

  #packet(input: Extract<GroupInput, { kind: "packet" }>, now: Millis): readonly GroupEffect[] {
    const { packet, mobilityHeader, at } = input;
    const client = packet.source;
    if (packet.message.kind === "bindingRefreshRequest") return this.#onClient(client, (state) => contact.onRefreshRequest(state, packet, this.view, now), packet);
    if (packet.message.kind === "homeTest") return this.#onClient(client, (state) => onHomeTest(state, packet, at, this.view, now), packet);
    const acceptance = [...this.#acceptances.values()].find((a) => a.client === client && a.phase === "binding");
    if (acceptance) return this.#onAcceptance(acceptance.handoff, now, (state) => onAcceptorPacket(state, packet, mobilityHeader, at, this.view, now));
    return this.#bindings.onPacket(packet, mobilityHeader, at, now) ?? [{ do: "drop", reason: `${packet.message.kind} not awaited`, packet }];
  }

  #notCapable(client: Address, cookie: Uint8Array | null, now: Millis): readonly GroupEffect[] {
    const acceptance = [...this.#acceptances.values()].find((a) => a.client === client && a.phase === "binding" && a.binding);
    if (acceptance) return this.#onAcceptance(acceptance.handoff, now, (state) => onAcceptorNotCapable(state, cookie, this.view));
    return this.#bindings.onNotCapable(client, cookie, now) ?? this.#onClient(client, (state) => onClientNotCapable(state, cookie, this.view, now));
  }

  #member(from: string, message: MemberMessage, at: Millis, now: Millis): readonly GroupEffect[] {
    const contactOnly = message.kind === "take" || message.kind === "expect" || message.kind === "rebind";
    if (!this.view.members.has(from)) return [{ do: "drop", reason: `member message "${message.kind}" from "${from}", who is not a member` }];
    if (contactOnly && from !== this.view.contact) return [{ do: "drop", reason: `member message "${message.kind}" from ${from}, who is not the contact` }];
    switch (message.kind) {
      case "take":
        return this.#take(message, now);
      case "expect": {
        if (this.#expected.size >= openHandoffs && !this.#expected.has(message.handoff)) return [tooMany(message)];
        this.#expected.set(message.handoff, { client: message.client, donor: message.donor });
        this.#wakes.set(`expected ${message.handoff}`, now + timeLimits(this.view).handingMs);
        const early = this.#early.take(message.handoff);
        if (!early) return [];
        const effects = [...this.#offer(early.from, early.message, early.at, now), ...(early.frozen ? this.#frozen(early.from, message, now) : [])];
        return early.state ? [...effects, ...this.#state(early.from, early.state.message, early.state.at, now)] : effects;
      }
      case "offer":
        return this.#offer(from, message, at, now);
      case "frozen":
        return this.#frozen(from, message, now);
      case "state":
        return this.#state(from, message, at, now);
      case "withdrawn":
        this.#early.take(message.handoff);
        return this.#onAcceptance(message.handoff, now, (state) => (from === state.donor ? onWithdrawn(state) : ignored(state, from)));
      case "accepted":
      case "refused":
        return this.#verdict(from, message, now);
      case "rebind":
        if (this.#bindings.underWay(message.client) >= openHandoffs) return [tooMany(message), { do: "tellMember", member: from, message: { kind: "rebindFailed", client: message.client, reason: "too many clients are being bound", lastSequence: null } }];
        return this.#bindings.rebind(message, now, this.#random);
      case "rebound":
      case "rebindFailed":
        return this.#onClient(message.client, (state) => contact.onReport(state, from, message, this.view, now, this.#random));
      case "bindingLost":
        return this.#onClient(message.client, (state) => contact.onBindingLost(state, from, message.why, this.view, now));
      case "activity":
        return this.isContact ? this.#activity(message.client, message.active, from, now) : [];
    }
  }

  #take(message: Extract<MemberMessage, { kind: "take" }>, now: Millis): readonly GroupEffect[] {
    const { handoff, client, acceptor, mode } = message;
    const refuse = (reason: string): GroupEffect[] => [{ do: "tellMember", member: this.view.contact, message: { kind: "refused", handoff, client, step: "take", reason, lastSequence: null } }];
    if (this.#donations.has(handoff)) return [{ do: "drop", reason: "an order for a handoff that is under way already" }];
    if (acceptor === this.view.self || !this.view.members.has(acceptor)) return refuse(`"${acceptor}" cannot take over from ${this.view.self}`);
    if (this.#donations.size >= openHandoffs) return [tooMany(message), ...refuse(`${this.view.self} has ${openHandoffs} handoffs under way`)];
    this.#bindings.endWatch(client);
    return this.#storeDonation(startDonation({ handoff, client, donor: this.view.self, acceptor, mode }, message, this.view, now));
  }

  #offer(from: string, message: Extract<MemberMessage, { kind: "offer" }>, at: Millis, now: Millis): readonly GroupEffect[] {
    const { handoff, client } = message;
    if (from !== this.view.contact && !this.#isExpected(handoff, client, from)) {
      if (!this.#early.keep(from, message, at)) return [tooMany(message)];
      this.#wakes.set(`early ${handoff}`, now + unexpectedOfferMs);
      return [];
    }
    if (this.#acceptances.get(handoff)) return [{ do: "drop", reason: "an offer that came twice" }];
    if (this.#acceptances.size >= openHandoffs) return [tooMany(message), { do: "tellMember", member: from, message: { kind: "refused", handoff, client, step: "offer", reason: `${this.view.self} has ${openHandoffs} handoffs under way`, lastSequence: null } }];
    const name: HandoffName = { handoff, client, donor: from, acceptor: this.view.self, mode: message.mode };
    return this.#storeAcceptance(onOffer(name, message, this.view, at, now, this.#random), now);
  }

  #frozen(from: string, { handoff }: { readonly handoff: string }, now: Millis): readonly GroupEffect[] {
    if (this.#early.isFrom(handoff, from)) {
      this.#early.frozen(handoff);
      return [];
    }
    return this.#onAcceptance(handoff, now, (state) => (from === state.donor ? onFrozen(state, this.view, now) : ignored(state, from)));
  }

  #state(from: string, message: Extract<MemberMessage, { kind: "state" }>, at: Millis, now: Millis): readonly GroupEffect[] {
    if (this.#early.isFrom(message.handoff, from)) return this.#early.state(message, at) ? [] : [tooMany(message)];
    return this.#onAcceptance(message.handoff, now, (state) => (from === state.donor ? onState(state, message) : ignored(state, from)));
  }

  #isExpected(handoff: string, client: Address, donor: string): boolean {
    const work = this.#clients.get(client)?.work;
    if (work?.phase === "handing") return work.wish.handoff === handoff && work.donor === donor;
    const announced = this.#expected.get(handoff);
    return announced?.client === client && announced.donor === donor;
  }

  #verdict(from: string, message: Extract<MemberMessage, { kind: "accepted" | "refused" }>, now: Millis): readonly GroupEffect[] {
    const out: GroupEffect[] = [];
    const donation = this.#donations.get(message.handoff);
    const ours = donation !== undefined && from === donation.acceptor;
    if (ours) out.push(...this.#onDonation(message.handoff, (state) => onVerdict(state, message, this.view, now)));
    // An acceptor's refusal reaches the contact through the donor, after that has taken the client back.
    if (this.isContact && (message.kind === "accepted" || !ours)) out.push(...this.#onClient(message.client, (state) => contact.onReport(state, from, message, this.view, now, this.#random)));
    return out;
  }

  #activity(client: Address, active: boolean, member: string, now: Millis): readonly GroupEffect[] {
    if (!this.isContact) return [{ do: "tellMember", member: this.view.contact, message: { kind: "activity", client, active } }];
    // Whoever handed a client on may find it silent later: that is not the end of it.
    if (!active && this.#clients.get(client)?.server !== member) return [];
    const isNew = !this.#clients.has(client);
    const out: GroupEffect[] = [];
    if (isNew) {
      // It is served all the same, through the tunnel, by whoever accepted its connection.
      if (!this.#adopt(client, member)) return [{ do: "drop", reason: `the contact's table of clients is full (${this.#clients.limit})` }];
      out.push({ do: "tell", event: { type: "clientServed", home: this.view.home, client, member, how: "tunnel", why: "first packets came through the home agent" } });
    }
    out.push(...this.#onClient(client, (state) => contact.onActivity(state, active)));
    const state = this.#clients.get(client);
    if (active && this.#autoOptimise && state?.boundUntil === null && state.work.phase === "idle") out.push(...this.#onClient(client, (s) => contact.rebind(s, null, this.view, now, this.#random)));
    if (!active) out.push({ do: "tell", event: { type: "clientGone", home: this.view.home, client } });
    return out;
  }

  /** A call from outside about a client: only the contact answers, and only for clients it knows. */
  #asked(client: Address, request: string, transition: (state: ContactClient) => GroupStep<ContactClient>): readonly GroupEffect[] {
    const refuse = (reason: string): GroupEffect[] => [{ do: "answer", request, error: { step: "decided", reason }, connections: 0 }];
    if (!this.isContact) return refuse(`${this.view.self} is not the contact of group ${this.view.id}; ask ${this.view.contact}`);
    if (!this.#clients.has(client)) return refuse(`${client} has no connection to ${this.view.home}`);
    return this.#onClient(client, transition);
  }

  /** False when there is no room for another client. */
  #adopt(client: Address, server: string): boolean {
    const seed = this.#random(2);
    return this.#clients.put(newContactClient(client, server, ((seed[0] as number) << 8) | (seed[1] as number)), undefined);
  }

  #onClient(client: Address, transition: (state: ContactClient) => GroupStep<ContactClient>, packet?: MobilityPacket): readonly GroupEffect[] {
    const state = this.#clients.get(client);
    if (!state) return [{ do: "drop", reason: "signalling about an unknown client", ...(packet ? { packet } : {}) }];
    const step = transition(state);
    if (!isAway(step.state)) {
      this.#clients.put(step.state, contact.contactWake(step.state));
      return step.effects;
    }
    if (forgettable(step.state)) this.#clients.delete(client);
    else this.#clients.put({ ...step.state, server: this.view.self }, contact.contactWake(step.state));
    return [...step.effects, { do: "unrelay", client }];
  }

  #storeDonation(step: GroupStep<Donation>): readonly GroupEffect[] {
    const { handoff } = step.state;
    if (step.state.phase === "over") this.#donations.delete(handoff);
    else this.#donations.set(handoff, step.state);
    this.#wakes.set(`donation ${handoff}`, donorWake(step.state));
    if (step.state.phase === "relaying") this.#bindings.left(step.state.client);
    return step.effects;
  }

  #onDonation(handoff: string, transition: (state: Donation) => GroupStep<Donation>): readonly GroupEffect[] {
    const state = this.#donations.get(handoff);
    if (!state) return [{ do: "drop", reason: "about a handoff that is not known here" }];
    return this.#storeDonation(transition(state));
  }

  #storeAcceptance(step: GroupStep<Acceptance>, now: Millis): readonly GroupEffect[] {
    const { handoff, client, phase } = step.state;
    this.#wakes.set(`acceptance ${handoff}`, acceptorWake(step.state));
    if (phase === "binding") {
      if (!this.#acceptances.has(handoff)) this.#endLingering(client);
      this.#acceptances.set(handoff, step.state);
      return step.effects;
    }
    this.#acceptances.delete(handoff);
    this.#expected.delete(handoff);
    return phase === "serving" ? [...step.effects, ...this.#bindings.arrived(client, step.state.bound, now)] : step.effects;
  }

  /** A client that comes back while its late packets are still passed on gets them itself from now on (`restore` ends the relay). */
  #endLingering(client: Address): void {
    for (const donation of this.#donations.values()) {
      if (donation.client !== client || donation.phase !== "relaying") continue;
      this.#donations.delete(donation.handoff);
      this.#wakes.set(`donation ${donation.handoff}`, undefined);
    }
  }

  #onAcceptance(handoff: string, now: Millis, transition: (state: Acceptance) => GroupStep<Acceptance>): readonly GroupEffect[] {
    const state = this.#acceptances.get(handoff);
    if (!state) return [{ do: "drop", reason: "about a handoff that is not known here" }];
    return this.#storeAcceptance(transition(state), now);
  }

  #wake(now: Millis): readonly GroupEffect[] {
    const out: GroupEffect[] = [];
    let left = wokenAtOnce;
    for (let key = this.#wakes.take(now); key !== null; key = --left > 0 ? this.#wakes.take(now) : null) {
      const at = key.indexOf(" ");
      out.push(...this.#wakeEntry(key.slice(0, at), key.slice(at + 1), now));
    }
    // The client forgets us now; what we still send goes through the tunnel.
    for (let client = left > 0 ? this.#bindings.takeEnded(now) : null; client !== null; client = --left > 0 ? this.#bindings.takeEnded(now) : null) out.push({ do: "unoptimise", client });
    for (let client = left > 0 ? this.#clients.takeDue(now) : null; client !== null; client = --left > 0 ? this.#clients.takeDue(now) : null) {
      out.push(...this.#onClient(client, (state) => contact.contactTimer(state, this.view, now, this.#random)));
    }
    return out;
  }

  #wakeEntry(table: string, id: string, now: Millis): readonly GroupEffect[] {
    switch (table) {
      case "donation":
        return this.#donations.has(id) ? this.#onDonation(id, (state) => donorTimer(state, this.view, now)) : [];
      case "acceptance":
        return this.#acceptances.has(id) ? this.#onAcceptance(id, now, (state) => acceptorTimer(state, this.view, now)) : [];
      case "rebind":
        return this.#bindings.rebindTimer(id as Address, now);
      case "watch":
        return this.#bindings.watchTimer(id as Address, now);
      case "early": {
        const early = this.#early.take(id);
        return early ? [{ do: "drop", reason: `an offer by ${early.from}, whom the contact has not named` }] : [];
      }
      default:
        this.#expected.delete(id);
        return [];
    }
  }
}

function ignored<S>(state: S, from: string): GroupStep<S> {
  return { state, effects: [{ do: "drop", reason: `about a handoff that is not ${from}'s` }] };
}

function tooMany(message: MemberMessage): GroupEffect {
  return { do: "drop", reason: `too many handoffs under way for a "${message.kind}"` };
}

function firstOf<T>(items: Iterable<T>, count: number): T[] {
  const first: T[] = [];
  for (const item of items) if (first.push(item) >= count) break;
  return first;
}
