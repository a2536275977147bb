import { parseAddress, type Address } from "../../../src-shared/net/address.ts";
import { correspond, newCorrespondent } from "../../../src-shared/protocol/core/correspondent.ts";
import type { Correspondent } from "../../../src-shared/protocol/core/correspondentState.ts";
import type { GroupEffect, GroupView } from "../../../src-shared/protocol/core/group/effects.ts";
import { Group } from "../../../src-shared/protocol/core/group/group.ts";
import type { GroupInput } from "../../../src-shared/protocol/core/group/groupInput.ts";
import type { MemberMessage } from "../../../src-shared/protocol/core/group/memberMessage.ts";
import type { MobilityPacket } from "../../../src-shared/protocol/wire/message.ts";
import { decodePacket, encodePacket } from "../../../src-shared/protocol/wire/packet.ts";
import { seededRandom } from "../../../src-shared/stats/random.ts";
import { Feed } from "../feed.ts";
import { must, type Target } from "../target.ts";

const home = parseAddress("2001:db8:f::1");
const homeAgent = parseAddress("2001:db8:f::ff");
const members = new Map(["k", "a", "b"].map((name, i) => [name, parseAddress(`2001:db8:${i + 1}::1`)]));
const names = [...members.keys()];
const clients = ["2001:db8:c1::1", "2001:db8:c2::1"].map(parseAddress);
const modes = ["full", "prepared"] as const;
const inputs = 60;
/** Packets under way; more are lost, as in any network. */
const mostUnderWay = 64;
const longestBindingMs = 420_000;
/** A link between members that is slower than this is taken down (src-agent/members/links.ts); services rebuild sockets at once or not at all. */
const promptMs = 3_000;

type UnderWay = { readonly to: string; readonly from: string; readonly message: MemberMessage; readonly by: number } | { readonly packet: MobilityPacket };

interface Client {
  readonly address: Address;
  node: Correspondent;
  /** Has Mobile IPv6. */
  readonly mobile: boolean;
  boundTo: Address | null;
  boundAt: number;
  /** Members whose services have its connections live: never two. */
  readonly live: Set<string>;
}

/** A whole group and its clients on a network that loses, doubles and delays packets, and with services that fail. */
class World {
  now = 1_000;
  readonly #feed: Feed;
  readonly #groups = new Map<string, Group>();
  readonly #clients: readonly Client[];
  readonly #random = seededRandom("world");
  readonly #underWay: UnderWay[] = [];
  readonly #completions: { readonly member: string; readonly good: GroupInput; readonly bad?: GroupInput; readonly by?: number; readonly can?: () => boolean; readonly effect?: () => void }[] = [];
  readonly #asked = new Set<string>();
  #requests = 0;
  #calm = false;

  constructor(feed: Feed) {
    this.#feed = feed;
    const autoOptimise = feed.flag();
    for (const self of names) this.#groups.set(self, new Group(viewOf(self), this.#random.bytes, { autoOptimise }));
    this.#clients = clients.map((address) => ({ address, node: newCorrespondent(this.now, this.#random.bytes), mobile: feed.below(4) !== 3, boundTo: null, boundAt: 0, live: new Set(["k"]) }));
    for (const { address } of this.#clients) this.#give("k", { kind: "activity", client: address, active: true });
  }

  step(): void {
    const feed = this.#feed;
    switch (feed.below(8)) {
      case 0: {
        const request = `r${this.#requests++}`;
        const client = feed.pick(clients);
        this.#asked.add(request);
        const wish = { handoff: request, acceptor: feed.pick(names), mode: feed.pick(modes), drain: false, decidedAt: this.now };
        return this.#give("k", feed.pick<GroupInput>([{ kind: "handOver", client, wish }, { kind: "prepare", client, request }, { kind: "optimise", client, request }]));
      }
      case 1:
        return this.#pass(feed.time());
      case 2:
        return this.#give("k", feed.pick<GroupInput>([{ kind: "discardTokens", client: feed.pick(clients) }, { kind: "notCapable", client: feed.pick(clients), cookie: feed.bytes(8) }]));
      case 3:
        return this.#complete(feed.below(Math.max(1, this.#completions.length)), feed.below(4) !== 3);
      default:
        return this.#deliver(feed.below(Math.max(1, this.#underWay.length)), feed.below(8));
    }
  }

  /** The network is good from now on. Everybody is answered, and each client is served by exactly the member that the contact thinks. */
  finish(): void {
    this.#calm = true;
    for (let rounds = 0; rounds < 80; rounds++) {
      this.#settle();
      this.#pass(1_000);
    }
    this.#settle();
    must(this.#asked.size === 0, `never answered: ${[...this.#asked].join(", ")}`);
    const { clients: known } = (this.#groups.get("k") as Group).inspect(this.now) as { clients: { client: Address; server: string; work: string }[] };
    for (const { address, live, boundTo } of this.#clients) {
      const entry = known.find((c) => c.client === address);
      must(live.size === 1, `${address} is served by ${live.size === 0 ? "nobody" : [...live].join(" and ")}`);
      must(entry !== undefined && live.has(entry.server), `${address} is served by ${[...live].join()}, the contact thinks ${entry?.server}`);
      must(boundTo === null || boundTo === members.get(entry.server), `${address} is bound to ${boundTo}, and served by ${entry.server}`);
    }
  }

  #settle(): void {
    for (let left = 2_000; this.#underWay.length + this.#completions.length > 0; left--) {
      must(left > 0, "they talk without end");
      if (this.#underWay.length > 0) this.#deliver(0, 0);
      else this.#complete(0, true);
    }
  }

  #pass(ms: number): void {
    const until = this.now + ms;
    for (let woken = 0; ; woken++) {
      const next = Math.min(...[...this.#groups.values()].map((g) => g.nextWake() ?? Infinity));
      const [message, completion] = [this.#underWay.findIndex((u) => "by" in u), this.#completions.findIndex((c) => c.by !== undefined)];
      const by = Math.min((this.#underWay[message] as { by?: number } | undefined)?.by ?? Infinity, this.#completions[completion]?.by ?? Infinity);
      if (Math.min(next, by) > until) break;
      must(woken < 500, "woken without end");
      this.now = Math.max(this.now, Math.min(next, by));
      if (by <= next) {
        if ((this.#completions[completion]?.by ?? Infinity) === by) this.#complete(completion, true);
        else this.#deliver(message, 0);
        continue;
      }
      for (const name of names) if ((this.#groups.get(name)?.nextWake() ?? Infinity) <= this.now) this.#give(name, { kind: "wake" });
    }
    this.now = until;
    for (const client of this.#clients) this.#toClient(client, { kind: "wake" });
  }

  /** `fate` 5: lost, 6: arrives twice. What members say to each other is neither, and stays in order. */
  #deliver(at: number, fate: number): void {
    const chosen = this.#underWay[at];
    if (!chosen) return;
    const item = "packet" in chosen ? chosen : (this.#underWay.find((u) => "to" in u && u.to === chosen.to && u.from === chosen.from) as UnderWay);
    if (fate !== 6 || !("packet" in item)) this.#underWay.splice(this.#underWay.indexOf(item), 1);
    if ("to" in item) return this.#give(item.to, { kind: "member", from: item.from, message: item.message, at: this.now });
    if (fate !== 5) this.#arrive(item.packet);
  }

  #complete(at: number, good: boolean): void {
    const [done] = this.#completions.splice(at, 1);
    if (!done) return;
    // Services have nothing to give while an earlier, slower order of theirs has it.
    const succeeds = (good || !done.bad) && (done.can?.() ?? true);
    if (succeeds) done.effect?.();
    this.#give(done.member, succeeds || !done.bad ? done.good : done.bad);
  }

  #give(name: string, input: GroupInput): void {
    for (const effect of (this.#groups.get(name) as Group).input(input, this.now)) this.#effect(name, effect);
  }

  #effect(name: string, effect: GroupEffect): void {
    switch (effect.do) {
      case "send":
        return this.#send({ packet: effect.packet });
      case "tellMember":
        this.#underWay.push({ to: effect.member, from: name, message: effect.message, by: this.now + promptMs });
        return;
      case "collect": {
        const { handoff, client, word } = effect;
        const { live } = this.#client(client);
        this.#underWay.push({ to: word.member, from: name, message: word.message, by: this.now + promptMs });
        const good: GroupInput = { kind: "collected", handoff, client, bundle: Uint8Array.of(1), connections: 1, frozenAt: this.now, drainMs: 0 };
        this.#completions.push({ member: name, good, bad: { kind: "notCollected", handoff, reason: "cannot move" }, can: () => live.has(name), effect: () => live.delete(name) });
        return;
      }
      case "reinstate":
        this.#completions.push({ member: name, good: { kind: "reinstated", handoff: effect.handoff }, effect: () => this.#goesLive(effect.client, name) });
        return;
      case "restore":
        this.#completions.push({ member: name, good: { kind: "restored", handoff: effect.handoff }, bad: { kind: "notRestored", handoff: effect.handoff, reason: "bad bundle" }, by: this.now + promptMs });
        return;
      case "activate":
        return this.#goesLive(effect.name.client, name);
      case "answer":
        return must(this.#asked.delete(effect.request), `an answer that nobody waits for: ${effect.request}`);
    }
  }

  #goesLive(client: Address, name: string): void {
    const { live } = this.#client(client);
    live.add(name);
    must(live.size === 1, `${client} is served by ${[...live].join(" and ")} at once`);
  }

  #send(item: { readonly packet: MobilityPacket }): void {
    if (this.#calm || this.#underWay.length < mostUnderWay) this.#underWay.push(item);
  }

  #arrive(sent: MobilityPacket): void {
    const decoded = decodePacket(encodePacket(sent));
    must(decoded.ok, "sent what cannot be decoded");
    const { tunnel: _, ...packet } = decoded.packet;
    const { mobilityHeader } = decoded;
    const client = this.#clients.find(({ address }) => address === packet.destination);
    if (client) {
      if (client.mobile) this.#toClient(client, { kind: "packet", packet, mobilityHeader });
      return;
    }
    const isHome = packet.destination === home;
    const to = isHome ? "k" : names.find((name) => members.get(name) === packet.destination);
    if (to) this.#give(to, { kind: "packet", packet: isHome ? { ...packet, tunnel: { source: homeAgent, destination: members.get("k") as Address } } : packet, mobilityHeader, at: this.now });
  }

  #toClient(client: Client, input: Parameters<typeof correspond>[1]): void {
    const { state, effects } = correspond(client.node, input, this.now, this.#random.bytes);
    client.node = state;
    for (const effect of effects) {
      if (effect.do === "send") this.#send({ packet: effect.packet });
      if (effect.do === "unbind") client.boundTo = null;
      if (effect.do === "bind") client.boundTo = effect.careOf;
      if (effect.do === "tell" && effect.event.type === "bindingAccepted") client.boundAt = this.now;
    }
    must(client.boundTo === null || names.some((name) => members.get(name) === client.boundTo), `bound to ${client.boundTo}`);
    must(client.boundTo === null || this.now < client.boundAt + longestBindingMs, "a binding older than 420 s");
  }

  #client(address: Address): Client {
    return this.#clients.find((c) => c.address === address) as Client;
  }
}

function viewOf(self: string): GroupView {
  return { id: "g", home, homeAgent, self, contact: "k", members, lifetimeSeconds: 420 };
}

export const groupWorld: Target = {
  name: "groupWorld",
  weight: 0.02,
  longest: 500,
  // A handoff on a good network; two in a row.
  seeds: () => [Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0]), Uint8Array.from([1, 0, 0, 0, 0, 1, 0, 0, 4, 0, 0, 4, 0, 0, 4, 0, 0, 4, 0, 0, 0, 0, 2, 1, 0]), Uint8Array.from([0, 3, 0, 0, 0, 1, 0, 0])],
  run: (input) => {
    const feed = new Feed(input);
    const world = new World(feed);
    for (let i = 0; i < inputs && feed.more; i++) world.step();
    world.finish();
  },
};
