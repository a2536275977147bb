import { parseAddress, type Address } from "../../../src-shared/net/address.ts";
import { newHomeAgent, serveHome, TIMESTAMP_TOLERANCE_MS, type HomeAgent, type HomeAgentInput } from "../../../src-shared/protocol/core/homeAgent.ts";
import type { Effect } from "../../../src-shared/protocol/core/step.ts";
import { ntpTimestamp, wallOfNtp } from "../../../src-shared/protocol/core/timestamp.ts";
import { careOfAddress, signRegistration } from "../../../src-shared/protocol/wire/authenticator.ts";
import type { MobilityOption, MobilityPacket } from "../../../src-shared/protocol/wire/message.ts";
import { decodePacket, encodePacket } from "../../../src-shared/protocol/wire/packet.ts";
import { Feed } from "../feed.ts";
import { must, type Target } from "../target.ts";

const home = parseAddress("2001:db8:f::1");
const own = parseAddress("2001:db8:f::ff");
const places = ["2001:db8:2::21", "2001:db8:3::31", "2001:db8:f::1", "2001:db8:f::ff", "fe80::1", "ff02::1"].map(parseAddress);
const associations = [300, 301, 302].map((spi) => ({ spi, key: new Uint8Array(32).fill(spi & 0xff) }));
const stranger = { spi: 301, key: new Uint8Array(32) };
const maxLifetimes = [420, 8] as const;
const epoch = Date.UTC(2026, 0, 1);
const unprovenPerSecond = 10;
const unprovenBurst = 20;
const inputs = 24;

interface Update {
  readonly bytes: Uint8Array;
  /** Signed with the right key of this SPI; null for any other. */
  readonly spi: number | null;
  readonly timestamp: bigint | null;
}

/** A home agent, the nodes that may register with it, those that may not, and what it must never do. */
class World {
  now = 0;
  wall = epoch;
  #state: HomeAgent;
  #tunnel: Address | null = null;
  #defended = false;
  #newestSpi = 0;
  #newestTimestamp = 0n;
  #expiresAt = 0;
  #unproven = 0;
  #longest = Math.max(...maxLifetimes);
  readonly #onLink: boolean;
  readonly #feed: Feed;
  readonly #updates: Update[] = [];

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#onLink = feed.flag();
    this.#state = newHomeAgent(this.#service(), 0);
  }

  #service() {
    this.#longest = Math.max(this.#longest, ...maxLifetimes);
    return { home, associations: associations.slice(0, 2 + this.#feed.below(2)), maxLifetimeSeconds: this.#feed.pick(maxLifetimes), onLink: this.#onLink };
  }

  step(): void {
    const feed = this.#feed;
    switch (feed.below(8)) {
      case 0: {
        const old = this.#updates[feed.below(Math.max(1, this.#updates.length))];
        return old && this.#deliver(old);
      }
      case 1:
      case 2:
        return this.#pass(feed.time());
      case 3:
        // Somebody sets the clock of the home agent.
        this.wall += (feed.byte() - 128) * 1000;
        return;
      case 4:
        return void this.#input(feed.pick<HomeAgentInput>([{ kind: "duplicateChecked", duplicate: false }, { kind: "duplicateChecked", duplicate: true }, { kind: "retire" }, { kind: "failed", reason: "no tunnel" }, { kind: "configure", service: this.#service() }]));
      default:
        return this.#deliver(this.#update());
    }
  }

  #pass(ms: number): void {
    this.now += ms;
    this.wall += ms;
    this.#input({ kind: "wake" });
  }

  #update(): Update {
    const feed = this.#feed;
    const source = feed.pick(places);
    const timestamp = feed.below(8) === 7 ? null : ntpTimestamp(this.wall + (feed.byte() - 128) * 100) + BigInt(feed.byte());
    const options: MobilityOption[] = timestamp === null ? [] : [{ kind: "messageReplay", timestamp }];
    if (feed.below(4) === 3) options.push({ kind: "alternateCareOf", address: feed.pick(places) });
    if (feed.below(16) === 15) options.push({ kind: "nonceIndices", home: 1, careOf: 1 });
    const last = this.#state.phase === "registered" ? this.#state.sequence : 0;
    const packet: MobilityPacket = {
      source,
      destination: own,
      ...(feed.below(8) === 7 ? {} : { homeAddress: feed.below(8) === 7 ? feed.pick(places) : home }),
      message: {
        kind: "bindingUpdate",
        sequence: (last + feed.pick([1, 0, 2, 0x7fff, 0x8000, 0xffff])) & 0xffff,
        acknowledge: feed.below(4) !== 3,
        homeRegistration: feed.below(8) !== 7,
        linkLocalCompatibility: feed.flag(),
        keyManagement: feed.flag(),
        lifetimeUnits: feed.pick([105, 0, 1, 2, 0xffff]),
        options,
      },
    };
    const key = feed.pick([...associations, stranger, null]);
    const signed = key ? signRegistration(packet, careOfAddress(packet), key) : packet;
    const update = { bytes: encodePacket(signed), spi: key && key !== stranger ? key.spi : null, timestamp };
    this.#updates.push(update);
    if (this.#updates.length > 8) this.#updates.shift();
    return update;
  }

  #deliver(update: Update): void {
    const decoded = decodePacket(update.bytes);
    if (!decoded.ok) return;
    const before = this.#state;
    const prefixValidMs = this.#feed.pick([Infinity, 0, 3_999, 10_000]);
    const effects = this.#input({ kind: "packet", packet: decoded.packet, mobilityHeader: decoded.mobilityHeader, wall: this.wall, prefixValidMs });
    must(effects.length > 0 || this.#state !== before, "ignored without a reason");
    if (this.#state.phase === "registered" && effects.some((e) => e.do === "tell" && e.event.type === "bindingAccepted")) must(this.#state.expiresAt <= this.now + prefixValidMs || before.phase === "checking", "a registration longer than its prefix");
    this.#checkAnswers(effects, decoded.packet, update.bytes.length);
    const wasAccepted = this.#state.newestTimestamp !== before.newestTimestamp || this.#state.newestSpi !== before.newestSpi;
    if (!wasAccepted) return must(effects.every((e) => e.do !== "tunnel"), "a tunnel for an update that shows nothing new");
    must(update.spi !== null && update.timestamp !== null, "an update was accepted that nobody signed with the right key");
    must(update.spi >= this.#newestSpi, `epoch ${update.spi} was accepted after ${this.#newestSpi}`);
    must(update.spi > this.#newestSpi || update.timestamp > this.#newestTimestamp, "an old update was accepted again");
    must(Math.abs(wallOfNtp(update.timestamp) - this.wall) <= TIMESTAMP_TOLERANCE_MS, "an update was accepted whose time is far from ours");
    this.#newestSpi = update.spi;
    this.#newestTimestamp = update.timestamp;
  }

  #input(input: HomeAgentInput): readonly Effect[] {
    const { state, effects, wakeAt } = serveHome(this.#state, input, this.now);
    const renewed = state.phase === "registered" && state !== this.#state;
    this.#state = state;
    for (const effect of effects) this.#effect(effect);
    if (renewed && input.kind !== "configure") this.#expiresAt = this.now + this.#longest * 1000;
    if (state.phase === "registered") {
      must(wakeAt !== undefined && wakeAt > this.now && wakeAt <= state.expiresAt, "a registration that does not end");
      must(this.now < this.#expiresAt, "a registration longer than it may be");
    }
    must((this.#tunnel !== null) === (state.phase === "registered"), "the data plane and the state differ");
    must(this.#tunnel === null || this.#defended === this.#onLink, "a tunnel without defence of the address");
    return effects;
  }

  #effect(effect: Effect): void {
    if (effect.do === "tunnel") this.#tunnel = effect.careOf;
    if (effect.do === "untunnel") this.#tunnel = null;
    if (effect.do === "defend") this.#defended = true;
    if (effect.do === "undefend") this.#defended = false;
    if (effect.do !== "send") return;
    const { message } = effect.packet;
    must(decodePacket(encodePacket(effect.packet)).ok, "sent what cannot be decoded");
    const isUnproven = message.kind === "bindingAcknowledgement" && !message.options.some((o) => o.kind === "authentication");
    if (isUnproven) must(++this.#unproven <= unprovenBurst + (unprovenPerSecond * this.now) / 1000, "too many answers to strangers");
  }

  #checkAnswers(effects: readonly Effect[], packet: MobilityPacket, received: number): void {
    const answers = effects.filter((e) => e.do === "send").filter((e) => e.packet.message.kind === "bindingAcknowledgement");
    must(answers.length <= 1, `${answers.length} answers to one packet`);
    for (const answer of answers) {
      must(answer.packet.destination === packet.source, "an answer to somebody else");
      const isSigned = answer.packet.message.options.some((o) => o.kind === "authentication");
      must(isSigned || encodePacket(answer.packet).length <= received, "an answer longer than what it answers");
    }
  }
}

export const homeAgent: Target = {
  name: "homeAgent",
  weight: 0.05,
  longest: 500,
  seeds: () => [Uint8Array.from([0, 5, 0, 0, 130, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 40, 5, 1, 0, 131]), Uint8Array.from([1, 5, 0, 0, 130, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 2, 3, 0])],
  run: (input) => {
    const feed = new Feed(input);
    const world = new World(feed);
    for (let i = 0; i < inputs && feed.more; i++) world.step();
  },
};
