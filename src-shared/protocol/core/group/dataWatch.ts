import type { Address } from "../../../net/address.ts";
import { bindingManagementKey } from "../../wire/authenticator.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import { acknowledgementOutcome, removalFor } from "../returnRoutability.ts";
import { backOff } from "../limits.ts";
import type { Millis } from "../step.ts";
import type { Bound } from "./binding.ts";
import type { GroupEffect, GroupStep, GroupView } from "./effects.ts";
import type { SequenceLease } from "./memberMessage.ts";

/** What a client's TCP sockets know of the path, all of them together. */
export interface Transport {
  readonly connections: number;
  /** The longest smoothed round-trip time among them, ms; null when none has measured one. */
  readonly rttMs: Millis | null;
  /** Since the latest acknowledgement on any of them, ms; Infinity when there has been none. */
  readonly ackAgeMs: Millis;
  /** Some of them wait for an acknowledgement of data. */
  readonly unacknowledged: boolean;
}

/**
 * A new binding on probation, at the member that the client is bound to. Signalling passes middleboxes that drop packets with a type 2 routing header or
 * a Home Address option; then everything is bound and nothing arrives. Where no acknowledgement comes back over a new binding within three round trips
 * the binding is deleted at the client with a signed update (§11.7.2), because the client's own packets are lost the same way.
 */
export type DataWatch = { readonly client: Address; readonly lease: SequenceLease; readonly homeToken: Uint8Array; readonly homeNonceIndex: number } & (
  /** Acknowledgements that come now may have left before the client was bound: those of one round trip do not count. */
  | { readonly phase: "settling"; readonly boundAt: Millis; readonly rttMs: Millis; readonly until: Millis }
  /** The sockets have been made to ask for an acknowledgement, `asked` times so far; `waiting`: they had data under way then. */
  | { readonly phase: "listening"; readonly settledAt: Millis; readonly rttMs: Millis; readonly asked: number; readonly waiting: boolean; readonly until: Millis }
  /** Time is up: what do they say now? */
  | { readonly phase: "judging"; readonly settledAt: Millis; readonly rttMs: Millis; readonly asked: number; readonly waiting: boolean }
  /** Silence of connections that had nothing to say. */
  | { readonly phase: "pausing"; readonly settledAt: Millis; readonly rttMs: Millis; readonly until: Millis }
  /** Nothing came: the binding must go. */
  | { readonly phase: "removing"; readonly sequence: number; readonly tries: number; readonly retryAt: Millis }
  | { readonly phase: "over" }
);

/** A round trip counts for no less than this: clocks of kernels tick, and peers delay their acknowledgements. */
const shortestRttMs = 100;
/** Hosts answer unexpected segments at most twice a second (RFC 5961 §7): an idle connection that must be asked is asked a second time after this. */
const askAgainMs = 600;

/** The binding has just been acknowledged. */
export function startWatch(client: Address, bound: Bound, now: Millis): GroupStep<DataWatch> {
  const { lease, homeToken, homeNonceIndex, sequence } = bound;
  const rest: SequenceLease = { next: (sequence + 1) & 0xffff, last: lease.last };
  const rttMs = Math.max(shortestRttMs, bound.rttMs);
  return { state: { client, lease: rest, homeToken, homeNonceIndex, phase: "settling", boundAt: now, rttMs, until: now + rttMs }, effects: [{ do: "askTransport", client, elicit: false }] };
}

/** When `watchTimer` must be called; undefined when nothing is awaited. */
export function watchWake(state: DataWatch): Millis | undefined {
  if (state.phase === "over" || state.phase === "judging") return undefined;
  return state.phase === "removing" ? state.retryAt : state.until;
}

/** What `askTransport` brought. */
export function onTransport(state: DataWatch, transport: Transport, view: GroupView, now: Millis): GroupStep<DataWatch> {
  if (state.phase === "removing" || state.phase === "over") return { state, effects: [] };
  // Nothing to lose, and nobody to ask.
  if (transport.connections === 0) return over(state);
  if (state.phase === "settling") {
    const rttMs = Math.max(state.rttMs, transport.rttMs ?? 0);
    return { state: { ...state, rttMs, until: state.boundAt + rttMs }, effects: [] };
  }
  if (state.phase === "listening") return { state: { ...state, waiting: transport.unacknowledged }, effects: [] };
  if (state.phase === "pausing") return { state, effects: [] };
  if (now - transport.ackAgeMs > state.settledAt) return over(state);
  // What was under way two round trips ago still is: more than a question that the peer may have found one too many.
  if ((state.waiting && transport.unacknowledged) || state.asked > 1) return remove(state, view, now);
  const { client, lease, homeToken, homeNonceIndex, rttMs, settledAt } = state;
  return { state: { client, lease, homeToken, homeNonceIndex, rttMs, settledAt, phase: "pausing", until: Math.max(now, settledAt + askAgainMs) }, effects: [] };
}

export function watchTimer(state: DataWatch, view: GroupView, now: Millis): GroupStep<DataWatch> {
  if (state.phase === "over" || state.phase === "judging" || now < (watchWake(state) as Millis)) return { state, effects: [] };
  if (state.phase === "removing") return transmit(state, view, now);
  const { client, lease, homeToken, homeNonceIndex, rttMs } = state;
  if (state.phase === "listening") {
    const { settledAt, asked, waiting } = state;
    return { state: { client, lease, homeToken, homeNonceIndex, rttMs, settledAt, asked, waiting, phase: "judging" }, effects: [{ do: "askTransport", client, elicit: false }] };
  }
  const common = { client, lease, homeToken, homeNonceIndex, rttMs, phase: "listening", waiting: false } as const;
  // Three round trips after the binding, of which one has passed.
  const listening = state.phase === "settling" ? { ...common, settledAt: now, asked: 1, until: now + 2 * rttMs } : { ...common, settledAt: state.settledAt, asked: 2, until: now + 2 * rttMs };
  return { state: listening, effects: [{ do: "askTransport", client, elicit: true }] };
}

/** The Binding Acknowledgement of the removal. */
export function onRemovalPacket(state: DataWatch, packet: MobilityPacket, mobilityHeader: Uint8Array, view: GroupView): GroupStep<DataWatch> {
  if (state.phase !== "removing") return { state, effects: [{ do: "drop", reason: `${packet.message.kind} not awaited`, packet }] };
  const source = view.members.get(view.self) as Address;
  const firstSequence = (state.sequence - state.tries + 1) & 0xffff;
  const outcome = acknowledgementOutcome({ home: view.home, client: state.client, careOf: view.home, source, sequence: state.sequence, firstSequence, kbm: bindingManagementKey(state.homeToken) }, packet, mobilityHeader);
  return outcome.kind === "ignored" ? { state, effects: [{ do: "drop", reason: outcome.reason, packet }] } : over(state);
}

/** Our packets go through the tunnel from now on; the client's do when it has heard. */
function remove(state: DataWatch, view: GroupView, now: Millis): GroupStep<DataWatch> {
  const { client, lease, homeToken, homeNonceIndex } = state;
  const sent = transmit({ client, lease, homeToken, homeNonceIndex, phase: "removing", sequence: (lease.next - 1) & 0xffff, tries: 0, retryAt: now }, view, now);
  const gone: GroupEffect[] = [{ do: "unoptimise", client }, { do: "tellMember", member: view.contact, message: { kind: "bindingLost", client, why: "noData" } }];
  return { state: sent.state, effects: [...gone, ...sent.effects] };
}

/** Each transmission takes a new number, at the back-off of §11.8, until the block is used up: then the binding ends with its lifetime. */
function transmit(state: Extract<DataWatch, { phase: "removing" }>, view: GroupView, now: Millis): GroupStep<DataWatch> {
  if (state.sequence === state.lease.last) return over(state);
  const { client, homeToken, homeNonceIndex } = state;
  const sequence = (state.sequence + 1) & 0xffff;
  const tries = state.tries + 1;
  const packet = removalFor({ home: view.home, client, source: view.members.get(view.self) as Address, sequence, homeNonceIndex, kbm: bindingManagementKey(homeToken) });
  return { state: { ...state, sequence, tries, retryAt: now + backOff(tries) }, effects: [{ do: "send", packet }] };
}

function over(state: DataWatch): GroupStep<DataWatch> {
  const { client, lease, homeToken, homeNonceIndex } = state;
  return { state: { client, lease, homeToken, homeNonceIndex, phase: "over" }, effects: [] };
}
