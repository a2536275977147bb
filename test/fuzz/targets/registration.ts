import { parseAddress } from "../../../src-shared/net/address.ts";
import { newRegistration, registerHome, type Registration, type RegistrationInput } from "../../../src-shared/protocol/core/registration.ts";
import { ntpTimestamp } from "../../../src-shared/protocol/core/timestamp.ts";
import { signRegistration } from "../../../src-shared/protocol/wire/authenticator.ts";
import type { MobilityOption, MobilityPacket } from "../../../src-shared/protocol/wire/message.ts";
import { decodePacket, encodePacket } from "../../../src-shared/protocol/wire/packet.ts";
import { seededRandom } from "../../../src-shared/stats/random.ts";
import { Feed } from "../feed.ts";
import { must, type Target } from "../target.ts";

const home = parseAddress("2001:db8:f::1");
const homeAgent = parseAddress("2001:db8:f::ff");
const careOf = parseAddress("2001:db8:2::21");
const association = { spi: 300, key: new Uint8Array(32).fill(7) };
const wish = { home, homeAgent, careOf, association, lifetimeSeconds: 420 };
const statuses = [0, 1, 128, 129, 130, 133, 135, 138, 144, 145, 146, 174, 255] as const;
const epoch = Date.UTC(2026, 0, 1);
const inputs = 30;
/** Updates in the first seconds: one, its corrections, and the first retransmissions; after that the back-off holds. */
const burst = 12;
const perSecond = 1;

/** The contact's registration against home agents that say anything at all, in any order. */
class World {
  now = 0;
  #state: Registration = newRegistration(wish, 0, epoch, seededRandom("registration").bytes);
  #wakeAt: number | undefined;
  #sent = 0;
  #asked = 0;
  #sequence = 0;
  #timestamp = 0n;
  readonly #feed: Feed;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#input({ kind: "start" });
  }

  step(): void {
    const feed = this.#feed;
    switch (feed.below(8)) {
      case 0:
        this.#asked++;
        return this.#input(feed.pick<RegistrationInput>([{ kind: "refresh" }, { kind: "start" }, { kind: "end" }]));
      case 1:
        return this.#pass(feed.time());
      case 2:
        return this.#pass(Math.max(0, (this.#wakeAt ?? this.now) - this.now));
      default:
        return this.#answer();
    }
  }

  #pass(ms: number): void {
    this.now += ms;
    this.#input({ kind: "wake" });
  }

  #answer(): void {
    const feed = this.#feed;
    const options: MobilityOption[] = [];
    if (feed.flag()) options.push({ kind: "messageReplay", timestamp: feed.flag() ? this.#timestamp : ntpTimestamp(epoch + this.now + (feed.byte() - 128) * 10_000) });
    if (feed.below(8) === 7) options.push({ kind: "bindingRefreshAdvice", intervalUnits: feed.byte() });
    const packet: MobilityPacket = {
      source: feed.below(16) === 15 ? careOf : homeAgent,
      destination: feed.below(16) === 15 ? home : careOf,
      ...(feed.below(16) === 15 ? {} : { routingHomeAddress: home }),
      message: { kind: "bindingAcknowledgement", status: feed.pick(statuses), keyManagement: false, sequence: (this.#sequence + feed.pick([0, 0xffff, 1, 0x8000])) & 0xffff, lifetimeUnits: feed.pick([105, 1, 0, 0xffff]), options },
    };
    const choice = feed.below(8);
    const sent = choice === 7 ? packet : signRegistration(packet, careOf, choice === 6 ? { ...association, key: new Uint8Array(32) } : association);
    const decoded = decodePacket(encodePacket(sent));
    if (!decoded.ok) return;
    const before = this.#state;
    this.#input({ kind: "packet", packet: decoded.packet, mobilityHeader: decoded.mobilityHeader });
    const became = this.#state.phase === "registered" && before.phase !== "registered";
    must(!became || choice < 6, "registered by an acknowledgement that nobody signed");
    if (this.#state.phase === "ended" && before.phase !== "ended") must(choice < 6, "ended by an acknowledgement that nobody signed");
  }

  #input(input: RegistrationInput): void {
    const before = this.#state;
    const { state, effects, wakeAt } = registerHome(before, input, this.now);
    this.#state = state;
    this.#wakeAt = wakeAt;
    if (input.kind === "packet") must(effects.length > 0 || state !== before, "ignored without a reason");
    must(state.phase === "ended" || wakeAt !== undefined, "something is awaited, and nobody will wake it");
    must(wakeAt === undefined || wakeAt > this.now || input.kind !== "wake", "a wake that leaves something due");
    const updates = effects.filter((e) => e.do === "send");
    must(updates.length <= 1, `${updates.length} updates at once`);
    for (const { packet } of updates) this.#onSent(packet);
    if (state.phase === "registered") must(state.granted.expiresAt <= this.now + 65_535 * 4_000, "a registration without end");
  }

  #onSent(packet: MobilityPacket): void {
    const { message } = packet;
    must(message.kind === "bindingUpdate" && decodePacket(encodePacket(packet)).ok, "sent what is not a Binding Update");
    must(message.sequence !== this.#sequence || this.#sent === 0, "two transmissions with one number");
    const timestamp = message.options.find((o) => o.kind === "messageReplay")?.timestamp ?? 0n;
    this.#sequence = message.sequence;
    this.#timestamp = timestamp;
    // Whatever is answered, no more than this leaves: signed answers may correct us twice, people may ask.
    must(++this.#sent <= burst + this.#asked * 4 + (this.now / 1000) * perSecond, `${this.#sent} updates in ${this.now} ms`);
  }
}

export const registration: Target = {
  name: "registration",
  weight: 0.04,
  longest: 400,
  seeds: () => [Uint8Array.from([3, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 1, 0, 0, 0, 0, 0, 6, 2, 0, 2])],
  run: (input) => {
    const feed = new Feed(input);
    const world = new World(feed);
    for (let i = 0; i < inputs && feed.more; i++) world.step();
  },
};
