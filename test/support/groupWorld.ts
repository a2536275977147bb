import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import { correspond, newCorrespondent } from "../../src-shared/protocol/core/correspondent.ts";
import { defaultCorrespondentLimits, type Correspondent, type CorrespondentLimits } from "../../src-shared/protocol/core/correspondentState.ts";
import type { Transport } from "../../src-shared/protocol/core/group/dataWatch.ts";
import type { GroupEffect, GroupView } from "../../src-shared/protocol/core/group/effects.ts";
import { Group } from "../../src-shared/protocol/core/group/group.ts";
import type { GroupInput } from "../../src-shared/protocol/core/group/groupInput.ts";
import type { MobilityPacket } from "../../src-shared/protocol/wire/message.ts";
import { decodePacket, encodePacket } from "../../src-shared/protocol/wire/packet.ts";

export const home = parseAddress("2001:db8:f::1");
export const homeAgent = parseAddress("2001:db8:f::ff");
export const client = parseAddress("2001:db8:c1::10");
export const members = new Map(["k", "a", "b"].map((name, i) => [name, parseAddress(`2001:db8:${i + 1}::1`)] as const));
const nameOf = (address: Address): string => [...members].find(([, a]) => a === address)?.[0] ?? "?";

/** Three members (k is the contact), one client and a home agent that only tunnels, without latency: every packet and message arrives at once, through the real codecs. */
export class GroupWorld {
  now = 1000;
  readonly groups = new Map<string, Group>();
  correspondent: Correspondent;
  /** The client's kernel has no Mobile IPv6: its test inits go unanswered. */
  plain = false;
  /** Packets for which this is true are lost. */
  lose: (packet: MobilityPacket) => boolean = () => false;
  /** What the client's sockets at a member know of the path: by default, that all is well. */
  transport: (member: string) => Transport = () => ({ connections: 1, rttMs: 10, ackAgeMs: 0, unacknowledged: false });
  refuseRestore: string | null = null;
  /** Services let go only when told to, by `letGo` or `cling`. */
  slowServices = false;
  /** What members say to each other goes here instead of on its way, when set. */
  delayMember: ((give: () => void) => void) | null = null;
  readonly log: string[] = [];
  readonly effects: [string, GroupEffect][] = [];
  readonly answers = new Map<string, string>();
  boundTo: Address | null = null;
  /** Numbers of the Binding Updates that reached the client, and when. */
  readonly updates: number[] = [];
  readonly updateTimes: number[] = [];
  /** Every message that left somebody, and when. */
  readonly sentAt: [number, MobilityPacket][] = [];
  readonly #queue: (() => void)[] = [];
  readonly #collecting: { readonly member: string; readonly effect: Extract<GroupEffect, { do: "collect" }> }[] = [];
  #seed = 1;
  readonly random = (length: number): Uint8Array => Uint8Array.from({ length }, () => (this.#seed = (this.#seed * 48271) % 0x7fffffff) & 0xff);

  readonly #patience: number | undefined;

  constructor(limits: Partial<CorrespondentLimits> = {}, options: { readonly patience?: number } = {}) {
    this.#patience = options.patience;
    for (const name of members.keys()) this.groups.set(name, new Group(this.view(name), this.random, { autoOptimise: false }));
    this.correspondent = newCorrespondent(this.now, this.random, { ...defaultCorrespondentLimits, ...limits });
  }

  view(self: string): GroupView {
    return { id: "g", home, homeAgent, self, contact: "k", members, lifetimeSeconds: 420, ...(this.#patience !== undefined && { patience: this.#patience }) };
  }

  give(member: string, input: GroupInput): void {
    for (const effect of (this.groups.get(member) as Group).input(input, this.now)) this.#perform(member, effect);
    this.drain();
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

  /** The client sends this to X; `packet` as it leaves the client. */
  fromClient(packet: MobilityPacket): void {
    this.#queue.push(() => this.#network(packet));
    this.drain();
  }

  drain(): void {
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) next();
  }

  /** The services of members let go now. */
  letGo(): void {
    for (const { member, effect } of this.#collecting.splice(0)) this.#collect(member, effect);
    this.drain();
  }

  /** They will not. */
  cling(reason: string): void {
    for (const { member, effect } of this.#collecting.splice(0)) this.#later(member, { kind: "notCollected", handoff: effect.handoff, reason });
    this.drain();
  }

  #collect(member: string, effect: Extract<GroupEffect, { do: "collect" }>): void {
    this.#perform(member, { do: "tellMember", ...effect.word });
    this.#later(member, { kind: "collected", handoff: effect.handoff, client: effect.client, bundle: Uint8Array.of(9), connections: 2, frozenAt: this.now, drainMs: 0 });
  }

  /** How the client was said to be served, and why. */
  served(): string[] {
    return this.effects.flatMap(([, e]) => (e.do === "tell" && e.event.type === "clientServed" ? [`${String(e.event["how"])} by ${String(e.event["member"])}: ${String(e.event["why"])}`] : []));
  }

  dropsAt(member: string): string[] {
    return this.effects.flatMap(([name, e]) => (name === member && e.do === "drop" ? [e.reason] : []));
  }

  steps(handoff: string): string[] {
    return this.effects.flatMap(([member, effect]) => {
      const mark = effect.do === "mark" ? effect : "mark" in effect ? effect.mark : undefined;
      return mark?.handoff === handoff ? [`${member}:${mark.step}`] : [];
    });
  }

  #tell(member: string, input: GroupInput): void {
    if (this.delayMember) this.delayMember(() => this.#later(member, input));
    else this.#later(member, input);
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
        return this.#tell(effect.member, { kind: "member", from: member, message: effect.message, at: this.now });
      case "collect":
        if (this.slowServices) this.#collecting.push({ member, effect });
        else this.#collect(member, effect);
        return;
      case "askTransport":
        this.#later(member, { kind: "transport", client: effect.client, transport: this.transport(member) });
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
    this.sentAt.push([this.now, sent]);
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
    if (packet.message.kind === "bindingUpdate") {
      this.updates.push(packet.message.sequence);
      this.updateTimes.push(this.now);
    }
    const { tunnel: _, ...plain } = packet;
    const step = correspond(this.correspondent, { kind: "packet", packet: plain, mobilityHeader }, this.now, this.random);
    this.correspondent = step.state;
    for (const effect of step.effects) {
      if (effect.do === "send") this.#queue.push(() => this.#network(effect.packet));
      if (effect.do === "bind") this.boundTo = effect.careOf;
      if (effect.do === "unbind") this.boundTo = null;
    }
  }
}
