import type { Address } from "../../../net/address.ts";
import { bindingManagementKey } from "../../wire/authenticator.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import { acknowledgementOutcome, bindingUpdateFor, careOfTestAnswered, careOfTestTimer, isOwnCookie, startCareOfTest, type CareOfProbe } from "../returnRoutability.ts";
import type { Millis, Random } from "../step.ts";
import type { GroupEffect, GroupView } from "./effects.ts";
import { timeLimits } from "./timeLimits.ts";
import type { HomeGrant, SequenceLease } from "./memberMessage.ts";

/**
 * Binding one client to this member: care-of test, then Binding Update, with a home token that the contact fetched (RFC 6275 §5.2: nothing in a token
 * says who ran the test). Used by the acceptor of a handoff and by whoever refreshes.
 */
export type Binding = { readonly client: Address; readonly lease: SequenceLease; readonly homeToken: Uint8Array; readonly homeNonceIndex: number; readonly until: Millis } & (
  /** `held`: no update before `release`, because somebody else still serves the client. */
  | { readonly phase: "careOfTest"; readonly probe: CareOfProbe; readonly held: boolean }
  | { readonly phase: "tested"; readonly careOfToken: Uint8Array; readonly careOfNonceIndex: number }
  | { readonly phase: "update"; readonly careOfToken: Uint8Array; readonly careOfNonceIndex: number; readonly sequence: number; readonly tries: number; readonly sentAt: Millis; readonly retryAt: Millis }
  /** `rttMs`: from the last transmission of the update to its acknowledgement. */
  | { readonly phase: "bound"; readonly sequence: number; readonly lifetimeSeconds: number; readonly rttMs: Millis }
  | { readonly phase: "failed"; readonly step: string; readonly reason: string; readonly lastSequence: number | null }
);

/** A binding that stands. */
export type Bound = Extract<Binding, { phase: "bound" }>;

export interface BindingStep {
  readonly state: Binding;
  readonly effects: readonly GroupEffect[];
}

/** When `bindingTimer` must be called; undefined when nothing is awaited. */
export function bindingWake(state: Binding): Millis | undefined {
  if (state.phase === "tested" || state.phase === "bound" || state.phase === "failed") return undefined;
  const retryAt = state.phase === "careOfTest" ? state.probe.retryAt : state.retryAt;
  return Math.min(retryAt, state.until);
}

/** INITIAL_BINDACK_TIMEOUT, §12. */
const firstAckTimeoutMs = 1_000;

/** Marks the instants of a handoff; absent for a refresh. */
export type MarkStep = (step: "careOfTestInit" | "careOfTest" | "bindingUpdate" | "bindingAcknowledgement", at?: Millis) => Extract<GroupEffect, { do: "mark" }>;

export function startBinding(client: Address, lease: SequenceLease, grant: HomeGrant, view: GroupView, now: Millis, random: Random, options: { readonly mark?: MarkStep; readonly held?: boolean } = {}): BindingStep {
  const { mark, held = false } = options;
  const { probe, packet } = startCareOfTest({ careOf: careOfOf(view), client }, now, random);
  const base = { client, lease, homeToken: grant.token, homeNonceIndex: grant.nonceIndex, until: now + timeLimits(view).bindingMs };
  return { state: { ...base, phase: "careOfTest", probe, held }, effects: [send(packet, mark?.("careOfTestInit"))] };
}

/** A Care-of Test or a Binding Acknowledgement for this client. `mobilityHeader` as received, for the authenticator. */
export function onBindingPacket(state: Binding, packet: MobilityPacket, mobilityHeader: Uint8Array, at: Millis, view: GroupView, now: Millis, mark?: MarkStep): BindingStep {
  if (packet.message.kind === "careOfTest") return onCareOfTest(state, packet, at, view, now, mark);
  if (state.phase !== "update") return dropped(state, "binding acknowledgement not awaited", packet);
  const kbm = bindingManagementKey(state.homeToken, state.careOfToken);
  const outcome = acknowledgementOutcome({ home: view.home, client: state.client, careOf: careOfOf(view), sequence: state.sequence, firstSequence: state.lease.next, kbm }, packet, mobilityHeader);
  if (outcome.kind === "ignored") return dropped(state, outcome.reason, packet);
  const marked = mark ? [mark("bindingAcknowledgement", at)] : [];
  if (outcome.kind === "accepted") return { state: { ...base(state), phase: "bound", sequence: outcome.sequence, lifetimeSeconds: outcome.lifetimeSeconds, rttMs: Math.max(0, at - state.sentAt) }, effects: marked };
  return failed(state, "bindingAcknowledgement", `status ${outcome.status}`, outcome.lastSequence, marked);
}

function onCareOfTest(state: Binding, packet: MobilityPacket, at: Millis, view: GroupView, now: Millis, mark?: MarkStep): BindingStep {
  if (state.phase !== "careOfTest") return dropped(state, "care-of test not awaited", packet);
  const outcome = careOfTestAnswered(state.probe, packet, at);
  if (!outcome.ok) return dropped(state, outcome.reason, packet);
  const tested = { ...base(state), phase: "tested", careOfToken: outcome.token, careOfNonceIndex: outcome.nonceIndex } as const;
  const marked = mark ? [mark("careOfTest", at)] : [];
  if (state.held) return { state: tested, effects: marked };
  const next = firstUpdate(tested, view, now, mark);
  return { state: next.state, effects: [...marked, ...next.effects] };
}

/** Nobody else serves the client any more: the update may go, and has the whole time limit before it. */
export function releaseBinding(state: Binding, view: GroupView, now: Millis, mark?: MarkStep): BindingStep {
  if (state.phase === "careOfTest") return { state: { ...state, held: false, until: now + timeLimits(view).bindingMs }, effects: [] };
  return state.phase === "tested" ? firstUpdate({ ...state, until: now + timeLimits(view).bindingMs }, view, now, mark) : { state, effects: [] };
}

function firstUpdate(state: Extract<Binding, { phase: "tested" }>, view: GroupView, now: Millis, mark?: MarkStep): BindingStep {
  const next = { ...state, phase: "update", sequence: state.lease.next, tries: 1, sentAt: now, retryAt: now + firstAckTimeoutMs } as const;
  return { state: next, effects: [send(update(next, view), mark?.("bindingUpdate"))] };
}

/** The client says that it knows no Mobility Header: no use in waiting. `cookie`: what an ICMPv6 error quoted of our test init. */
export function onNotCapable(state: Binding, cookie: Uint8Array | null): BindingStep {
  if (state.phase === "bound" || state.phase === "failed") return { state, effects: [] };
  if (cookie && !(state.phase === "careOfTest" && isOwnCookie(state.probe, cookie))) return { state, effects: [{ do: "drop", reason: "ICMPv6 error about a test init that is not ours" }] };
  return failed(state, state.phase === "careOfTest" ? "careOfTest" : "bindingAcknowledgement", "the client says that it has no Mobile IPv6", null, []);
}

export function bindingTimer(state: Binding, view: GroupView, now: Millis): BindingStep {
  if (state.phase === "tested" || state.phase === "bound" || state.phase === "failed") return { state, effects: [] };
  if (now >= state.until) {
    const step = state.phase === "careOfTest" ? "careOfTest" : "bindingAcknowledgement";
    // A lost acknowledgement looks the same as a lost update: the client may have bound us.
    return failed(state, step, `no answer within ${timeLimits(view).bindingMs / 1000} s`, state.phase === "update" ? state.sequence : null, []);
  }
  if (state.phase === "careOfTest") {
    const next = careOfTestTimer(state.probe, now);
    return { state: { ...state, probe: next.probe }, effects: next.packet ? [{ do: "send", packet: next.packet }] : [] };
  }
  if (now < state.retryAt) return { state, effects: [] };
  if (state.sequence === state.lease.last) return failed(state, "bindingUpdate", "the granted block of sequence numbers is used up", state.sequence, []);
  const next = { ...state, sequence: (state.sequence + 1) & 0xffff, tries: state.tries + 1, sentAt: now, retryAt: now + firstAckTimeoutMs * 2 ** state.tries };
  return { state: next, effects: [{ do: "send", packet: update(next, view) }] };
}

function update(state: Extract<Binding, { phase: "update" }>, view: GroupView): MobilityPacket {
  return bindingUpdateFor({
    home: view.home,
    client: state.client,
    careOf: careOfOf(view),
    sequence: state.sequence,
    lifetimeSeconds: view.lifetimeSeconds,
    homeNonceIndex: state.homeNonceIndex,
    careOfNonceIndex: state.careOfNonceIndex,
    kbm: bindingManagementKey(state.homeToken, state.careOfToken),
  });
}

function careOfOf(view: GroupView): Address {
  return view.members.get(view.self) as Address;
}

function base(state: Binding) {
  return { client: state.client, lease: state.lease, homeToken: state.homeToken, homeNonceIndex: state.homeNonceIndex, until: state.until };
}

function send(packet: MobilityPacket, mark: Extract<GroupEffect, { do: "mark" }> | undefined): GroupEffect {
  return mark ? { do: "send", packet, mark } : { do: "send", packet };
}

function failed(state: Binding, step: string, reason: string, lastSequence: number | null, effects: readonly GroupEffect[]): BindingStep {
  return { state: { ...base(state), phase: "failed", step, reason, lastSequence }, effects };
}

function dropped(state: Binding, reason: string, packet: MobilityPacket): BindingStep {
  return { state, effects: [{ do: "drop", reason, packet }] };
}
