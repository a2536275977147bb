import type { MobilityPacket } from "../../wire/message.ts";
import type { Millis, Random } from "../step.ts";
import { bindingTimer, bindingWake, onBindingPacket, startBinding, type Binding, type MarkStep } from "./binding.ts";
import type { GroupEffect, GroupStep, GroupView, HandoffName } from "./effects.ts";
import type { MemberMessage } from "./memberMessage.ts";

/**
 * One client on its way in. Two things must be done before it is ours: its sockets rebuilt (still frozen) and the client bound to us. They run side by
 * side; whichever ends last lets the connections live.
 */
export type Acceptance = HandoffName & { readonly connections: number; readonly bytes: number; readonly drainMs: Millis } & (
    | {
        readonly phase: "binding";
        /** Absent for a client without Mobile IPv6: nothing to bind, the contact relays. */
        readonly binding: Binding | null;
        readonly restored: boolean;
      }
    | { readonly phase: "serving" }
    | { readonly phase: "refused" }
  );

export function onOffer(name: HandoffName, offer: Extract<MemberMessage, { kind: "offer" }>, view: GroupView, receivedAt: Millis, now: Millis, random: Random): GroupStep<Acceptance> {
  const received: GroupEffect = { do: "mark", ...name, step: "stateReceived", at: receivedAt, connections: offer.connections, bytes: offer.bundle.length };
  const restore: GroupEffect = { do: "restore", handoff: name.handoff, client: name.client, bundle: offer.bundle };
  const common = { ...name, connections: offer.connections, bytes: offer.bundle.length, drainMs: offer.drainMs };
  if (!offer.grant) return { state: { ...common, phase: "binding", binding: null, restored: false }, effects: [received, restore] };
  const binding = startBinding(name.client, offer.lease, offer.grant, view, now, random, markOf(name));
  // The test goes out first: it travels while the sockets are rebuilt.
  return { state: { ...common, phase: "binding", binding: binding.state, restored: false }, effects: [received, ...binding.effects, restore] };
}

export function onRestored(state: Acceptance, view: GroupView): GroupStep<Acceptance> {
  if (state.phase !== "binding") return { state, effects: [] };
  return settle({ ...state, restored: true }, [], view);
}

export function onNotRestored(state: Acceptance, reason: string): GroupStep<Acceptance> {
  if (state.phase !== "binding") return { state, effects: [] };
  const sent = state.binding?.phase === "update" || state.binding?.phase === "bound" ? state.binding.sequence : null;
  return refuse(state, [], "restored", reason, sent);
}

export function onAcceptorPacket(state: Acceptance, packet: MobilityPacket, mobilityHeader: Uint8Array, at: Millis, view: GroupView, now: Millis): GroupStep<Acceptance> {
  if (state.phase !== "binding" || !state.binding) return { state, effects: [{ do: "drop", reason: `${packet.message.kind} not awaited`, packet }] };
  const result = onBindingPacket(state.binding, packet, mobilityHeader, at, view, now, markOf(state));
  return settle({ ...state, binding: result.state }, result.effects, view);
}

/** When `acceptorTimer` must be called; undefined when nothing is awaited. */
export function acceptorWake(state: Acceptance): Millis | undefined {
  return state.phase === "binding" && state.binding ? bindingWake(state.binding) : undefined;
}

export function acceptorTimer(state: Acceptance, view: GroupView, now: Millis): GroupStep<Acceptance> {
  if (state.phase !== "binding" || !state.binding) return { state, effects: [] };
  const result = bindingTimer(state.binding, view, now);
  return settle({ ...state, binding: result.state }, result.effects, view);
}

function settle(state: Extract<Acceptance, { phase: "binding" }>, effects: readonly GroupEffect[], view: GroupView): GroupStep<Acceptance> {
  if (state.binding?.phase === "failed") return refuse(state, effects, state.binding.step, state.binding.reason, state.binding.lastSequence);
  if (!state.restored || (state.binding && state.binding.phase !== "bound")) return { state, effects };
  const { handoff, client } = state;
  const sequence = state.binding?.phase === "bound" ? state.binding.sequence : null;
  const message: MemberMessage = { kind: "accepted", handoff, client, sequence, connections: state.connections, drainMs: state.drainMs, bytes: state.bytes };
  return {
    state: { ...nameOf(state), connections: state.connections, bytes: state.bytes, drainMs: state.drainMs, phase: "serving" },
    effects: [
      ...effects,
      ...(state.binding ? [{ do: "optimise", client } as const] : []),
      { do: "activate", name: nameOf(state) },
      ...tellBoth(state, message, view),
      { do: "tell", event: { type: "clientServed", home: view.home, client, member: view.self, how: sequence !== null ? "optimised" : view.self === view.contact ? "tunnel" : "relayed", why: `handoff ${handoff}` } },
    ],
  };
}

function refuse(state: Acceptance, effects: readonly GroupEffect[], at: string, reason: string, lastSequence: number | null): GroupStep<Acceptance> {
  const message: MemberMessage = { kind: "refused", handoff: state.handoff, client: state.client, step: at, reason, lastSequence };
  // Only the donor hears of it: it takes the client back first and then tells the contact.
  return {
    state: { ...nameOf(state), connections: state.connections, bytes: state.bytes, drainMs: state.drainMs, phase: "refused" },
    effects: [...effects, { do: "abandon", handoff: state.handoff, client: state.client }, { do: "tellMember", member: state.donor, message }],
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
