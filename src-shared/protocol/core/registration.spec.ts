import { describe, expect, it } from "vitest";
import { dropsOf, received, sentBy } from "../../../test/support/correspondentPeer.ts";
import { parseAddress } from "../../net/address.ts";
import { seededRandom } from "../../stats/random.ts";
import { signRegistration, type MobilityKey } from "../wire/authenticator.ts";
import type { BindingAcknowledgement, BindingUpdate, MobilityOption, MobilityPacket } from "../wire/message.ts";
import { newHomeAgent, serveHome, type HomeAgent } from "./homeAgent.ts";
import { newRegistration, registerHome, type Registration, type RegistrationInput } from "./registration.ts";
import type { Effect } from "./step.ts";
import { ntpTimestamp, wallOfNtp } from "./timestamp.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const K = parseAddress("2001:db8:2::21");
const association: MobilityKey = { spi: 300, key: new Uint8Array(32).fill(9) };
const epoch = Date.UTC(2026, 0, 1);
const seconds = 1000;

class Contact {
  state: Registration;
  now = 0;
  wakeAt: number | undefined;

  /** `wallOff`: its wall clock minus the true one, in ms. */
  constructor(lifetimeSeconds = 420, wallOff = 0) {
    this.state = newRegistration({ home: X, homeAgent: H, careOf: K, association, lifetimeSeconds }, 0, epoch + wallOff, seededRandom("contact").bytes);
  }

  give(input: RegistrationInput): readonly Effect[] {
    const { state, effects, wakeAt } = registerHome(this.state, input, this.now);
    this.state = state;
    this.wakeAt = wakeAt;
    return effects;
  }

  /** The update that an input makes it send. */
  update(input: RegistrationInput): BindingUpdate {
    return updateIn(this.give(input));
  }

  wake(): readonly Effect[] {
    if (this.wakeAt === undefined) throw new Error("it does not want to be woken");
    this.now = this.wakeAt;
    return this.give({ kind: "wake" });
  }

  answer(change: Partial<BindingAcknowledgement> = {}, how: { readonly key?: MobilityKey | null; readonly packet?: Partial<MobilityPacket> } = {}): readonly Effect[] {
    const { key = association } = how;
    const message: BindingAcknowledgement = { kind: "bindingAcknowledgement", status: 0, keyManagement: false, sequence: this.state.sequence, lifetimeUnits: 105, options: [], ...change };
    const packet: MobilityPacket = { source: H, destination: K, routingHomeAddress: X, message, ...how.packet };
    return this.give(received(key ? signRegistration(packet, K, key) : packet));
  }

  start(): this {
    this.give({ kind: "start" });
    return this;
  }
}

function updateIn(effects: readonly Effect[]): BindingUpdate {
  const message = sentBy(effects)[0]?.message;
  if (message?.kind !== "bindingUpdate") throw new Error("no binding update was sent");
  return message;
}

const replay = (wall: number): MobilityOption => ({ kind: "messageReplay", timestamp: ntpTimestamp(wall) });
const idOf = (update: BindingUpdate) => {
  const option = update.options.find((o) => o.kind === "messageReplay");
  return option?.timestamp ?? 0n;
};

describe("registering (§11.7.1)", () => {
  it("sends A and H, the Home Address option, a message id and the authentication last, and no nonces", () => {
    const contact = new Contact(100);
    expect(contact.state.phase).toBe("ended");
    const [packet] = sentBy(contact.give({ kind: "start" }));
    expect(packet).toMatchObject({ source: K, destination: H, homeAddress: X, message: { acknowledge: true, homeRegistration: true, lifetimeUnits: 25, sequence: contact.state.sequence } });
    expect(packet?.message.options.map((o) => o.kind)).toEqual(["messageReplay", "authentication"]);
    expect(wallOfNtp(idOf(packet?.message as BindingUpdate))).toBeCloseTo(epoch, 2);
  });

  it("is accepted by the home agent, and told", () => {
    const contact = new Contact().start();
    const effects = contact.answer({ lifetimeUnits: 50 });
    expect(effects).toEqual([{ do: "tell", event: { type: "homeRegistered", home: X, careOf: K, sequence: contact.state.sequence, lifetimeSeconds: 200 } }]);
    expect(contact.state).toMatchObject({ phase: "registered", granted: { lifetimeSeconds: 200, expiresAt: 200 * seconds } });
  });

  it("repeats with a new number and id each time: after 1.5 s the first time (§11.8), doubling to 32 s", () => {
    const contact = new Contact().start();
    const sent: { at: number; sequence: number; id: bigint }[] = [];
    for (let i = 0; i < 8; i++) {
      const update = updateIn(contact.wake());
      sent.push({ at: contact.now, sequence: update.sequence, id: idOf(update) });
    }
    expect(sent.map(({ at }) => at / seconds)).toEqual([1.5, 4.5, 10.5, 22.5, 46.5, 78.5, 110.5, 142.5]);
    expect(sent.slice(1).map(({ sequence }, i) => (sequence - (sent[i]?.sequence ?? 0)) & 0xffff)).toEqual([1, 1, 1, 1, 1, 1, 1]);
    expect(sent.slice(1).every(({ id }, i) => id > (sent[i]?.id ?? id))).toBe(true);
  });

  it("counts the lifetime from its first transmission, and takes the answer to any of them", () => {
    const contact = new Contact().start();
    const first = contact.state.sequence;
    contact.wake();
    contact.wake();
    expect(contact.answer({ sequence: first })).toHaveLength(1);
    expect(contact.state).toMatchObject({ phase: "registered", granted: { expiresAt: 420 * seconds } });
  });

  it("starts only once", () => {
    const contact = new Contact().start();
    expect(contact.give({ kind: "start" })).toEqual([]);
    expect(contact.wakeAt).toBe(1500);
  });
});

describe("refreshing", () => {
  it("begins 96 s before the end, or at half a short lifetime, and ends in a longer registration", () => {
    for (const [units, refresh] of [[105, 324], [10, 20]] as const) {
      const contact = new Contact().start();
      contact.answer({ lifetimeUnits: units });
      expect(contact.wakeAt).toBe(refresh * seconds);
      const [packet] = sentBy(contact.wake());
      expect(packet?.message).toMatchObject({ kind: "bindingUpdate", homeRegistration: true });
      contact.answer({ lifetimeUnits: units });
      expect(contact.state).toMatchObject({ phase: "registered", granted: { expiresAt: (refresh + 4 * units) * seconds } });
    }
  });

  it("follows the home agent's advice when that is earlier", () => {
    const contact = new Contact().start();
    contact.answer({ options: [{ kind: "bindingRefreshAdvice", intervalUnits: 10 }] });
    expect(contact.wakeAt).toBe(40 * seconds);
  });

  it("repeats after 1 s, and says so when the registration has run out meanwhile", () => {
    const contact = new Contact().start();
    contact.answer({ lifetimeUnits: 3 });
    const told: unknown[] = [];
    for (let i = 0; i < 6; i++) told.push(...contact.wake().filter((e) => e.do === "tell").map((e) => ({ at: contact.now / seconds, ...e.event })));
    expect(told).toEqual([{ at: 13, type: "homeRegistrationFailed", home: X, status: null, reason: expect.stringMatching(/run out/) as string }]);
    expect(contact.state.phase).toBe("asking");
    expect(contact.answer()).toHaveLength(1);
  });

  it("can be asked for", () => {
    const contact = new Contact().start();
    contact.answer();
    contact.now = 5 * seconds;
    expect(contact.update({ kind: "refresh" }).lifetimeUnits).toBe(105);
  });
});

describe("acknowledgements (§11.7.3)", () => {
  it("count only from the home agent, to the care-of address, with the home address, signed, and awaited", () => {
    const contact = new Contact().start();
    const refuses = (effects: readonly Effect[]) => {
      expect(contact.state.phase).toBe("asking");
      return dropsOf(effects)[0];
    };
    expect(refuses(contact.answer({}, { packet: { source: K } }))).toMatch(/not from the home agent/);
    expect(refuses(contact.answer({}, { packet: { destination: H } }))).toMatch(/not from the home agent/);
    expect(refuses(contact.answer({}, { packet: { routingHomeAddress: K } }))).toMatch(/type 2 routing header/);
    expect(refuses(contact.answer({}, { packet: { tunnel: { source: H, destination: K } } }))).toMatch(/to the care-of address/);
    expect(refuses(contact.answer({}, { key: { ...association, key: new Uint8Array(32) } }))).toMatch(/wrong authentication/);
    expect(refuses(contact.answer({}, { key: { ...association, spi: 301 } }))).toMatch(/wrong authentication/);
    expect(refuses(contact.answer({}, { key: null }))).toMatch(/without authentication/);
    expect(refuses(contact.answer({ sequence: contact.state.sequence + 1 }))).toMatch(/another sequence number/);
    expect(refuses(contact.answer({ sequence: contact.state.sequence - 1 }))).toMatch(/another sequence number/);
    contact.answer();
    expect(dropsOf(contact.answer())[0]).toMatch(/not awaited/);
  });

  it("with 135 carry the number to go on from, at once but not for ever", () => {
    const contact = new Contact().start();
    const first = contact.state.sequence;
    const number = (ahead: number) => (first + ahead) & 0xffff;
    const [again] = sentBy(contact.answer({ status: 135, sequence: number(0x8000) }));
    expect(again?.message).toMatchObject({ sequence: number(0x8001) });
    const [third] = sentBy(contact.answer({ status: 135, sequence: number(0x9000) }));
    expect(third?.message).toMatchObject({ sequence: number(0x9001) });
    const effects = contact.answer({ status: 135, sequence: number(0xa000) });
    expect(sentBy(effects)).toEqual([]);
    expect(effects).toMatchObject([{ do: "tell", event: { type: "homeRegistrationFailed", status: 135 } }]);
    expect(updateIn(contact.wake()).sequence).toBe(number(0xa001));
    // Nobody unknown can send it about.
    const sequence = contact.state.sequence;
    contact.answer({ status: 135, sequence: 5 }, { key: null });
    expect(contact.state.sequence).toBe(sequence);
  });

  it("with 135 of long ago, sent again by somebody, set nothing back", () => {
    const contact = new Contact().start();
    const { sequence } = contact.state;
    expect(dropsOf(contact.answer({ status: 135, sequence: (sequence - 1) & 0xffff }))[0]).toMatch(/number that we have passed/);
    expect(contact.state.sequence).toBe(sequence);
    expect(sentBy(contact.answer({ status: 135, sequence }))).toHaveLength(1);
  });

  it("with 135 that jump about while we wait never have one number sent twice in a row (§11.8)", () => {
    const contact = new Contact().start();
    for (const jump of [0x4000, 0x4000]) contact.answer({ status: 135, sequence: (contact.state.sequence + jump) & 0xffff });
    const { sequence } = contact.state;
    expect(sentBy(contact.answer({ status: 135, sequence: (sequence + 0x7fff) & 0xffff }))).toEqual([]);
    contact.answer({ status: 135, sequence: (sequence - 1) & 0xffff });
    expect(updateIn(contact.wake()).sequence).toBe((sequence + 0x8000) & 0xffff);
  });

  it("with 144 carry the home agent's clock, which ids follow from then on", () => {
    for (const off of [-3600 * seconds, 20 * seconds]) {
      const contact = new Contact(420, off);
      const first = contact.update({ kind: "start" });
      expect(wallOfNtp(idOf(first))).toBeCloseTo(epoch + off, 2);
      contact.now = 50;
      const [again] = sentBy(contact.answer({ status: 144, options: [replay(epoch + 25)] }));
      expect(Math.abs(wallOfNtp(idOf(again?.message as BindingUpdate)) - epoch)).toBeLessThan(1_100);
      contact.answer();
      contact.now = 300 * seconds;
      expect(Math.abs(wallOfNtp(idOf(contact.update({ kind: "refresh" }))) - epoch - 300 * seconds)).toBeLessThan(1_100);
    }
  });

  it("that refuse for good end it; those that may pass are waited out; unsigned ones are told and change nothing", () => {
    for (const status of [129, 131, 132, 133, 134, 139, 145, 146, 174]) {
      const contact = new Contact().start();
      expect(contact.answer({ status })).toMatchObject([{ do: "tell", event: { type: "homeRegistrationFailed", status } }]);
      expect(contact.state.phase).toBe("ended");
      expect(contact.wakeAt).toBeUndefined();
    }
    for (const [status, key] of [[130, association], [128, association], [146, null], [133, null]] as const) {
      const contact = new Contact().start();
      expect(contact.answer({ status }, { key })).toMatchObject([{ do: "tell", event: { type: "homeRegistrationFailed", status } }]);
      // Once is enough.
      expect(contact.answer({ status }, { key }).filter((e) => e.do === "tell")).toEqual([]);
      expect(contact.wakeAt).toBe(1500);
      expect(sentBy(contact.wake())).toHaveLength(1);
    }
  });

  it("after which it can be started again", () => {
    const contact = new Contact().start();
    contact.answer({ status: 129 });
    expect(contact.update({ kind: "start" }).homeRegistration).toBe(true);
  });
});

describe("deregistering", () => {
  it("asks with lifetime 0 and ends with the answer", () => {
    const contact = new Contact().start();
    contact.answer();
    const update = contact.update({ kind: "end" });
    expect(update).toMatchObject({ lifetimeUnits: 0, homeRegistration: true, acknowledge: true });
    contact.answer({ lifetimeUnits: 0 });
    expect(contact.state).toMatchObject({ phase: "ended", reason: "deregistered" });
  });

  it("gives up after four transmissions, and takes a refusal for an end", () => {
    const contact = new Contact().start();
    contact.answer();
    contact.give({ kind: "end" });
    let sent = 1;
    while (contact.wakeAt !== undefined) sent += sentBy(contact.wake()).length;
    expect(sent).toBe(4);
    expect(contact.state).toMatchObject({ phase: "ended", reason: "deregistered without an answer" });
    const other = new Contact().start();
    other.answer();
    other.give({ kind: "end" });
    expect(other.answer({ status: 133 })).toEqual([]);
    expect(other.state.phase).toBe("ended");
  });
});

describe("contact and home agent together", () => {
  it("agree whatever clocks and numbers they start from, at a takeover too", () => {
    const newer: MobilityKey = { spi: 301, key: new Uint8Array(32).fill(8) };
    let home: HomeAgent = newHomeAgent({ home: X, associations: [association, newer], maxLifetimeSeconds: 600, onLink: false }, 0);
    const careOfs = [K, parseAddress("2001:db8:3::31")];
    careOfs.forEach((careOf, i) => {
      const wish = { home: X, homeAgent: H, careOf, association: i === 0 ? association : newer, lifetimeSeconds: 420 };
      let state = newRegistration(wish, 0, epoch - 40 * seconds * (1 + i), seededRandom(`node ${i}`).bytes);
      let effects = registerHome(state, { kind: "start" }, 0);
      for (let now = 10; now < 100 && effects.state.phase === "asking"; now += 10) {
        state = effects.state;
        const [update] = sentBy(effects.effects);
        const answer = serveHome(home, { ...received(update as MobilityPacket), wall: epoch + now }, now);
        home = answer.state;
        effects = registerHome(state, received(sentBy(answer.effects)[0] as MobilityPacket), now);
      }
      expect(effects.state.phase).toBe("registered");
      expect(home).toMatchObject({ phase: "registered", careOf });
    });
  });
});
