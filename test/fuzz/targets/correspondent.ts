import { parseAddress, type Address } from "../../../src-shared/net/address.ts";
import { isUnicastRoutable } from "../../../src-shared/net/scope.ts";
import { correspond, newCorrespondent, type CorrespondentInput } from "../../../src-shared/protocol/core/correspondent.ts";
import type { Correspondent, CorrespondentLimits } from "../../../src-shared/protocol/core/correspondentState.ts";
import type { Effect } from "../../../src-shared/protocol/core/step.ts";
import { bindingManagementKey, careOfAddress, signBindingUpdate } from "../../../src-shared/protocol/wire/authenticator.ts";
import type { MobilityMessage, MobilityOption, MobilityPacket } from "../../../src-shared/protocol/wire/message.ts";
import { decodePacket, encodePacket } from "../../../src-shared/protocol/wire/packet.ts";
import { seededRandom } from "../../../src-shared/stats/random.ts";
import { Feed } from "../feed.ts";
import { must, type Target } from "../target.ts";

const own = parseAddress("2001:db8:1::10");
const homes = ["2001:db8:f::1", "2001:db8:f::2", "2001:db8:e::1"].map(parseAddress);
const places = ["2001:db8:2::21", "2001:db8:3::31", ...homes, "fe80::1", "ff02::1", "::1", "::ffff:1.2.3.4", "2001:db8:1::10"].map(parseAddress);
const lifetimes = [0, 1, 2, 15, 105, 106, 0xffff] as const;
const offsets = [1, 0, 2, 0xffff, 0x7fff, 0x8000, 0x8001, 100] as const;
const limits: CorrespondentLimits = { entries: 2, lifetimeSeconds: 420, tests: { perSecond: 4, burst: 6 }, testsEach: { perSecond: 3, burst: 4 }, refusals: { perSecond: 2, burst: 3 }, errors: { perSecond: 1, burst: 2 } };
/** Nonces that can be alive at once: one each 30 s for 240 s, and the newest. */
const mostNonces = 9;
const tokenLifetimeMs = 240_000;
const longestBindingMs = 420_000;
const inputs = 24;

interface Token {
  readonly address: Address;
  readonly kind: "homeTest" | "careOfTest";
  readonly token: Uint8Array;
  readonly nonceIndex: number;
  readonly receivedAt: number;
}

/** An update as its maker knows it. */
interface Update {
  readonly bytes: Uint8Array;
  readonly home: Address;
  readonly careOf: Address;
  readonly sequence: number;
  /** Signed with tokens that fit its addresses, when the older of them was received, and the home nonce behind it; null for any other. */
  readonly proof: { readonly tokensFrom: number; readonly homeNonce: number } | null;
}

/** Of one home address: the last update that was accepted, and whether it made a binding. */
interface Accepted {
  readonly sequence: number;
  readonly at: number;
  readonly bound: boolean;
  /** The youngest home nonce of any accepted update, and when a token of it was last seen. */
  readonly homeNonce: number;
  readonly nonceSeenAt: number;
}

/** A correspondent, everybody who talks to it, and what it must never do. */
class World {
  now = 0;
  #state: Correspondent;
  readonly #random = seededRandom("correspondent");
  readonly #feed: Feed;
  readonly #tokens: Token[] = [];
  readonly #updates: Update[] = [];
  readonly #accepted = new Map<Address, Accepted>();
  readonly #sent = { tests: 0, refusals: 0, errors: 0 };

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#state = newCorrespondent(0, this.#random.bytes, limits);
  }

  step(): void {
    const feed = this.#feed;
    switch (feed.below(12)) {
      case 0:
      case 1:
        return this.#give({ source: feed.pick(homes), destination: own, message: this.#testInit("homeTestInit") });
      case 2:
      case 3:
        return this.#give({ source: feed.pick(places), destination: own, message: this.#testInit("careOfTestInit") });
      case 4:
      case 5:
      case 6:
        return this.#give(this.#update());
      case 7: {
        const old = this.#updates[feed.below(Math.max(1, this.#updates.length))];
        return old && this.#deliver(old.bytes, old);
      }
      case 8:
        return this.#odd();
      case 9:
        this.now += feed.time();
        return void this.#input({ kind: "wake" });
      case 10:
        return void this.#input(feed.pick<CorrespondentInput>([
          { kind: "used", home: feed.pick(homes) },
          { kind: "unreachable", home: feed.pick(homes), careOf: feed.pick(places) },
        ]));
      default:
        return void this.#input({ kind: "unboundHomeAddress", source: feed.pick(places), destination: own, homeAddress: feed.pick(homes) });
    }
  }

  #testInit(kind: "homeTestInit" | "careOfTestInit"): MobilityMessage {
    return { kind, cookie: this.#feed.bytes(8), options: [] };
  }

  #update(): MobilityPacket {
    const feed = this.#feed;
    const home = feed.pick(homes);
    const source = feed.pick(places);
    const alternate = feed.below(4) === 0 ? feed.pick(places) : undefined;
    const homeToken = this.#token("homeTest", home);
    const careOfToken = this.#token("careOfTest", alternate ?? source);
    const last = this.#accepted.get(home)?.sequence ?? 0;
    const options: MobilityOption[] = alternate ? [{ kind: "alternateCareOf", address: alternate }] : [];
    if (feed.below(8) !== 0) options.unshift({ kind: "nonceIndices", home: homeToken?.nonceIndex ?? feed.u16(), careOf: careOfToken?.nonceIndex ?? feed.u16() });
    const packet: MobilityPacket = {
      source,
      destination: own,
      ...(feed.below(8) === 0 ? {} : { homeAddress: home }),
      message: {
        kind: "bindingUpdate",
        sequence: (last + feed.pick(offsets)) & 0xffff,
        acknowledge: feed.flag(),
        homeRegistration: feed.below(10) === 9,
        linkLocalCompatibility: feed.flag(),
        keyManagement: feed.flag(),
        lifetimeUnits: feed.pick(lifetimes),
        options,
      },
    };
    return this.#signed(packet, homeToken, careOfToken);
  }

  /** Signs with the tokens that fit, or as somebody would who does not have them. */
  #signed(packet: MobilityPacket, home: Token | undefined, careOf: Token | undefined): MobilityPacket {
    const { message } = packet;
    const homeAddress = packet.homeAddress ?? packet.source;
    const removes = message.kind === "bindingUpdate" && (message.lifetimeUnits === 0 || careOfAddress(packet) === homeAddress);
    const choice = this.#feed.below(8);
    const fits = home?.address === homeAddress && (removes || careOf?.address === careOfAddress(packet)) && (choice < 6 || (choice === 7 && removes));
    const stranger = new Uint8Array(8);
    const key = bindingManagementKey(fits ? home.token : (home?.token ?? stranger), removes ? undefined : choice === 7 ? stranger : (careOf?.token ?? stranger));
    if (choice === 6) return packet;
    const signed = signBindingUpdate(packet, key);
    if (message.kind !== "bindingUpdate") return signed;
    const proof = fits ? { tokensFrom: Math.min(home.receivedAt, removes ? Infinity : (careOf?.receivedAt ?? Infinity)), homeNonce: home.nonceIndex } : null;
    const update = { bytes: encodePacket(signed), home: homeAddress, careOf: careOfAddress(packet), sequence: message.sequence, proof };
    this.#updates.push(update);
    if (this.#updates.length > 12) this.#updates.shift();
    return signed;
  }

  #token(kind: Token["kind"], address: Address): Token | undefined {
    const fitting = this.#tokens.filter((t) => t.kind === kind && t.address === address);
    // Mostly the newest one, sometimes an old one, sometimes somebody else's.
    const choice = this.#feed.below(8);
    return choice < 6 ? fitting.at(-1) : choice === 6 ? fitting[0] : this.#tokens.at(-1);
  }

  /** Messages with what they must not carry. */
  #odd(): void {
    const feed = this.#feed;
    const [source, other] = [feed.pick(places), feed.pick(homes)];
    const message = feed.pick<MobilityMessage>([
      this.#testInit("homeTestInit"),
      { kind: "homeTest", nonceIndex: 1, cookie: new Uint8Array(8), token: new Uint8Array(8), options: [] },
      { kind: "bindingAcknowledgement", status: feed.byte(), keyManagement: false, sequence: 1, lifetimeUnits: 1, options: [] },
      { kind: "bindingError", status: 1, homeAddress: other, options: [] },
      { kind: "bindingRefreshRequest", options: [] },
    ]);
    const extras = feed.pick<Partial<MobilityPacket>>([{ tunnel: { source: other, destination: own } }, { routingHomeAddress: other }, { homeAddress: other }, {}]);
    this.#input({ kind: "packet", packet: { source, destination: own, ...extras, message }, mobilityHeader: new Uint8Array(8) });
  }

  #give(packet: MobilityPacket): void {
    const bytes = encodePacket(packet);
    this.#deliver(bytes, this.#updates.find((u) => u.bytes.length === bytes.length && u.bytes.every((b, i) => b === bytes[i])));
  }

  #deliver(bytes: Uint8Array, update?: Update): void {
    const decoded = decodePacket(bytes);
    if (!decoded.ok) return;
    const home = decoded.packet.homeAddress ?? decoded.packet.source;
    const last = this.#accepted.get(home);
    const effects = this.#input({ kind: "packet", packet: decoded.packet, mobilityHeader: decoded.mobilityHeader }, bytes.length, decoded.packet);
    const bound = effects.some((e) => e.do === "tell" && e.event.type === "bindingAccepted");
    const removed = effects.some(
      (e) =>
        (e.do === "tell" && e.event["reason"] === "deregistered") ||
        (e.do === "drop" && e.reason === "binding update: nothing to deregister") ||
        (e.do === "send" && e.packet.message.kind === "bindingAcknowledgement" && e.packet.message.status === 0),
    );
    if (bound || removed) this.#onAccepted(home, update, last, bound);
    this.#checkBindings();
  }

  /** An update that is not newer than the last one counts only when its home nonce is, or when nothing can be left to replay. */
  #onAccepted(home: Address, update: Update | undefined, last: Accepted | undefined, bound: boolean): void {
    must(update !== undefined && update.proof !== null, "an update was accepted that nobody signed with the right tokens");
    const { tokensFrom, homeNonce } = update.proof;
    must(this.now - tokensFrom < tokenLifetimeMs, "an update was accepted with tokens that are dead");
    must(!bound || isUnicastRoutable(update.careOf), "bound to an address that cannot be routed to");
    const isYounger = last === undefined || isAhead(homeNonce, last.homeNonce);
    if (last !== undefined && !isAhead(update.sequence, last.sequence)) {
      must(!last.bound, `number ${update.sequence} was accepted after ${last.sequence}`);
      must(isYounger || this.now - last.nonceSeenAt >= tokenLifetimeMs, "an old update was accepted");
    }
    this.#accepted.set(home, { sequence: update.sequence, at: this.now, bound, homeNonce: isYounger ? homeNonce : last.homeNonce, nonceSeenAt: this.now });
  }

  #input(input: CorrespondentInput, received = 0, packet?: MobilityPacket): readonly Effect[] {
    const { state, effects, wakeAt } = correspond(this.#state, input, this.now, this.#random.bytes);
    this.#state = state;
    for (const effect of effects) this.#effect(effect);
    // What is due at once is done by the wake that follows.
    if (wakeAt !== undefined && wakeAt <= this.now) {
      must(input.kind !== "wake", "a wake that leaves something due");
      this.#input({ kind: "wake" });
    }
    must(state.cache.size <= limits.entries, `${state.cache.size} entries`);
    must(state.nonces.recent.length <= mostNonces, `${state.nonces.recent.length} nonces`);
    if (packet) this.#checkAnswers(effects, packet, received);
    else this.#checkBindings();
    return effects;
  }

  #effect(effect: Effect): void {
    if (effect.do === "send") this.#onSent(effect.packet);
    if (effect.do !== "unbind") return;
    const entry = this.#accepted.get(effect.home);
    must(entry?.bound === true, "unbound what was not bound");
    this.#accepted.set(effect.home, { ...entry, bound: false });
  }

  #onSent(packet: MobilityPacket): void {
    const decoded = decodePacket(encodePacket(packet));
    must(decoded.ok, `sent what cannot be decoded: ${decoded.ok ? "" : decoded.reason}`);
    must(isUnicastRoutable(packet.destination), `sent to ${packet.destination}`);
    const { message, source, destination } = packet;
    must(source === own, `sent from ${source}`);
    if (message.kind === "homeTest" || message.kind === "careOfTest") {
      this.#tokens.push({ address: destination, kind: message.kind, token: message.token, nonceIndex: message.nonceIndex, receivedAt: this.now });
      if (this.#tokens.length > 12) this.#tokens.shift();
      this.#count("tests");
    }
    if (message.kind === "bindingError") this.#count("errors");
    if (message.kind === "bindingAcknowledgement" && message.status >= 128 && message.options.length === 0) this.#count("refusals");
  }

  /** What nobody has earned leaves at a limited rate. */
  #count(what: "tests" | "refusals" | "errors"): void {
    const most = limits[what].burst + (limits[what].perSecond * this.now) / 1000;
    must(++this.#sent[what] <= most, `${this.#sent[what]} ${what} after ${this.now} ms`);
  }

  #checkAnswers(effects: readonly Effect[], packet: MobilityPacket, received: number): void {
    must(effects.length > 0, "ignored without a reason");
    const answers = effects.filter((e) => e.do === "send").filter((e) => e.packet.message.kind !== "bindingRefreshRequest");
    must(answers.length <= 1, `${answers.length} answers to one packet`);
    for (const answer of answers) {
      must(answer.packet.destination === packet.source, "an answer to somebody else");
      // A Home Test is 8 bytes longer than its Init; a signed acknowledgement goes to somebody who has shown a key.
      must(encodePacket(answer.packet).length <= received + 8 || answer.packet.message.options.length > 0, "an answer longer than what it answers");
    }
  }

  #checkBindings(): void {
    for (const [home, { bound, at }] of this.#accepted) {
      const entry = this.#state.cache.get(home);
      must((entry?.phase === "bound") === bound, "the data plane and the cache differ");
      must(!bound || this.now < at + longestBindingMs, "a binding older than 420 s");
    }
  }
}

function isAhead(candidate: number, last: number): boolean {
  const ahead = (candidate - last) & 0xffff;
  return ahead > 0 && ahead < 0x8000;
}

export const correspondent: Target = {
  name: "correspondent",
  weight: 0.08,
  longest: 600,
  // Home test, care-of test, update, the same again, time, the same again, removal.
  seeds: () => [
    Uint8Array.from([0, 0, ...Array(8).fill(1), 2, 0, ...Array(8).fill(2), 4, 0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 1, 0, 0, 4, 0, 7, 0, 9, 5, 40, 7, 0, 9, 5, 60, 7, 0]),
    Uint8Array.from([0, 0, ...Array(8).fill(1), 2, 0, ...Array(8).fill(2), 4, 0, 0, 1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 7, 0]),
  ],
  run: (input) => {
    const feed = new Feed(input);
    const world = new World(feed);
    for (let i = 0; i < inputs && feed.more; i++) world.step();
  },
};
