import type { AgentEventBody } from "../src-shared/api/events.ts";
import type { Address } from "../src-shared/net/address.ts";
import type { GroupEffect, GroupView, HandoffName, Mark } from "../src-shared/protocol/core/group/effects.ts";
import { AddressSet } from "../src-shared/protocol/core/addressSet.ts";
import { Group } from "../src-shared/protocol/core/group/group.ts";
import type { GroupInput } from "../src-shared/protocol/core/group/groupInput.ts";
import type { BindingLoss, MemberMessage } from "../src-shared/protocol/core/group/memberMessage.ts";
import type { Millis, Random } from "../src-shared/protocol/core/step.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import type { Clock, Connections, DataPlane, Prepared, Released } from "./ports.ts";

/** What the runtime needs from the rest of the agent. */
export interface GroupPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly plane: DataPlane;
  readonly connections: Connections;
  /** Clients that handoffs bring to this member and take away from it. */
  readonly clients: { readonly arrived: (client: Address, connections: number) => void; readonly left: (client: Address) => void };
  /** Encodes and sends; returns when it left, throws on system call failure. */
  readonly send: (packet: MobilityPacket) => Millis;
  /** False when no link to that member stands. */
  readonly tellMember: (member: string, message: MemberMessage) => boolean;
  readonly tell: (event: AgentEventBody) => void;
  readonly drop: (reason: string, packet?: MobilityPacket) => void;
}

/** A handoff that could not be done, with the step at which it ended. */
export class HandoffError extends Error {
  readonly code = "handoff-failed";
  readonly step: string;
  constructor(step: string, reason: string) {
    super(`${step}: ${reason}`);
    this.step = step;
  }
}

/** Clients that others serve, as many as the contact knows at most: of those beyond, datagrams that pass here count as sent to us. */
const mostClients = 1 << 20;

/** How long a donor may wait for the client to acknowledge what is under way before it freezes all the same. */
const drainLimitMs = 500;

/** Carries out what a member's state machines want, and feeds the outcomes back. One per group; no decisions of its own. */
export class GroupRuntime {
  readonly view: GroupView;
  readonly #group: Group;
  readonly #ports: GroupPorts;
  readonly #released = new Map<string, Released>();
  readonly #prepared = new Map<string, Prepared>();
  /** Clients whose packets are on their way to another member. */
  readonly #elsewhere: AddressSet;
  readonly #answers = new Map<string, { readonly resolve: (connections: number) => void; readonly reject: (error: Error) => void }>();
  #timer: NodeJS.Timeout | null = null;
  #nextRequest = 1;
  #closed = false;

  constructor(view: GroupView, ports: GroupPorts, options: { readonly autoOptimise: boolean }) {
    this.view = view;
    this.#ports = ports;
    this.#group = new Group(view, ports.random, options);
    this.#elsewhere = new AddressSet(mostClients, new DataView(ports.random(4).slice().buffer).getInt32(0));
  }

  onPacket(packet: MobilityPacket, mobilityHeader: Uint8Array, at: Millis): void {
    this.#input({ kind: "packet", packet, mobilityHeader, at });
  }

  /** Whether a Care-of Test from this client is for this group. */
  awaitsCareOfTest(client: Address): boolean {
    return this.#group.awaitsCareOfTest(client);
  }

  onMemberMessage(from: string, message: MemberMessage): void {
    this.#input({ kind: "member", from, message, at: this.#ports.clock.mono() });
  }

  /** The client has connections here now (`active`), or none any more. */
  onActivity(client: Address, active: boolean): void {
    if (active) this.#ports.plane.serve(this.view.home, client);
    else this.#ports.plane.unserve(this.view.home, client);
    this.#input({ kind: "activity", client, active });
  }

  /** Another member serves this client, or is about to. */
  isElsewhere(client: Address): boolean {
    return this.#elsewhere.has(client);
  }

  /** The client says, unsigned, that it knows no Mobility Header; `cookie` is the one that its ICMPv6 error quotes. */
  onNotCapable(client: Address, cookie: Uint8Array | null): void {
    this.#input({ kind: "notCapable", client, cookie });
  }

  /** The client says, unsigned, that packets with our Home Address option are no good. */
  onBindingLost(client: Address, why: BindingLoss): void {
    this.#input({ kind: "bindingLost", client, why });
  }

  /** Resolves with the number of connections moved; rejects with a HandoffError. */
  handOver(handoff: string, client: Address, acceptor: string, mode: "full" | "prepared", drain: boolean): Promise<number> {
    if (this.#answers.has(handoff)) return Promise.reject(new HandoffError("decided", `handoff ${handoff} is under way already`));
    const wish = { handoff, acceptor, mode, drain, decidedAt: this.#ports.clock.mono() };
    return this.#ask(handoff, { kind: "handOver", client, wish });
  }

  async prepare(client: Address): Promise<void> {
    const request = this.#requestName();
    await this.#ask(request, { kind: "prepare", client, request });
  }

  async optimise(client: Address): Promise<void> {
    const request = this.#requestName();
    await this.#ask(request, { kind: "optimise", client, request });
  }

  discardTokens(client: Address): void {
    this.#input({ kind: "discardTokens", client });
  }

  get counts(): { readonly clients: number; readonly bound: number } {
    return this.#group.counts;
  }

  inspect(): Record<string, unknown> {
    return this.#group.inspect(this.#ports.clock.mono());
  }

  close(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    for (const { reject } of this.#answers.values()) reject(new HandoffError("done", "the agent is stopping"));
    this.#answers.clear();
    for (const prepared of this.#prepared.values()) prepared.abort();
    for (const released of this.#released.values()) released.destroy();
  }

  #requestName(): string {
    return `request-${this.#nextRequest++}`;
  }

  #ask(request: string, input: GroupInput): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#answers.set(request, { resolve, reject });
      this.#input(input);
    });
  }

  #input(input: GroupInput): void {
    if (this.#closed) return;
    const effects = this.#group.input(input, this.#ports.clock.mono());
    // Telling waits until everything that moves packets has been done.
    const later: (() => void)[] = [];
    for (const effect of effects) this.#perform(effect, later);
    for (const tell of later) tell();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer) clearTimeout(this.#timer);
    const at = this.#group.nextWake();
    this.#timer = at === null ? null : setTimeout(() => this.#input({ kind: "wake" }), Math.max(1, Math.ceil(at - this.#ports.clock.mono())));
  }

  #perform(effect: GroupEffect, later: (() => void)[]): void {
    const { plane, clock } = this.#ports;
    const { home } = this.view;
    switch (effect.do) {
      case "send": {
        const at = this.#ports.send(effect.packet);
        if (effect.mark) later.push(this.#marker(effect.mark, at));
        return;
      }
      case "tellMember": {
        const at = clock.mono();
        if (!this.#ports.tellMember(effect.member, effect.message)) return this.#unreachable(effect.member, effect.message);
        if (effect.mark) later.push(this.#marker(effect.mark, at));
        return;
      }
      case "mark":
        later.push(this.#marker(effect, clock.mono()));
        return;
      case "collect":
        void this.#collect(effect);
        return;
      case "forget":
        this.#released.get(effect.handoff)?.destroy();
        this.#released.delete(effect.handoff);
        return this.#ports.clients.left(effect.client);
      case "reinstate":
        void this.#reinstate(effect.handoff, effect.client);
        return;
      case "hold":
        this.#elsewhere.delete(effect.client);
        return plane.hold(home, effect.client);
      case "restore":
        this.#restore(effect.handoff, effect.client, effect.bundle);
        return;
      case "activate":
        this.#activate(effect.name, later);
        return;
      case "abandon":
        this.#prepared.get(effect.handoff)?.abort();
        this.#prepared.delete(effect.handoff);
        plane.discard(home, effect.client);
        return;
      case "askTransport": {
        const transport = this.#ports.connections.transportOf(home, effect.client, effect.elicit);
        queueMicrotask(() => this.#input({ kind: "transport", client: effect.client, transport }));
        return;
      }
      case "optimise":
        return plane.optimise(home, effect.client);
      case "unoptimise":
        return plane.unoptimise(home, effect.client);
      case "relay":
        this.#isNowElsewhere(effect.client);
        return plane.relay(home, effect.client, effect.member);
      case "unrelay":
        return this.#unrelay(effect.client);
      case "answer": {
        const waiting = this.#answers.get(effect.request);
        this.#answers.delete(effect.request);
        later.push(() => (effect.error ? waiting?.reject(new HandoffError(effect.error.step, effect.error.reason)) : waiting?.resolve(effect.connections)));
        return;
      }
      case "drop":
        return this.#ports.drop(effect.reason, effect.packet);
      case "tell":
        later.push(() => this.#ports.tell(effect.event as AgentEventBody));
        return;
      default:
        throw new Error(`a group never asks for "${effect.do}"`);
    }
  }

  #isNowElsewhere(client: Address): void {
    if (!this.#elsewhere.add(client)) this.#ports.drop(`the table of clients that others serve is full (${mostClients})`);
  }

  #marker(mark: Mark, performedAt: Millis): () => void {
    const { do: _, at, ...rest } = mark;
    return () => this.#ports.tell({ type: "handoffStep", home: this.view.home, ...rest, at: at ?? performedAt } as AgentEventBody);
  }

  /** No link: to the machines that is a refusal by that member. */
  #unreachable(member: string, message: MemberMessage): void {
    const reason = `no link to member ${member}`;
    if (message.kind === "take" || message.kind === "state") {
      const { handoff, client } = message;
      const refused: MemberMessage = { kind: "refused", handoff, client, step: message.kind, reason, lastSequence: null };
      queueMicrotask(() => this.#input({ kind: "member", from: member, message: refused, at: this.#ports.clock.mono() }));
    } else {
      this.#ports.drop(`${reason} for "${message.kind}"`);
    }
  }

  async #collect(effect: Extract<GroupEffect, { do: "collect" }>): Promise<void> {
    const { plane, connections } = this.#ports;
    const { home } = this.view;
    const { handoff, client } = effect;
    try {
      const drained = effect.drain ? await connections.drain(home, client, drainLimitMs) : { ms: 0 };
      let said: (() => void) | null = null;
      const released = await connections.release(home, client, {
        patience: this.view.patience ?? 1,
        // From here on nothing of the client's is lost to sockets that do not listen any more.
        beforeFreeze: () => {
          this.#isNowElsewhere(client);
          plane.relay(home, client, effect.relayTo);
        },
        onFrozen: () => (said = this.#say(effect)),
      });
      (said as (() => void) | null)?.();
      this.#released.set(handoff, released);
      this.#input({ kind: "collected", handoff, client, bundle: released.bundle, connections: released.connections, frozenAt: released.frozenAt, drainMs: drained.ms });
      // Unless they have been taken up again, because nobody waited for them any more.
      if (this.#released.get(handoff) === released) released.destroy();
    } catch (error) {
      if (effect.drain) connections.proceed(home, client);
      this.#input({ kind: "notCollected", handoff, reason: (error as Error).message });
    }
  }

  /** Sends a donor's word of the freeze; returns what tells of it, for when there is time. */
  #say({ word }: Extract<GroupEffect, { do: "collect" }>): () => void {
    const at = this.#ports.clock.mono();
    // Without a link the state will not go either, and that is noticed.
    this.#ports.tellMember(word.member, word.message);
    return word.mark ? this.#marker(word.mark, at) : () => {};
  }

  async #reinstate(handoff: string, client: Address): Promise<void> {
    const released = this.#released.get(handoff);
    this.#released.delete(handoff);
    try {
      this.#elsewhere.delete(client);
      this.#ports.plane.hold(this.view.home, client);
      await released?.resume();
      this.#ports.plane.release(this.view.home, client);
    } catch (error) {
      this.#ports.tell({ type: "log", level: "error", text: `handoff ${handoff}: ${client} could not be taken back: ${(error as Error).message}` });
    }
    this.#input({ kind: "reinstated", handoff });
  }

  /** Packets of this client are no longer another member's: they are ours if we hold connections, else nobody's. */
  #unrelay(client: Address): void {
    const { plane, connections } = this.#ports;
    this.#elsewhere.delete(client);
    plane.unrelay(this.view.home, client);
    if (connections.connectionsOf(this.view.home, client).length > 0) plane.serve(this.view.home, client);
  }

  #restore(handoff: string, client: Address, bundle: Uint8Array): void {
    const { connections } = this.#ports;
    const { home } = this.view;
    try {
      this.#prepared.set(handoff, connections.prepareAdopt(home, client, bundle));
      queueMicrotask(() => this.#input({ kind: "restored", handoff }));
    } catch (error) {
      const reason = (error as Error).message;
      queueMicrotask(() => this.#input({ kind: "notRestored", handoff, reason }));
    }
  }

  #activate(name: HandoffName, later: (() => void)[]): void {
    const { plane, clock } = this.#ports;
    const prepared = this.#prepared.get(name.handoff);
    this.#prepared.delete(name.handoff);
    if (!prepared) throw new Error(`handoff ${name.handoff}: nothing was prepared`);
    const restoredAt = clock.mono();
    const { liveAt, done } = prepared.activate();
    plane.release(this.view.home, name.client);
    this.#ports.clients.arrived(name.client, prepared.connections);
    later.push(this.#marker({ do: "mark", ...name, step: "restored", at: restoredAt }, restoredAt), this.#marker({ do: "mark", ...name, step: "firstPacket", at: liveAt, connections: prepared.connections }, liveAt));
    void done.then(({ failed }) => {
      for (const reason of failed) this.#ports.tell({ type: "log", level: "error", text: `handoff ${name.handoff}: a connection was reset: ${reason}` });
    });
  }
}
