import type { Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import { homeTestAnswered, homeTestTimer, startHomeTest, type HomeProbe } from "../returnRoutability.ts";
import type { Millis, Random } from "../step.ts";
import { admitUpdate, type RecentUpdates } from "../updateLimiter.ts";
import type { GroupEffect, GroupStep, GroupView, HandoffName } from "./effects.ts";
import type { HandoffMode } from "./handoffMode.ts";
import type { HomeGrant, MemberMessage, SequenceLease } from "./memberMessage.ts";

/**
 * The contact node's knowledge of one client, and what it is doing about it. The contact alone runs the home test (its tunnel is the one that the home
 * agent registered), decides who serves, and grants the sequence numbers that make a Binding Update acceptable: the paper's "single integer number".
 */
export interface ContactClient {
  readonly client: Address;
  /** The member that serves this client now. */
  readonly server: string;
  /** First sequence number that no block has been granted from yet. */
  readonly nextSequence: number;
  readonly grant: { readonly token: Uint8Array; readonly nonceIndex: number; readonly receivedAt: Millis } | null;
  /** `plain`: has no Mobile IPv6; served through the tunnel, relayed by us when another member serves it. */
  readonly capability: "unknown" | "mobile" | "plain";
  /** Has connections to X. Bindings of others are left to run out. */
  readonly active: boolean;
  /** When the binding at the client runs out, if it has one. */
  readonly boundUntil: Millis | null;
  readonly work: ContactWork;
  /** When members were last told to bind this client: the limit of 3 updates per second counts for the whole group (§11.8). */
  readonly updates: RecentUpdates;
  /** Asked for while other work was under way, or too soon after other updates; taken up when that is over. */
  readonly waiting: HandoffWish | null;
}

/** A handoff that somebody asked for. */
export interface HandoffWish {
  readonly handoff: string;
  readonly acceptor: string;
  readonly mode: HandoffMode;
  readonly drain: boolean;
  readonly decidedAt: Millis;
}

export type ContactWork =
  | { readonly phase: "idle" }
  /** Home test under way; `then` says what for. */
  | { readonly phase: "homeTest"; readonly probe: HomeProbe; readonly purpose: { readonly for: "handOver"; readonly wish: HandoffWish } | { readonly for: "rebind" | "prepare"; readonly requests: readonly string[] } }
  | { readonly phase: "handing"; readonly wish: HandoffWish; readonly donor: string; readonly until: Millis }
  | { readonly phase: "rebinding"; readonly requests: readonly string[]; readonly until: Millis; readonly retried: boolean };

/** Home tokens are refreshed or refetched when older than this: they die at 210 s (MAX_TOKEN_LIFETIME, §12) and must outlast a handoff. */
export const grantUsableMs = 190_000;
/** Sequence numbers per block: enough for the retransmissions of one binding, each of which takes a new number (§11.8). */
const blockSize = 8;
/** How long the contact waits for the outcome of a handoff before it calls it failed; longer than the acceptor's and the donor's own limits. */
export const handingLimitMs = 15_000;
const rebindLimitMs = 15_000;
/** Home tests unanswered for this long: the client has no Mobile IPv6 (§11.6.1 retries included). */
export const plainAfterMs = 3_500;

const idle: ContactWork = { phase: "idle" };

export function newContactClient(client: Address, server: string, firstSequence: number): ContactClient {
  return { client, server, nextSequence: firstSequence & 0xffff, grant: null, capability: "unknown", active: true, boundUntil: null, updates: [], work: idle, waiting: null };
}

/** Starts a handoff, or keeps it waiting behind work under way, or answers why not. */
export function handOver(state: ContactClient, wish: HandoffWish, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const refusal = whyNot(state, wish, view);
  if (refusal) return { state, effects: [answer(wish.handoff, { step: "decided", reason: refusal })] };
  if (state.work.phase !== "idle") return { state: { ...state, waiting: wish }, effects: [] };
  const admission = admitUpdate(state.updates, now);
  if (!admission.admitted) return { state: { ...state, waiting: wish }, effects: [] };
  const decided: GroupEffect = { do: "mark", ...nameOf(state, wish), step: "decided", at: wish.decidedAt };
  const usable = wish.mode === "prepared" && freshGrant(state, now) !== null;
  if (usable || state.capability === "plain") return prepend([decided], beginHanding(state, wish, view, now));
  return prepend([decided], probe({ ...state, grant: null }, { for: "handOver", wish }, view, now, random));
}

function whyNot(state: ContactClient, wish: HandoffWish, view: GroupView): string | null {
  if (!view.members.has(wish.acceptor)) return `"${wish.acceptor}" is not a member of group ${view.id}; members are ${[...view.members.keys()].join(", ")}`;
  if (wish.acceptor === state.server) return `${wish.acceptor} serves ${state.client} already`;
  if (state.work.phase === "handing" || state.waiting) return `another handoff of ${state.client} is still open; wait for its end`;
  return null;
}

/** Fetches a home token, unless a usable one is at hand. */
export function prepare(state: ContactClient, request: string, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  if (freshGrant(state, now)) return { state, effects: [answer(request, null)] };
  if (state.work.phase === "homeTest" && state.work.purpose.for !== "handOver") {
    const purpose = { ...state.work.purpose, requests: [...state.work.purpose.requests, request] };
    return { state: { ...state, work: { ...state.work, purpose } }, effects: [] };
  }
  if (state.work.phase !== "idle") return { state, effects: [answer(request, { step: "homeTestInit", reason: `${state.client} is being handed over or bound; ask again after that` })] };
  return probe(state, { for: "prepare", requests: [request] }, view, now, random);
}

/** Forgets the home token, so that the next handoff starts from nothing as in the paper's first case. */
export function discardGrant(state: ContactClient): GroupStep<ContactClient> {
  return { state: { ...state, grant: null }, effects: [] };
}

/** Binds the client to the member that serves it now: route optimisation without a handoff, and refresh. `request` null when we want it ourselves. */
export function rebind(state: ContactClient, request: string | null, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const requests = request ? [request] : [];
  if (state.capability === "plain") return { state, effects: requests.map((r) => answer(r, { step: "homeTestInit", reason: `${state.client} has no Mobile IPv6` })) };
  if (state.work.phase !== "idle") return { state, effects: requests.map((r) => answer(r, { step: "homeTestInit", reason: `${state.client} is being handed over or bound already` })) };
  const grant = freshGrant(state, now);
  return grant ? beginRebind(state, requests, grant, now, false) : probe(state, { for: "rebind", requests }, view, now, random);
}

/** A Home Test for this client, out of the home tunnel or not. */
export function onHomeTest(state: ContactClient, packet: MobilityPacket, at: Millis, view: GroupView, now: Millis): GroupStep<ContactClient> {
  if (state.work.phase !== "homeTest") return { state, effects: [{ do: "drop", reason: "home test not awaited", packet }] };
  const outcome = homeTestAnswered(state.work.probe, packet, at);
  if (!outcome.ok) return { state, effects: [{ do: "drop", reason: outcome.reason, packet }] };
  const { purpose } = state.work;
  const held: ContactClient = { ...state, grant: { token: outcome.token, nonceIndex: outcome.nonceIndex, receivedAt: at }, capability: "mobile", work: idle };
  if (purpose.for === "handOver") {
    const mark: GroupEffect = { do: "mark", ...nameOf(state, purpose.wish), step: "homeTest", at };
    return prepend([mark], beginHanding(held, purpose.wish, view, now));
  }
  if (purpose.for === "prepare") return { state: held, effects: purpose.requests.map((r) => answer(r, null)) };
  return beginRebind(held, purpose.requests, grantNow(held, now) as HomeGrant, now, false);
}

/** ICMPv6 Parameter Problem about our Home Test Init: the client knows no Mobility Header. */
export function onNotCapable(state: ContactClient, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const plain: ContactClient = { ...state, capability: "plain" };
  if (state.work.phase !== "homeTest") return { state: plain, effects: [] };
  return withoutMobility({ ...plain, work: idle }, state.work, view, now);
}

/** The client has connections again, or none any more. */
export function onActivity(state: ContactClient, active: boolean): GroupStep<ContactClient> {
  return { state: { ...state, active }, effects: [] };
}

/** Nothing is known of the client that the next packet would not teach us again. */
export function forgettable(state: ContactClient): boolean {
  return !state.active && state.boundUntil === null && state.work.phase === "idle";
}

/** What a member reports about this client. */
export function onReport(state: ContactClient, from: string, message: MemberMessage, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const { work } = state;
  if ((message.kind === "rebound" || message.kind === "rebindFailed") && work.phase === "rebinding" && from === state.server) {
    if (message.kind === "rebound") return ended({ ...state, boundUntil: now + message.lifetimeSeconds * 1000 }, work.requests.map((r) => answer(r, null)), view, now, random);
    return rebindFailed(state, work, message.lastSequence, message.reason, view, now, random);
  }
  if (work.phase !== "handing" || !("handoff" in message) || message.handoff !== work.wish.handoff) return { state, effects: [{ do: "drop", reason: `member message "${message.kind}" not awaited` }] };
  const name = { ...nameOf(state, work.wish), donor: work.donor };
  if (message.kind === "accepted" && from === work.wish.acceptor) {
    const next: ContactClient = { ...state, server: from, boundUntil: message.sequence === null ? null : now + view.lifetimeSeconds * 1000 };
    const effects: GroupEffect[] = [{ do: "mark", ...name, step: "done" }, { do: "tell", event: { type: "handoffDone", ...name, home: view.home, connections: message.connections, drainMs: message.drainMs, bytes: message.bytes } }];
    // Whatever still reaches us for this client (through the tunnel, or late) goes on to the member that serves it.
    effects.push(from === view.self ? { do: "unrelay", client: state.client } : { do: "relay", client: state.client, member: view.members.get(from) as Address });
    return ended(next, [...effects, answer(work.wish.handoff, null, message.connections)], view, now, random);
  }
  if (message.kind === "refused" && (from === work.donor || from === work.wish.acceptor)) {
    return handingFailed(state, work, message.step, message.reason, message.lastSequence, view, now, random);
  }
  return { state, effects: [{ do: "drop", reason: `member message "${message.kind}" from ${from} does not fit handoff ${message.handoff}` }] };
}

/** Timers: retransmits home tests, gives up on what has taken too long, refreshes the binding before it runs out. */
export function contactTimer(state: ContactClient, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const { work } = state;
  if (work.phase === "homeTest") {
    if (now >= work.probe.startedAt + plainAfterMs) return withoutMobility({ ...state, capability: state.capability === "mobile" ? "mobile" : "plain", work: idle }, work, view, now);
    const next = homeTestTimer(work.probe, now);
    return { state: { ...state, work: { ...work, probe: next.probe } }, effects: next.packet ? [{ do: "send", packet: next.packet }] : [] };
  }
  if (work.phase === "handing" && now >= work.until) return handingFailed(state, work, "done", `no outcome within ${handingLimitMs / 1000} s`, null, view, now, random);
  if (work.phase === "rebinding" && now >= work.until) return rebindFailed(state, { ...work, retried: true }, null, `no outcome within ${rebindLimitMs / 1000} s`, view, now, random);
  if (work.phase === "idle" && state.waiting) return handOver({ ...state, waiting: null }, state.waiting, view, now, random);
  if (work.phase === "idle" && state.boundUntil !== null && now >= refreshAt(state, view)) {
    if (state.active) return rebind(state, null, view, now, random);
    if (now >= state.boundUntil) return { state: { ...state, boundUntil: null }, effects: [] };
    return { state, effects: [] };
  }
  return { state, effects: [] };
}

function probe(state: ContactClient, purpose: Extract<ContactWork, { phase: "homeTest" }>["purpose"], view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const self = view.members.get(view.self) as Address;
  const { probe, packet } = startHomeTest({ home: view.home, client: state.client, tunnel: { source: self, destination: view.homeAgent } }, now, random);
  const mark = purpose.for === "handOver" ? ({ do: "mark", ...nameOf(state, purpose.wish), step: "homeTestInit" } as const) : undefined;
  return {
    state: { ...state, work: { phase: "homeTest", probe, purpose } },
    effects: [mark ? { do: "send", packet, mark } : { do: "send", packet }],
  };
}

function beginHanding(state: ContactClient, wish: HandoffWish, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const donor = state.server;
  const [lease, nextSequence] = grantBlock(state.nextSequence);
  const grant = state.capability === "plain" ? null : grantNow(state, now);
  const take: MemberMessage = { kind: "take", handoff: wish.handoff, client: state.client, acceptor: wish.acceptor, mode: wish.mode, drain: wish.drain, lease, grant };
  const effects: GroupEffect[] = [];
  if (donor !== view.self && wish.acceptor !== view.self) effects.push({ do: "tellMember", member: wish.acceptor, message: { kind: "expect", handoff: wish.handoff, client: state.client, donor } });
  effects.push({ do: "tellMember", member: donor, message: take });
  const until = now + handingLimitMs;
  return { state: { ...state, nextSequence, updates: counted(state, now), work: { phase: "handing", wish, donor, until } }, effects };
}

function beginRebind(state: ContactClient, requests: readonly string[], grant: HomeGrant, now: Millis, retried: boolean): GroupStep<ContactClient> {
  const [lease, nextSequence] = grantBlock(state.nextSequence);
  const until = now + rebindLimitMs;
  return {
    state: { ...state, nextSequence, updates: counted(state, now), work: { phase: "rebinding", requests, until, retried } },
    effects: [{ do: "tellMember", member: state.server, message: { kind: "rebind", client: state.client, lease, grant } }],
  };
}

function handingFailed(state: ContactClient, work: Extract<ContactWork, { phase: "handing" }>, step: string, reason: string, lastSequence: number | null, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const name = { ...nameOf(state, work.wish), donor: work.donor };
  const effects: GroupEffect[] = [{ do: "tell", event: { type: "handoffFailed", ...name, home: view.home, step, reason } }, answer(work.wish.handoff, { step, reason })];
  const next = { ...state, ...after(state, lastSequence), grant: null, work: idle };
  // As the acceptor we had stopped passing packets on to the donor.
  if (state.server !== view.self) effects.push({ do: "relay", client: state.client, member: view.members.get(state.server) as Address });
  // The acceptor may have bound the client already: only a younger binding to the donor is safe.
  const again = state.capability === "mobile" ? rebind(next, null, view, now, random) : { state: next, effects: [] };
  return prepend(effects, again);
}

function rebindFailed(state: ContactClient, work: Extract<ContactWork, { phase: "rebinding" }>, lastSequence: number | null, reason: string, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const next: ContactClient = { ...state, ...after(state, lastSequence), grant: null, boundUntil: null, work: idle };
  if (!work.retried) {
    return probe(next, { for: "rebind", requests: work.requests }, view, now, random);
  }
  return ended(next, work.requests.map((r) => answer(r, { step: "bindingUpdate", reason })), view, now, random);
}

/** The client answered no home test: hand it over without binding (the contact relays), or leave it on the tunnel. */
function withoutMobility(state: ContactClient, work: Extract<ContactWork, { phase: "homeTest" }>, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const told: GroupEffect = { do: "tell", event: { type: "clientServed", home: view.home, client: state.client, member: state.server, how: state.server === view.self ? "tunnel" : "relayed", why: "no answer to Home Test Init" } };
  if (work.purpose.for === "handOver" && state.capability === "plain") return prepend([told], beginHanding(state, work.purpose.wish, view, now));
  const reason = "no answer to Home Test Init";
  const requests = work.purpose.for === "handOver" ? [work.purpose.wish.handoff] : work.purpose.requests;
  return { state, effects: [told, ...requests.map((r) => answer(r, { step: "homeTest", reason }))] };
}

/** Work is over: take up what was waiting. */
function ended(state: ContactClient, effects: readonly GroupEffect[], view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const free: ContactClient = { ...state, work: idle, waiting: null };
  if (state.waiting) return prepend(effects, handOver(free, state.waiting, view, now, random));
  return { state: free, effects };
}

/** When `contactTimer` must be called; undefined when nothing is awaited. */
export function contactWake(state: ContactClient, view: GroupView): Millis | undefined {
  const { work } = state;
  if (work.phase === "homeTest") return Math.min(work.probe.retryAt, work.probe.startedAt + plainAfterMs);
  if (work.phase !== "idle") return work.until;
  if (state.waiting) return (state.updates[0] ?? -Infinity) + 1000;
  if (state.boundUntil === null) return undefined;
  return state.active ? refreshAt(state, view) : state.boundUntil;
}

/** Bindings are refreshed when a fifth of their life is left (§11.7.2 asks for "well before"). */
function refreshAt(state: ContactClient, view: GroupView): Millis {
  return (state.boundUntil ?? 0) - view.lifetimeSeconds * 200;
}

function freshGrant(state: ContactClient, now: Millis): HomeGrant | null {
  const grant = grantNow(state, now);
  return grant && grant.ageMs < grantUsableMs ? grant : null;
}

function grantNow(state: ContactClient, now: Millis): HomeGrant | null {
  return state.grant && { token: state.grant.token, nonceIndex: state.grant.nonceIndex, ageMs: Math.max(0, now - state.grant.receivedAt) };
}

/** Binding Updates that this step sets off count from now. Refreshes are never refused: there is at most one in many seconds. */
function counted(state: ContactClient, now: Millis): RecentUpdates {
  const admission = admitUpdate(state.updates, now);
  return admission.admitted ? admission.recent : state.updates;
}

function grantBlock(next: number): [SequenceLease, number] {
  return [{ next, last: (next + blockSize - 1) & 0xffff }, (next + blockSize) & 0xffff];
}

/** After status 135 our count goes on above what the client accepted last (§11.7.3), but never back: that status may be old or forged. */
function after(state: ContactClient, lastSequence: number | null): { nextSequence: number } {
  if (lastSequence === null) return { nextSequence: state.nextSequence };
  const above = (lastSequence + 1) & 0xffff;
  const ahead = (above - state.nextSequence) & 0xffff;
  return { nextSequence: ahead < 0x8000 ? above : state.nextSequence };
}

function nameOf(state: ContactClient, wish: HandoffWish): HandoffName {
  return { handoff: wish.handoff, client: state.client, donor: state.server, acceptor: wish.acceptor, mode: wish.mode };
}

function answer(request: string, error: { step: string; reason: string } | null, connections = 0): GroupEffect {
  return { do: "answer", request, error, connections };
}

function prepend<S>(effects: readonly GroupEffect[], step: GroupStep<S>): GroupStep<S> {
  return { ...step, effects: [...effects, ...step.effects] };
}
