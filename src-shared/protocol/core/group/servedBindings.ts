import type { Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import type { Millis, Random } from "../step.ts";
import { bindingTimer, bindingWake, onBindingPacket, onNotCapable, startBinding, type Binding, type BindingStep, type Bound } from "./binding.ts";
import { BoundClients } from "./boundClients.ts";
import { onRemovalPacket, onTransport, startWatch, watchTimer, watchWake, type DataWatch, type Transport } from "./dataWatch.ts";
import type { GroupEffect, GroupStep, GroupView } from "./effects.ts";
import type { BindingLoss, MemberMessage } from "./memberMessage.ts";
import type { Wakes } from "./wakes.ts";

/** New bindings on probation at a time, for three round trips each; any more are taken to work. */
export const openWatches = 8192;

/** Bindings of clients to this member: those that stand, those being made for the contact, and those that have yet to show that data passes. */
export class ServedBindings {
  readonly #view: GroupView;
  readonly #wakes: Wakes;
  readonly #rebinds = new Map<Address, Binding>();
  readonly #bound: BoundClients;
  /** New bindings that have yet to show that data passes, and those that must go because none did. */
  readonly #watches = new Map<Address, DataWatch>();

  /** Entries wake under `rebind CLIENT` and `watch CLIENT`. `seed`: 32 bits that peers cannot know. */
  constructor(view: GroupView, wakes: Wakes, limit: number, seed: number) {
    this.#view = view;
    this.#wakes = wakes;
    this.#bound = new BoundClients(limit, seed);
  }

  get size(): number {
    return this.#bound.size;
  }

  get watched(): number {
    return this.#watches.size;
  }

  get bytes(): number {
    return this.#bound.bytes;
  }

  /** When the next binding ends, or null. */
  nextEnd(): Millis | null {
    return this.#bound.next();
  }

  /** Takes out one client whose binding is over, or null. */
  takeEnded(now: Millis): Address | null {
    return this.#bound.takeEnded(now);
  }

  entries(): Generator<readonly [Address, Millis]> {
    return this.#bound.entries();
  }

  awaitsCareOfTest(client: Address): boolean {
    return this.#rebinds.get(client)?.phase === "careOfTest";
  }

  /** How many are being made, without this client's. */
  underWay(client: Address): number {
    return this.#rebinds.size - (this.#rebinds.has(client) ? 1 : 0);
  }

  /** The contact wants the client bound here. */
  rebind({ client, lease, grant }: Extract<MemberMessage, { kind: "rebind" }>, now: Millis, random: Random): readonly GroupEffect[] {
    this.endWatch(client);
    return this.#rebindStep(client, startBinding(client, lease, grant, this.#view, now, random), now);
  }

  /** Null when nothing is awaited from this client. */
  onPacket(packet: MobilityPacket, mobilityHeader: Uint8Array, at: Millis, now: Millis): readonly GroupEffect[] | null {
    const client = packet.source;
    const binding = this.#rebinds.get(client);
    if (binding) return this.#rebindStep(client, onBindingPacket(binding, packet, mobilityHeader, at, this.#view, now), now);
    return this.#watches.has(client) ? this.#onWatch(client, (state) => onRemovalPacket(state, packet, mobilityHeader, this.#view)) : null;
  }

  /** The client says that it knows no Mobility Header. Null when it is not being bound. */
  onNotCapable(client: Address, cookie: Uint8Array | null, now: Millis): readonly GroupEffect[] | null {
    const binding = this.#rebinds.get(client);
    return binding ? this.#rebindStep(client, onNotCapable(binding, cookie), now) : null;
  }

  /** §11.3.6: only about clients that are bound to us. Nothing of it is signed, so the contact asks the client itself. */
  lost(client: Address, why: BindingLoss): readonly GroupEffect[] {
    if (!this.#bound.has(client)) return [{ do: "drop", reason: "word of a lost binding of a client that is not bound here" }];
    this.#bound.delete(client);
    this.endWatch(client);
    return [{ do: "unoptimise", client }, { do: "tellMember", member: this.#view.contact, message: { kind: "bindingLost", client, why } }];
  }

  /** A handoff has brought the client here, bound as `bound` says or not at all. */
  arrived(client: Address, bound: Bound | null, now: Millis): readonly GroupEffect[] {
    this.#rebinds.delete(client);
    return bound ? this.#newlyBound(client, bound, now) : [];
  }

  /** A handoff takes the client away: what it is bound to is not ours to watch any more. */
  endWatch(client: Address): void {
    if (this.#watches.delete(client)) this.#wakes.set(`watch ${client}`, undefined);
  }

  /** Another member has it. */
  left(client: Address): void {
    this.#bound.delete(client);
  }

  onTransport(client: Address, transport: Transport, now: Millis): readonly GroupEffect[] {
    return this.#onWatch(client, (state) => onTransport(state, transport, this.#view, now));
  }

  rebindTimer(client: Address, now: Millis): readonly GroupEffect[] {
    const binding = this.#rebinds.get(client);
    return binding ? this.#rebindStep(client, bindingTimer(binding, this.#view, now), now) : [];
  }

  watchTimer(client: Address, now: Millis): readonly GroupEffect[] {
    return this.#onWatch(client, (state) => watchTimer(state, this.#view, now));
  }

  #rebindStep(client: Address, step: BindingStep, now: Millis): readonly GroupEffect[] {
    const { state } = step;
    this.#wakes.set(`rebind ${client}`, bindingWake(state));
    if (state.phase !== "bound" && state.phase !== "failed") {
      this.#rebinds.set(client, state);
      return step.effects;
    }
    this.#rebinds.delete(client);
    if (state.phase === "failed") {
      return [...step.effects, { do: "tellMember", member: this.#view.contact, message: { kind: "rebindFailed", client, reason: `${state.step}: ${state.reason}`, lastSequence: state.lastSequence } }];
    }
    // A refresh of what works needs no watching.
    const refreshed = this.#bound.has(client);
    if (refreshed) this.#bound.set(client, now + state.lifetimeSeconds * 1000);
    const watch = refreshed ? [] : this.#newlyBound(client, state, now);
    return [
      ...step.effects,
      { do: "optimise", client },
      { do: "tell", event: { type: "clientServed", home: this.#view.home, client, member: this.#view.self, how: "optimised", why: "binding acknowledged" } },
      { do: "tellMember", member: this.#view.contact, message: { kind: "rebound", client, sequence: state.sequence, lifetimeSeconds: state.lifetimeSeconds } },
      ...watch,
    ];
  }

  #newlyBound(client: Address, bound: Bound, now: Millis): readonly GroupEffect[] {
    if (!this.#bound.set(client, now + bound.lifetimeSeconds * 1000)) return this.#noRoomToBind(client);
    if (this.#watches.size >= openWatches && !this.#watches.has(client)) return [{ do: "drop", reason: "too many new bindings to watch one more" }];
    return this.#storeWatch(startWatch(client, bound, now));
  }

  /** Nobody would tell when such a binding ends: the client is served through the tunnel, and forgets us by itself. */
  #noRoomToBind(client: Address): GroupEffect[] {
    return [{ do: "drop", reason: `the table of bound clients is full (${this.#bound.limit})` }, { do: "unoptimise", client }, { do: "tellMember", member: this.#view.contact, message: { kind: "rebindFailed", client, reason: "no room for another bound client", lastSequence: null } }];
  }

  #storeWatch(step: GroupStep<DataWatch>): readonly GroupEffect[] {
    const { client, phase } = step.state;
    this.#wakes.set(`watch ${client}`, watchWake(step.state));
    if (phase === "over") this.#watches.delete(client);
    else this.#watches.set(client, step.state);
    if (phase === "removing") this.#bound.delete(client);
    return step.effects;
  }

  #onWatch(client: Address, transition: (state: DataWatch) => GroupStep<DataWatch>): readonly GroupEffect[] {
    const state = this.#watches.get(client);
    return state ? this.#storeWatch(transition(state)) : [];
  }
}
