import type { MobilityPacket } from "../../wire/message.ts";
import type { Millis, Random } from "../step.ts";
import { bindingTimer, bindingWake, onBindingPacket, onNotCapable, releaseBinding, startBinding, type Binding, type Bound, type MarkStep } from "./binding.ts";
import type { GroupEffect, GroupStep, GroupView, HandoffName } from "./effects.ts";
import type { MemberMessage } from "./memberMessage.ts";
import { timeLimits } from "./timeLimits.ts";

/**
 * One client on its way in. Two things must be done before it is ours: its sockets rebuilt (still frozen) and the client bound to us. They run side by
 * side; whichever ends last lets the connections live.
 */
export type Acceptance = HandoffName & { readonly connections: number; readonly bytes: number; readonly drainMs: Millis } & (
    | {
        readonly phase: "binding";
        /** What is not here by then will not come: less than the donor's own patience. */
        readonly until: Millis;
        /** Absent for a client without Mobile IPv6: nothing to bind, the contact relays. */
        readonly binding: Binding | null;
        /** The donor serves no more; what the client sends is for us. */
        readonly frozen: boolean;
        readonly restored: boolean;
      }
    /** Ours; bound as this says, or not at all. */
    | { readonly phase: "serving"; readonly bound: Bound | null }
    | { readonly phase: "refused" }
  );

export function onOffer(name: HandoffName, offer: Extract<MemberMessage, { kind: "offer" }>, view: GroupView, receivedAt: Millis, now: Millis, random: Random): GroupStep<Acceptance> {
  const received: GroupEffect = { do: "mark", ...name, step: "stateReceived", at: receivedAt };
  const keep: GroupEffect = { do: "hold", client: name.client };
  const common = { ...name, connections: 0, bytes: 0, drainMs: 0, until: now + timeLimits(view).stateMs };
  if (!offer.grant) return { state: { ...common, phase: "binding", binding: null, frozen: true, restored: false }, effects: [received, keep] };
  // The test goes out at once: it travels while the connections are still on their way.
  const binding = startBinding(name.client, offer.lease, offer.grant, view, now, random, { mark: markOf(name), held: offer.early });
  return { state: { ...common, phase: "binding", binding: binding.state, frozen: !offer.early, restored: false }, effects: [received, ...binding.effects, ...(offer.early ? [] : [keep])] };
}

/** The donor serves no more: the client may be bound to us, and what it sends is for us. */
export function onFrozen(state: Acceptance, view: GroupView, now: Millis): GroupStep<Acceptance> {
  if (state.phase !== "binding" || !state.binding || state.frozen) return { state, effects: [{ do: "drop", reason: "word of a freeze not awaited" }] };
  const { state: binding, effects } = releaseBinding(state.binding, view, now, markOf(state));
  return { state: { ...state, until: now + timeLimits(view).stateMs, binding, frozen: true }, effects: [...effects, { do: "hold", client: state.client }] };
}

/** The connections have arrived. */
export function onState(state: Acceptance, message: Extract<MemberMessage, { kind: "state" }>): GroupStep<Acceptance> {
  if (state.phase !== "binding" || state.bytes > 0) return { state, effects: [{ do: "drop", reason: "state not awaited" }] };
  const { connections, drainMs, bundle } = message;
  return { state: { ...state, connections, drainMs, bytes: bundle.length }, effects: [{ do: "restore", handoff: state.handoff, client: state.client, bundle }] };
}

/** The donor keeps the client after all. It tells the contact itself. */
export function onWithdrawn(state: Acceptance): GroupStep<Acceptance> {
  if (state.phase !== "binding") return { state, effects: [{ do: "drop", reason: "withdrawn too late" }] };
  return { state: { ...nameOf(state), ...figures(state), phase: "refused" }, effects: abandoned(state) };
}

/** What the client sends is kept from the freeze on only. */
function abandoned(state: Extract<Acceptance, { phase: "binding" }>): GroupEffect[] {
  return state.frozen ? [{ do: "abandon", handoff: state.handoff, client: state.client }] : [];
}

export function onRestored(state: Acceptance, view: GroupView): GroupStep<Acceptance> {
  if (state.phase !== "binding") return { state, effects: [] };
  return settle({ ...state, restored: true }, [], view);
}

export function onNotRestored(state: Acceptance, reason: string): GroupStep<Acceptance> {
  if (state.phase !== "binding") return { state, effects: [] };
  return refuse(state, [], "restored", reason, sequenceSent(state));
}

function missing({ bytes, restored, frozen }: Extract<Acceptance, { phase: "binding" }>): string {
  if (!frozen) return "the donor still serves";
  return bytes === 0 ? "the connections did not arrive" : restored ? "the client is not bound" : "the connections are not rebuilt";
}

/** Number of the Binding Update that the client may have accepted, or null when none has left. */
function sequenceSent(state: Extract<Acceptance, { phase: "binding" }>): number | null {
  return state.binding?.phase === "update" || state.binding?.phase === "bound" ? state.binding.sequence : null;
}

function figures(state: Acceptance): { connections: number; bytes: number; drainMs: Millis } {
  return { connections: state.connections, bytes: state.bytes, drainMs: state.drainMs };
}

export function onAcceptorPacket(state: Acceptance, packet: MobilityPacket, mobilityHeader: Uint8Array, at: Millis, view: GroupView, now: Millis): GroupStep<Acceptance> {
  if (state.phase !== "binding" || !state.binding) return { state, effects: [{ do: "drop", reason: `${packet.message.kind} not awaited`, packet }] };
  const result = onBindingPacket(state.binding, packet, mobilityHeader, at, view, now, markOf(state));
  return settle({ ...state, binding: result.state }, result.effects, view);
}

/** The client says that it knows no Mobility Header. */
export function onAcceptorNotCapable(state: Acceptance, cookie: Uint8Array | null, view: GroupView): GroupStep<Acceptance> {
  if (state.phase !== "binding" || !state.binding) return { state, effects: [] };
  const result = onNotCapable(state.binding, cookie);
  return settle({ ...state, binding: result.state }, result.effects, view);
}

/** When `acceptorTimer` must be called; undefined when nothing is awaited. */
export function acceptorWake(state: Acceptance): Millis | undefined {
  if (state.phase !== "binding") return undefined;
  return Math.min(state.until, (state.binding && bindingWake(state.binding)) ?? Infinity);
}

export function acceptorTimer(state: Acceptance, view: GroupView, now: Millis): GroupStep<Acceptance> {
  if (state.phase !== "binding") return { state, effects: [] };
  if (now >= state.until) return refuse(state, [], "stateReceived", `not ready within ${timeLimits(view).stateMs / 1000} s: ${missing(state)}`, sequenceSent(state));
  if (!state.binding) return { state, effects: [] };
  const result = bindingTimer(state.binding, view, now);
  return settle({ ...state, binding: result.state }, result.effects, view);
}

function settle(state: Extract<Acceptance, { phase: "binding" }>, effects: readonly GroupEffect[], view: GroupView): GroupStep<Acceptance> {
  if (state.binding?.phase === "failed") return refuse(state, effects, state.binding.step, state.binding.reason, state.binding.lastSequence);
  if (!state.restored || (state.binding && state.binding.phase !== "bound")) return { state, effects };
  const { handoff, client } = state;
  const bound = state.binding?.phase === "bound" ? state.binding : null;
  const sequence = bound && bound.sequence;
  const message: MemberMessage = { kind: "accepted", handoff, client, sequence, lifetimeSeconds: bound?.lifetimeSeconds ?? 0, connections: state.connections, drainMs: state.drainMs, bytes: state.bytes };
  return {
    state: { ...nameOf(state), ...figures(state), phase: "serving", bound },
    effects: [
      ...effects,
      ...(state.binding ? [{ do: "optimise", client } as const] : []),
      { do: "activate", name: nameOf(state) },
      ...tellBoth(state, message, view),
      { do: "tell", event: { type: "clientServed", home: view.home, client, member: view.self, how: bound ? "optimised" : view.self === view.contact ? "tunnel" : "relayed", why: `handoff ${handoff}` } },
    ],
  };
}

function refuse(state: Extract<Acceptance, { phase: "binding" }>, effects: readonly GroupEffect[], at: string, reason: string, lastSequence: number | null): GroupStep<Acceptance> {
  const message: MemberMessage = { kind: "refused", handoff: state.handoff, client: state.client, step: at, reason, lastSequence };
  // Only the donor hears of it: it takes the client back first and then tells the contact.
  return {
    state: { ...nameOf(state), ...figures(state), phase: "refused" },
    effects: [...effects, ...abandoned(state), { do: "tellMember", member: state.donor, message }],
  };
}

function tellBoth(state: HandoffName, message: MemberMessage, view: GroupView): GroupEffect[] {
  const targets = state.donor === view.contact ? [state.donor] : [state.donor, view.contact];
  return targets.map((member) => ({ do: "tellMember", member, message }));
}

function markOf(name: HandoffName): MarkStep {
  const { handoff, client, donor, acceptor, mode } = name;
  return (stepName, at) => ({ do: "mark", handoff, client, donor, acceptor, mode, step: stepName, ...(at === undefined ? {} : { at }) });
}

function nameOf(state: HandoffName): HandoffName {
  return { handoff: state.handoff, client: state.client, donor: state.donor, acceptor: state.acceptor, mode: state.mode };
}
