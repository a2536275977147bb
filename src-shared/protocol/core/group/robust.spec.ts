import { beforeEach, describe, expect, it } from "vitest";
import { statelessAnswer } from "../../../../test/support/statelessClient.ts";
import { addressBytes, parseAddress, type Address } from "../../../net/address.ts";
import { seededRandom } from "../../../stats/random.ts";
import { bindingManagementKey, signBindingAcknowledgement } from "../../wire/authenticator.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import { encodeMobilityHeader } from "../../wire/mobilityHeader.ts";
import type { GroupEffect, GroupView } from "./effects.ts";
import { earlyOffers } from "./earlyOffers.ts";
import { Group, openHandoffs } from "./group.ts";
import type { MemberMessage } from "./memberMessage.ts";

const client = parseAddress("2001:db8:c1::10");
const clientOf = (i: number): Address => parseAddress(`2001:db8:c2::${(i + 1).toString(16)}`);
const members = new Map(["k", "a", "b"].map((name, i) => [name, parseAddress(`2001:db8:${i + 1}::1`)] as const));
const lease = { next: 1, last: 8 };
const grant = { token: new Uint8Array(8), nonceIndex: 1, ageMs: 0 };

function groupOf(self: string): Group {
  const view: GroupView = { id: "g", home: parseAddress("2001:db8:f::1"), homeAgent: parseAddress("2001:db8:f::ff"), self, contact: "k", members, lifetimeSeconds: 420 };
  return new Group(view, seededRandom(self).bytes, { autoOptimise: false });
}

const drops = (effects: readonly GroupEffect[]): string[] => effects.filter((e) => e.do === "drop").map((e) => e.reason);
const said = (effects: readonly GroupEffect[]): MemberMessage[] => effects.filter((e) => e.do === "tellMember").map((e) => e.message);

/** Lifetime and status are under the authenticator too. */
function signedAnew(packet: MobilityPacket): MobilityPacket {
  const token = addressBytes(client).slice(8);
  return packet.message.kind === "bindingAcknowledgement" ? signBindingAcknowledgement(packet, packet.destination, bindingManagementKey(token, token)) : packet;
}

let k: Group;
const give = (message: MemberMessage, from = "k", group = k): GroupEffect[] => group.input({ kind: "member", from, message, at: 0 }, 0);
beforeEach(() => {
  k = groupOf("k");
  k.input({ kind: "activity", client, active: true }, 0);
});

describe("a contact", () => {
  it("does not spin on a client that grants next to nothing", () => {
    k.input({ kind: "optimise", client, request: "r" }, 0);
    let woken = 0;
    for (let at: number | null = 0; at !== null && at < 10_000; at = k.nextWake()) {
      const effects = woken++ === 0 ? k.input({ kind: "wake" }, 1_000) : k.input({ kind: "wake" }, at);
      for (let sent = effects.find((e) => e.do === "send"); sent; ) {
        const { message, ...rest } = statelessAnswer(sent.packet, k.view);
        const answer = signedAnew(message.kind === "bindingAcknowledgement" ? { ...rest, message: { ...message, lifetimeUnits: 0 } } : { ...rest, message });
        sent = k.input({ kind: "packet", packet: answer, mobilityHeader: encodeMobilityHeader(answer.message), at }, at).find((e) => e.do === "send");
      }
      expect(woken).toBeLessThan(100);
    }
  });

  it("does not spin on a bound client that is said to have no Mobile IPv6", () => {
    const answering = (effects: readonly GroupEffect[], at: number): void => {
      for (let sent = effects.find((e) => e.do === "send"); sent; ) {
        const answer = statelessAnswer(sent.packet, k.view);
        sent = k.input({ kind: "packet", packet: answer, mobilityHeader: encodeMobilityHeader(answer.message), at }, at).find((e) => e.do === "send");
      }
    };
    answering(k.input({ kind: "optimise", client, request: "r" }, 0), 0);
    // The refresh is due, and its home test is answered by an error.
    let at = 0;
    for (let probing = false; !probing; probing = k.input({ kind: "wake" }, at).some((e) => e.do === "send")) at = k.nextWake() as number;
    k.input({ kind: "notCapable", client, cookie: null }, at);
    let woken = 0;
    for (let next = k.nextWake(); next !== null && next < 419_000; next = k.nextWake()) {
      k.input({ kind: "wake" }, next);
      expect(++woken).toBeLessThan(10);
    }
  });

  it("asks a client that refuses every update twice, and then again after a minute", () => {
    const homeTests: number[] = [];
    let effects = k.input({ kind: "optimise", client, request: "r" }, 0);
    for (let now = 0; now < 59_000; now += 100) {
      for (let sent = effects.find((e) => e.do === "send"); sent; ) {
        const answer = statelessAnswer(sent.packet, k.view);
        if (sent.packet.message.kind === "homeTestInit") homeTests.push(now);
        const refused = answer.message.kind === "bindingAcknowledgement" ? { ...answer, message: { ...answer.message, status: 138, options: [] } } : answer;
        sent = k.input({ kind: "packet", packet: refused, mobilityHeader: encodeMobilityHeader(refused.message), at: now }, now).find((e) => e.do === "send");
      }
      effects = (k.nextWake() ?? Infinity) <= now ? k.input({ kind: "wake" }, now) : [];
    }
    expect(homeTests).toHaveLength(2);
    expect(k.nextWake()).toBe(60_000);
    expect(k.inspect(0)).toMatchObject({ clients: [{ boundForMs: null, work: "idle" }] });
  });

  it("answers a handoff that waited when its client went away", () => {
    k.input({ kind: "optimise", client, request: "o" }, 0);
    k.input({ kind: "handOver", client, wish: { handoff: "h", acceptor: "a", mode: "full", drain: false, decidedAt: 0 } }, 0);
    k.input({ kind: "activity", client, active: false }, 0);
    const answered = new Set<string>();
    for (let at = k.nextWake(); at !== null && at < 60_000; at = k.nextWake()) for (const effect of k.input({ kind: "wake" }, at)) if (effect.do === "answer") answered.add(effect.request);
    expect([...answered].sort()).toEqual(["h", "o"]);
  });
});

describe("a member", () => {
  it("hands over to members only, once, and not to itself", () => {
    const take: MemberMessage = { kind: "take", handoff: "h", client, acceptor: "nobody", mode: "full", drain: false, lease, grant };
    expect(said(give(take, "k", groupOf("a")))).toMatchObject([{ kind: "refused", reason: '"nobody" cannot take over from a' }]);
    expect(said(give({ ...take, acceptor: "a" }, "k", groupOf("a")))).toMatchObject([{ kind: "refused" }]);
    const a = groupOf("a");
    expect(give({ ...take, acceptor: "b" }, "k", a).map((e) => e.do)).toContain("collect");
    expect(drops(give({ ...take, acceptor: "b" }, "k", a))).toEqual(["an order for a handoff that is under way already"]);
    expect(drops(give(take, "stranger", a))[0]).toMatch(/not a member/);
  });

  it("takes connections up again that were collected too late", () => {
    const a = groupOf("a");
    const late = { kind: "collected", handoff: "h", client, bundle: new Uint8Array(1), connections: 1, frozenAt: 0, drainMs: 0 } as const;
    give({ kind: "take", handoff: "h", client, acceptor: "b", mode: "full", drain: false, lease, grant }, "k", a);
    a.input({ kind: "wake" }, 5_000);
    expect(a.input(late, 6_000)).toContainEqual({ do: "reinstate", handoff: "h", client });
  });

  it("keeps a bounded number of handoffs, offers, announcements and refreshes, and refuses the rest", () => {
    const fill = (count: number, message: (i: number) => MemberMessage, from = "k"): string[] => {
      const a = groupOf("a");
      for (let i = 0; i < count; i++) expect(drops(give(message(i), from, a))).toEqual([]);
      return drops(give(message(count), from, a));
    };
    expect(fill(openHandoffs, (i) => ({ kind: "take", handoff: `h${i}`, client: clientOf(i), acceptor: "b", mode: "full", drain: false, lease, grant }))).toEqual([expect.stringMatching(/too many handoffs.*"take"/)]);
    expect(fill(openHandoffs, (i) => ({ kind: "expect", handoff: `h${i}`, client: clientOf(i), donor: "b" }))).toEqual([expect.stringMatching(/too many handoffs.*"expect"/)]);
    expect(fill(openHandoffs, (i) => ({ kind: "offer", handoff: `h${i}`, client: clientOf(i), mode: "full", lease, grant, early: true }))).toEqual([expect.stringMatching(/too many handoffs.*"offer"/)]);
    expect(fill(earlyOffers, (i) => ({ kind: "offer", handoff: `h${i}`, client: clientOf(i), mode: "full", lease, grant, early: true }), "b")).toEqual([expect.stringMatching(/too many handoffs.*"offer"/)]);
    expect(fill(openHandoffs, (i) => ({ kind: "rebind", client: clientOf(i), lease, grant }))).toEqual([expect.stringMatching(/too many handoffs.*"rebind"/)]);
  });

  it("keeps the connections of a few early offers, and not more than 64 MB of them", () => {
    const a = groupOf("a");
    for (const i of [1, 2]) give({ kind: "offer", handoff: `h${i}`, client: clientOf(i), mode: "full", lease, grant, early: true }, "b", a);
    const bundle = new Uint8Array(40 << 20);
    const state = (i: number): MemberMessage => ({ kind: "state", handoff: `h${i}`, client: clientOf(i), connections: 1, drainMs: 0, bundle });
    expect(drops(give(state(1), "b", a))).toEqual([]);
    expect(drops(give(state(2), "b", a))).toEqual([expect.stringMatching(/too many handoffs.*"state"/)]);
  });
});
