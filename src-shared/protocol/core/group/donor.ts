import type { Address } from "../../../net/address.ts";
import type { Millis } from "../step.ts";
import type { GroupEffect, GroupStep, GroupView, HandoffName } from "./effects.ts";
import { timeLimits } from "./timeLimits.ts";
import type { HomeGrant, MemberMessage, SequenceLease } from "./memberMessage.ts";

type Refusal = Pick<Extract<MemberMessage, { kind: "refused" }>, "step" | "reason" | "lastSequence">;

/**
 * One client on its way out. The donor keeps what it needs to take the client back until the acceptor says that it serves, and passes on whatever the
 * client still sends here for as long as such packets can be under way.
 */
export type Donation = HandoffName & { readonly lease: SequenceLease; readonly grant: HomeGrant | null } & (
    /** `refused`: the acceptor will not have the client; ours go on as soon as they are collected. */
    | { readonly phase: "collecting"; readonly until: Millis; readonly refused: Refusal | null }
    | { readonly phase: "offered"; readonly connections: number; readonly until: Millis }
    | { readonly phase: "reinstating"; readonly refused: Refusal; readonly until: Millis }
    /** Handed over; late packets are relayed until then. */
    | { readonly phase: "relaying"; readonly until: Millis }
    | { readonly phase: "over" }
  );

/** Late client packets are passed on for this long: several of the longest terrestrial round trips, and a retransmission timeout. */
export const relayLingerMs = 4_000;

/**
 * The contact said `take` (to another member, or to itself). A `full` handoff's clock runs already, so the offer goes out at once; a `prepared` one begins
 * with the freeze, and so does its offer.
 */
export function startDonation(name: HandoffName, take: Extract<MemberMessage, { kind: "take" }>, view: GroupView, now: Millis): GroupStep<Donation> {
  const { handoff, client, acceptor, mode } = name;
  const until = now + timeLimits(view).collectMs;
  const early = mode === "full" && take.grant !== null;
  const offer = { member: acceptor, message: { kind: "offer", handoff, client, mode, lease: take.lease, grant: take.grant, early }, mark: { do: "mark", ...name, step: "stateSent" } } as const;
  const word = early ? { member: acceptor, message: { kind: "frozen", handoff, client } } as const : offer;
  return {
    state: { ...name, lease: take.lease, grant: take.grant, phase: "collecting", until, refused: null },
    effects: [...(early ? [{ do: "tellMember", ...offer } as const] : []), { do: "collect", handoff, client, drain: take.drain, relayTo: view.members.get(acceptor) as Address, word }],
  };
}

/** Frozen and dumped: on to the acceptor. */
export function collected(
  state: Donation,
  result: { readonly bundle: Uint8Array; readonly connections: number; readonly frozenAt: Millis; readonly drainMs: Millis },
  view: GroupView,
  now: Millis,
): GroupStep<Donation> {
  if (state.phase !== "collecting") return { state, effects: [{ do: "drop", reason: "connections collected for a handoff that is over" }] };
  if (state.refused) return takeBack(state, state.refused, view, now);
  const { handoff, client, acceptor, lease } = state;
  const mark = { do: "mark", ...nameOf(state), connections: result.connections } as const;
  const message: MemberMessage = { kind: "state", handoff, client, connections: result.connections, drainMs: result.drainMs, bundle: result.bundle };
  const until = now + timeLimits(view).donorMs;
  return {
    state: { ...nameOf(state), lease, grant: state.grant, phase: "offered", connections: result.connections, until },
    effects: [
      { ...mark, step: "frozen", at: result.frozenAt },
      { do: "tellMember", member: acceptor, message },
    ],
  };
}

/** Some connection cannot move: nothing has changed, say why. */
export function notCollected(state: Donation, reason: string, view: GroupView): GroupStep<Donation> {
  const withdrawn: MemberMessage = { kind: "withdrawn", handoff: state.handoff, client: state.client };
  return over(state, [{ do: "unrelay", client: state.client }, { do: "tellMember", member: state.acceptor, message: withdrawn }, refusal(state, { step: "collect", reason, lastSequence: null }, view.contact)]);
}

/** The acceptor's verdict. */
export function onVerdict(state: Donation, message: Extract<MemberMessage, { kind: "accepted" | "refused" }>, view: GroupView, now: Millis): GroupStep<Donation> {
  if (state.phase === "collecting" && message.kind === "refused") return { state: { ...state, refused: message }, effects: [] };
  if (state.phase !== "offered") return { state, effects: [{ do: "drop", reason: `"${message.kind}" for a handoff that is ${state.phase}` }] };
  if (message.kind === "refused") return takeBack(state, message, view, now);
  const until = now + relayLingerMs;
  return {
    state: { ...nameOf(state), lease: state.lease, grant: null, phase: "relaying", until },
    effects: [
      { do: "forget", handoff: state.handoff, client: state.client },
      { do: "unoptimise", client: state.client },
    ],
  };
}

/** Our connections live again. */
export function reinstated(state: Donation, view: GroupView): GroupStep<Donation> {
  if (state.phase !== "reinstating") return { state, effects: [] };
  return over(state, [{ do: "unrelay", client: state.client }, refusal(state, state.refused, view.contact)]);
}

/** When `donorTimer` must be called; undefined when nothing is awaited. */
export function donorWake(state: Donation): Millis | undefined {
  return state.phase === "over" ? undefined : state.until;
}

export function donorTimer(state: Donation, view: GroupView, now: Millis): GroupStep<Donation> {
  if (state.phase === "over" || now < state.until) return { state, effects: [] };
  if (state.phase === "collecting") return notCollected(state, `connections not collected within ${timeLimits(view).collectMs / 1000} s`, view);
  if (state.phase === "offered") {
    const step = takeBack(state, { step: "stateReceived", reason: `no word from ${state.acceptor} within ${timeLimits(view).donorMs / 1000} s`, lastSequence: null }, view, now);
    // It may have been asleep, and read our offer only when it wakes.
    return { ...step, effects: [{ do: "tellMember", member: state.acceptor, message: { kind: "withdrawn", handoff: state.handoff, client: state.client } }, ...step.effects] };
  }
  if (state.phase === "reinstating") return over(state, [refusal(state, { ...state.refused, reason: `${state.refused.reason}; taking the client back failed too` }, view.contact)]);
  // The contact keeps its relay as long as another member serves: tunnelled packets always come here first.
  return over(state, view.self === view.contact ? [] : [{ do: "unrelay", client: state.client }]);
}

function takeBack(state: Donation, { step, reason, lastSequence }: Refusal, view: GroupView, now: Millis): GroupStep<Donation> {
  const until = now + timeLimits(view).collectMs;
  return {
    state: { ...nameOf(state), lease: state.lease, grant: null, phase: "reinstating", refused: { step, reason, lastSequence }, until },
    effects: [{ do: "reinstate", handoff: state.handoff, client: state.client }],
  };
}

function refusal(state: Donation, { step, reason, lastSequence }: Refusal, contact: string): GroupEffect {
  return { do: "tellMember", member: contact, message: { kind: "refused", handoff: state.handoff, client: state.client, step, reason, lastSequence } };
}

function over(state: Donation, effects: readonly GroupEffect[]): GroupStep<Donation> {
  return { state: { ...nameOf(state), lease: state.lease, grant: null, phase: "over" }, effects };
}

function nameOf(state: Donation): HandoffName {
  return { handoff: state.handoff, client: state.client, donor: state.donor, acceptor: state.acceptor, mode: state.mode };
}
