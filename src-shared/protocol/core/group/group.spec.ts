import { beforeEach, describe, expect, it } from "vitest";
import { parseAddress, type Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import { decodePacket, encodePacket } from "../../wire/packet.ts";
import { correspond, newCorrespondent } from "../correspondent.ts";
import type { Correspondent } from "../correspondentState.ts";
import type { GroupEffect, GroupView } from "./effects.ts";
import { Group, type GroupInput } from "./group.ts";

const home = parseAddress("2001:db8:f::1");
const homeAgent = parseAddress("2001:db8:f::ff");
const client = parseAddress("2001:db8:c1::10");
const members = new Map(["k", "a", "b"].map((name, i) => [name, parseAddress(`2001:db8:${i + 1}::1`)] as const));
const nameOf = (address: Address): string => [...members].find(([, a]) => a === address)?.[0] ?? "?";

/** Three members, one client and a home agent that only tunnels, without latency: every packet and message arrives at once, through the real codecs. */
class World {
  now = 1000;
  readonly groups = new Map<string, Group>();
  correspondent: Correspondent;
  /** The client's kernel has no Mobile IPv6: its test inits go unanswered. */
  plain = false;
  /** Packets for which this is true are lost. */
  lose: (packet: MobilityPacket) => boolean = () => false;
  refuseRestore: string | null = null;
  readonly log: string[] = [];
  readonly effects: [string, GroupEffect][] = [];
  readonly answers = new Map<string, string>();
  boundTo: Address | null = null;
  readonly updates: number[] = [];
  readonly #queue: (() => void)[] = [];
  #seed = 1;
  readonly random = (length: number): Uint8Array => Uint8Array.from({ length }, () => (this.#seed = (this.#seed * 48271) % 0x7fffffff) & 0xff);

  constructor() {
    for (const name of members.keys()) this.groups.set(name, new Group(this.view(name), this.random, { autoOptimise: false }));
    this.correspondent = newCorrespondent(this.now, this.random);
  }

  view(self: string): GroupView {
    return { id: "g", home, homeAgent, self, contact: "k", members, lifetimeSeconds: 420 };
  }

  give(member: string, input: GroupInput): void {
    for (const effect of (this.groups.get(member) as Group).input(input, this.now)) this.#perform(member, effect);
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) next();
  }

  /** Time passes; members are woken when they want to be. */
  advance(ms: number): void {
    for (const until = this.now + ms; ; ) {
      const next = Math.min(...[...this.groups.values()].map((g) => g.nextWake() ?? Infinity));
      if (next > until) {
        this.now = until;
        return;
      }
      this.now = Math.max(this.now, next);
      for (const name of members.keys()) this.give(name, { kind: "wake" });
    }
  }

  handOver(handoff: string, acceptor: string, mode: "full" | "prepared" = "full"): void {
    this.give("k", { kind: "handOver", client, wish: { handoff, acceptor, mode, drain: false, decidedAt: this.now } });
  }

  steps(handoff: string): string[] {
    return this.effects.flatMap(([member, effect]) => {
      const mark = effect.do === "mark" ? effect : "mark" in effect ? effect.mark : undefined;
      return mark?.handoff === handoff ? [`${member}:${mark.step}`] : [];
    });
  }

  #later(member: string, input: GroupInput): void {
    this.#queue.push(() => {
      for (const effect of (this.groups.get(member) as Group).input(input, this.now)) this.#perform(member, effect);
    });
  }

  #perform(member: string, effect: GroupEffect): void {
    this.effects.push([member, effect]);
    switch (effect.do) {
      case "send":
        this.#queue.push(() => this.#network(effect.packet));
        return;
      case "tellMember":
        this.log.push(`${member}->${effect.member} ${effect.message.kind}`);
        this.#later(effect.member, { kind: "member", from: member, message: effect.message, at: this.now });
        return;
      case "collect":
        this.#perform(member, { do: "tellMember", ...effect.offer });
        this.#later(member, { kind: "collected", handoff: effect.handoff, bundle: Uint8Array.of(9), connections: 2, frozenAt: this.now, drainMs: 0 });
        return;
      case "restore":
        this.#later(member, this.refuseRestore ? { kind: "notRestored", handoff: effect.handoff, reason: this.refuseRestore } : { kind: "restored", handoff: effect.handoff });
        return;
      case "reinstate":
        this.#later(member, { kind: "reinstated", handoff: effect.handoff });
        return;
      case "answer":
        this.answers.set(effect.request, effect.error ? `${effect.error.step}: ${effect.error.reason}` : "ok");
    }
  }

  #network(sent: MobilityPacket): void {
    if (this.lose(sent)) return;
    const decoded = decodePacket(encodePacket(sent));
    if (!decoded.ok) throw new Error(`undecodable: ${decoded.reason} ${decoded.field}`);
    const { mobilityHeader } = decoded;
    let { packet } = decoded;
    if (packet.tunnel?.destination === homeAgent) packet = { ...packet, tunnel: undefined } as unknown as MobilityPacket;
    if (packet.destination === client) return this.#client(packet, mobilityHeader);
    const toHome = packet.destination === home;
    const member = toHome ? "k" : nameOf(packet.destination);
    const arriving = toHome ? { ...packet, tunnel: { source: homeAgent, destination: members.get("k") as Address } } : packet;
    this.#later(member, { kind: "packet", packet: arriving, mobilityHeader, at: this.now });
  }

  #client(packet: MobilityPacket, mobilityHeader: Uint8Array): void {
    if (this.plain) return;
    if (packet.message.kind === "bindingUpdate") this.updates.push(packet.message.sequence);
    const { tunnel: _, ...plain } = packet;
    const step = correspond(this.correspondent, { kind: "packet", packet: plain, mobilityHeader }, this.now, this.random);
    this.correspondent = step.state;
    for (const effect of step.effects) {
      if (effect.do === "send") this.#queue.push(() => this.#network(effect.packet));
      if (effect.do === "bind") this.boundTo = effect.careOf;
    }
  }
}

let world: World;
beforeEach(() => {
  world = new World();
  world.give("k", { kind: "activity", client, active: true });
});

describe("a group", () => {
  it("hands a client over in the paper's first way", () => {
    world.handOver("h1", "a");
    expect(world.answers.get("h1")).toBe("ok");
    expect(world.boundTo).toBe(members.get("a"));
    // Told when the state is written down, so somewhere beside the acceptor's first steps.
    expect(world.steps("h1")).toContain("k:frozen");
    expect(world.steps("h1").filter((step) => step !== "k:frozen")).toEqual(
      ["k:decided", "k:homeTestInit", "k:homeTest", "k:stateSent", "a:stateReceived", "a:careOfTestInit", "a:careOfTest", "a:bindingUpdate", "a:bindingAcknowledgement", "k:done"],
    );
  });

  it("sends no home test when one was prepared", () => {
    world.give("k", { kind: "prepare", client, request: "p" });
    world.handOver("h1", "a", "prepared");
    expect(world.answers.get("p")).toBe("ok");
    expect(world.steps("h1")).not.toContain("k:homeTestInit");
    expect(world.answers.get("h1")).toBe("ok");
  });

  it("chains handoffs and comes back, with ever newer sequence numbers", () => {
    const route = ["a", "b", "a", "k", "b", "k"];
    for (const [i, acceptor] of route.entries()) {
      world.handOver(`h${i}`, acceptor, i % 2 ? "prepared" : "full");
      world.advance(2_000);
      expect(world.answers.get(`h${i}`), `handoff ${i} to ${acceptor}`).toBe("ok");
      expect(world.boundTo).toBe(members.get(acceptor));
    }
    for (let i = 1; i < world.updates.length; i++) expect(((world.updates[i] as number) - (world.updates[i - 1] as number)) & 0xffff).toBeLessThan(0x8000);
    // The contact holds no relay for a client that it serves itself.
    const last = world.effects.filter(([member, e]) => member === "k" && (e.do === "relay" || e.do === "unrelay" || e.do === "restore")).at(-1)?.[1];
    expect(last?.do).toBe("unrelay");
  });

  it("keeps to three binding updates a second, and then goes on", () => {
    const answeredAtOnce: boolean[] = [];
    for (const [i, acceptor] of ["a", "b", "a", "b", "a"].entries()) {
      world.handOver(`h${i}`, acceptor);
      answeredAtOnce.push(world.answers.has(`h${i}`));
      world.advance(i === 3 ? 1_000 : 1);
      expect(world.answers.get(`h${i}`)).toBe("ok");
    }
    expect(answeredAtOnce).toEqual([true, true, true, false, true]);
  });

  it("leaves the client with its donor when the acceptor cannot rebuild the connections, and binds it there", () => {
    world.handOver("h1", "a");
    world.advance(1_000);
    world.refuseRestore = "bad bundle";
    world.handOver("h2", "b");
    expect(world.answers.get("h2")).toMatch(/bad bundle/);
    expect(world.effects.some(([member, e]) => member === "a" && e.do === "reinstate")).toBe(true);
    expect(world.effects.some(([member, e]) => member === "b" && e.do === "abandon")).toBe(true);
    world.advance(5_000);
    expect(world.boundTo).toBe(members.get("a"));
    expect(world.groups.get("k")?.inspect(world.now)).toMatchObject({ clients: [{ server: "a", work: "idle" }] });
  });

  it("gives the client back when it cannot be bound at the acceptor", () => {
    world.lose = (packet) => packet.message.kind === "careOfTestInit" && packet.source === members.get("b");
    world.handOver("h1", "b");
    world.advance(20_000);
    expect(world.answers.get("h1")).toMatch(/careOfTest: no answer/);
    expect(world.boundTo).toBe(members.get("k"));
  });

  it("survives a lost acknowledgement with a new sequence number", () => {
    let lost = 0;
    world.lose = (packet) => packet.message.kind === "bindingAcknowledgement" && lost++ === 0;
    world.handOver("h1", "a");
    expect(world.answers.has("h1")).toBe(false);
    world.advance(1_100);
    expect(world.answers.get("h1")).toBe("ok");
    expect(world.updates.length).toBe(2);
  });

  it("goes on above the client's number after status 135", () => {
    world.handOver("h1", "a");
    world.advance(1_000);
    // A new contact process starts counting somewhere behind.
    const used = world.updates.at(-1) as number;
    const behind = new Group(world.view("k"), (n) => Uint8Array.from({ length: n }, (_, i) => ((used - 100) >> (8 * (n - 1 - i))) & 0xff), { autoOptimise: false });
    world.groups.set("k", behind);
    world.give("k", { kind: "activity", client, active: true });
    world.give("k", { kind: "optimise", client, request: "o" });
    world.advance(3_000);
    expect(world.answers.get("o")).toBe("ok");
    expect(world.boundTo).toBe(members.get("k"));
  });

  it("hands over a client without Mobile IPv6 by relaying, without any binding", () => {
    world.plain = true;
    world.handOver("h1", "a");
    world.advance(10_000);
    expect(world.answers.get("h1")).toBe("ok");
    expect(world.updates).toEqual([]);
    expect(world.effects.some(([member, e]) => member === "a" && e.do === "optimise")).toBe(false);
    expect(world.effects.some(([member, e]) => member === "k" && e.do === "relay" && e.member === members.get("a"))).toBe(true);
    world.handOver("h2", "k");
    world.advance(100);
    expect(world.answers.get("h2")).toBe("ok");
  });

  it("refreshes a binding before it ends, for active clients only", () => {
    world.handOver("h1", "a");
    const before = world.updates.length;
    world.advance(400_000);
    expect(world.updates.length).toBe(before + 1);
    world.give("a", { kind: "activity", client, active: false });
    world.advance(900_000);
    expect(world.updates.length).toBe(before + 1);
    expect(world.groups.get("k")?.inspect(world.now)).toMatchObject({ clients: [] });
  });

  it("takes orders from the contact only, and offers only from the donor the contact has named", () => {
    const lease = { next: 1, last: 2 };
    world.give("a", { kind: "member", from: "b", at: 0, message: { kind: "take", handoff: "x", client, acceptor: "b", mode: "full", drain: false, lease, grant: null } });
    world.give("a", { kind: "member", from: "b", at: 0, message: { kind: "offer", handoff: "x", client, mode: "full", lease, grant: null } });
    world.advance(3_000);
    expect(world.effects.some(([member, e]) => member === "a" && (e.do === "collect" || e.do === "restore"))).toBe(false);
    expect(world.effects.filter(([member, e]) => member === "a" && e.do === "drop").length).toBe(2);
  });

  it("says why when asked for what cannot be", () => {
    world.handOver("h1", "k");
    expect(world.answers.get("h1")).toMatch(/serves .* already/);
    world.handOver("h2", "nobody");
    expect(world.answers.get("h2")).toMatch(/not a member/);
    world.give("a", { kind: "optimise", client, request: "r" });
    expect(world.answers.get("r")).toMatch(/ask k/);
  });
});
