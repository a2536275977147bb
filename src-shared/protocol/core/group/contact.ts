import type { Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import { MAX_RR_BINDING_LIFETIME_S } from "../limits.ts";
import { homeTestAnswered, homeTestTimer, isOwnCookie, startHomeTest, type HomeProbe } from "../returnRoutability.ts";
import type { Millis, Random } from "../step.ts";
import { admitUpdate, type RecentUpdates } from "../updateLimiter.ts";
import type { GroupEffect, GroupStep, GroupView, HandoffName } from "./effects.ts";
import type { HandoffMode } from "./handoffMode.ts";
import type { BindingLoss, HomeGrant, MemberMessage, SequenceLease } from "./memberMessage.ts";

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
  /**
   * `plain`: says that it has no Mobile IPv6, or its data does not get through; `silent`: has answered no home test so far. Until `retryAt` both are served
   * through the tunnel, relayed by us when another member serves them.
   */
  readonly capability: "unknown" | "mobile" | "plain" | "silent";
  /** Has connections to X. Bindings of others are left to run out. */
  readonly active: boolean;
  /** The binding at the client, if it has one: when it runs out, and when it should be refreshed. */
  readonly boundUntil: Millis | null;
  readonly refreshAt: Millis;
  readonly work: ContactWork;
  /** A home test that no work waits for any more: repeated (§11.8) and listened for, because the client may only be slow. Never beside a home test of `work`. */
  readonly late: LateHomeTest | null;
  /** When members have last said how binding this client went, so at the earliest when they did it: the limit of 3 updates per second counts for the whole group (§11.8). */
  readonly updates: RecentUpdates;
  /** Asked for while other work was under way, or too soon after other updates; taken up when that is over. */
  readonly waiting: HandoffWish | null;
  /** When route optimisation is tried again: after a failure, or because somebody says that the binding is gone. */
  readonly retryAt: Millis | null;
}

/** A handoff that somebody asked for. */
export interface HandoffWish {
  readonly handoff: string;
  readonly acceptor: string;
  readonly mode: HandoffMode;
  readonly drain: boolean;
  readonly decidedAt: Millis;
}

/** What a home test is for when no handoff waits for it: its token alone, or binding the client to whoever serves it. `requests` are answered at the end. */
type QuietPurpose = { readonly for: "prepare"; readonly requests: readonly string[] } | { readonly for: "rebind"; readonly requests: readonly string[]; readonly retried: boolean };

interface LateHomeTest {
  readonly probe: HomeProbe;
  readonly purpose: QuietPurpose;
}

export type ContactWork =
  | { readonly phase: "idle" }
  /** Home test under way; `purpose` says what for. */
  | { readonly phase: "homeTest"; readonly probe: HomeProbe; readonly purpose: { readonly for: "handOver"; readonly wish: HandoffWish } | QuietPurpose }
  | { readonly phase: "handing"; readonly wish: HandoffWish; readonly donor: string; readonly until: Millis }
  | { readonly phase: "rebinding"; readonly requests: readonly string[]; readonly until: Millis; readonly retried: boolean };

/** Home tokens are refreshed or refetched when older than this: they die at 210 s (MAX_TOKEN_LIFETIME, §12) and must outlast a handoff. */
export const grantUsableMs = 190_000;
/** Sequence numbers per block: enough for the retransmissions of one binding, each of which takes a new number (§11.8). */
const blockSize = 8;
/** How long the contact waits for the outcome of a handoff before it calls it failed; longer than the acceptor's and the donor's own limits. */
export const handingLimitMs = 15_000;
const rebindLimitMs = 15_000;
/** Home tests of a new client unanswered for this long: it is served as one without Mobile IPv6 until it answers (transmissions at 0, 1 and 3 s). */
export const silentAfterMs = 3_500;
/** A client that has answered before is waited for a little longer: there is nothing to find out about it. */
const unansweredAfterMs = 7_500;
/** An answer counts until this long after the test began, whatever has been decided meanwhile. */
export const lateAnswerMs = 20_000;
/** §11.3.5: what is known of a client without Mobile IPv6 is forgotten after a while, and route optimisation tried again. Sooner where only silence said so. */
export const plainForMs = 600_000;
const silentForMs = 300_000;
/** One that has answered before is tried again sooner. */
const retryAfterMs = 60_000;
/** Binding Errors, refresh requests and ICMPv6 errors are not signed: they make us bind a client anew no more often than this. */
export const provokedEveryMs = 3_000;

const idle: ContactWork = { phase: "idle" };
const noAnswer = "no answer to Home Test Init";

export function newContactClient(client: Address, server: string, firstSequence: number): ContactClient {
  return { client, server, nextSequence: firstSequence & 0xffff, grant: null, capability: "unknown", active: true, boundUntil: null, refreshAt: Infinity, updates: [], work: idle, late: null, waiting: null, retryAt: null };
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
  const untold = (state.late?.purpose.requests ?? []).map((r) => answer(r, { step: "homeTest", reason: `${state.client} has not answered, and is handed over as it is` }));
  if (state.capability === "silent") return prepend([decided, ...untold], handOverSilent(state, wish, view, now, random));
  return prepend([decided, ...untold], probe({ ...state, grant: null, late: null }, { for: "handOver", wish }, view, now, random));
}

/** Relayed at once; should it answer the test that goes on meanwhile, it is bound to its new member behind the handoff. */
function handOverSilent(state: ContactClient, wish: HandoffWish, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const purpose = { for: "rebind", requests: [], retried: false } as const;
  const asked = state.late ? null : homeTest(state, view, now, random);
  const late: LateHomeTest = { probe: state.late?.probe ?? (asked as NonNullable<typeof asked>).probe, purpose };
  return prepend(asked ? [{ do: "send", packet: asked.packet }] : [], beginHanding({ ...state, late }, wish, view, now));
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
  if (state.late) return { state: { ...state, late: { ...state.late, purpose: { ...state.late.purpose, requests: [...state.late.purpose.requests, request] } } }, effects: [] };
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
  if (grant) return beginRebind(state, requests, grant, now, false);
  if (state.late) return { state: { ...state, late: { ...state.late, purpose: { for: "rebind", requests: [...state.late.purpose.requests, ...requests], retried: false } } }, effects: [] };
  return probe(state, { for: "rebind", requests, retried: false }, view, now, random);
}

/** A Home Test for this client, out of the home tunnel or not. */
export function onHomeTest(state: ContactClient, packet: MobilityPacket, at: Millis, view: GroupView, now: Millis): GroupStep<ContactClient> {
  if (state.late) return onLateHomeTest(state, state.late, packet, at, now);
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
  return beginRebind(held, purpose.requests, grantNow(held, now) as HomeGrant, now, purpose.retried);
}

/** Slow, not without Mobile IPv6. Whatever else is under way with the client goes on; what the test was for follows it. */
function onLateHomeTest(state: ContactClient, late: LateHomeTest, packet: MobilityPacket, at: Millis, now: Millis): GroupStep<ContactClient> {
  const outcome = homeTestAnswered(late.probe, packet, at);
  if (!outcome.ok) return { state, effects: [{ do: "drop", reason: outcome.reason, packet }] };
  const { purpose } = late;
  const held: ContactClient = { ...state, grant: { token: outcome.token, nonceIndex: outcome.nonceIndex, receivedAt: at }, capability: "mobile", late: null };
  const told: GroupEffect = { do: "tell", event: { type: "log", level: "info", text: `${state.client} has answered a home test after ${((at - late.probe.startedAt) / 1000).toFixed(1)} s: it is slow, not without Mobile IPv6` } };
  if (purpose.for === "prepare") return { state: held, effects: [told, ...purpose.requests.map((r) => answer(r, null))] };
  if (state.work.phase !== "idle") return { state: { ...held, retryAt: state.boundUntil === null ? now : null }, effects: [told] };
  if (!state.active && purpose.requests.length === 0) return { state: held, effects: [told] };
  return prepend([told], beginRebind(held, purpose.requests, grantNow(held, now) as HomeGrant, now, purpose.retried));
}

/** §11.3.5, §11.3.6: ICMPv6 Parameter Problem, or a Binding Error of status 2, about our Home Test Init: the client knows no Mobility Header. */
export function onNotCapable(state: ContactClient, cookie: Uint8Array | null, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const { work, late } = state;
  const asked = late ?? (work.phase === "homeTest" ? work : null);
  if (!asked) return { state, effects: [{ do: "drop", reason: "a client's word that it has no Mobile IPv6, not awaited" }] };
  if (cookie && !isOwnCookie(asked.probe, cookie)) return { state, effects: [{ do: "drop", reason: "ICMPv6 error about a test init that is not ours" }] };
  const reason = "the client says that it has no Mobile IPv6";
  const plain = plainFor(state, "plain", plainForMs, now);
  if (late) return unanswered(plain, late, reason, view);
  return withoutMobility({ ...plain, work: idle }, work as Extract<ContactWork, { phase: "homeTest" }>, reason, view, now);
}

function plainFor(state: ContactClient, capability: "plain" | "silent", ms: Millis, now: Millis): ContactClient {
  // Its binding, if it still has one, is left to its end: nothing could refresh it.
  return { ...state, capability, grant: null, refreshAt: Infinity, retryAt: now + ms };
}

/** The end of a late home test that brought nothing. */
function unanswered(state: ContactClient, late: LateHomeTest, reason: string, view: GroupView): GroupStep<ContactClient> {
  const told = state.capability === "plain" && state.boundUntil === null ? [servedThroughTunnel(state, reason, view)] : [];
  return { state: { ...state, late: null }, effects: [...told, ...late.purpose.requests.map((r) => answer(r, { step: "homeTest", reason }))] };
}

/** §11.7.4: the client asks for a refresh, through the home tunnel and unsigned. Heeded for a binding that is wanted, at a limited rate. */
export function onRefreshRequest(state: ContactClient, packet: MobilityPacket, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const refuse = (reason: string): GroupStep<ContactClient> => ({ state, effects: [{ do: "drop", reason: `binding refresh request ${reason}`, packet }] });
  if (packet.tunnel?.source !== view.homeAgent) return refuse("outside the home tunnel");
  if (state.boundUntil === null) return refuse("without a binding");
  if (!state.active) return refuse("of a client without connections");
  return { state: provoked(state, now), effects: [] };
}

/** A member does without the client's binding from now on. The client itself may know better: ask it again, but not too often. */
export function onBindingLost(state: ContactClient, from: string, why: BindingLoss, view: GroupView, now: Millis): GroupStep<ContactClient> {
  if (from !== state.server || state.work.phase === "handing") return { state, effects: [{ do: "drop", reason: `member message "bindingLost" from ${from}, not awaited` }] };
  const lost: ContactClient = { ...state, boundUntil: null, refreshAt: Infinity };
  const told = servedThroughTunnel(state, lossText[why], view);
  if (why === "noData") return { state: plainFor(lost, "plain", plainForMs, now), effects: [told] };
  // Without the old token the client is asked whether it has Mobile IPv6 at all.
  return { state: provoked({ ...lost, grant: why === "homeAddressOption" ? null : lost.grant }, now), effects: [told] };
}

const lossText: Readonly<Record<BindingLoss, string>> = {
  unbound: "the client says that it has no binding (Binding Error status 1)",
  homeAddressOption: "the client does not know the Home Address option (ICMPv6 Parameter Problem code 2)",
  noData: "nothing came back over the new binding within 3 round trips: something on the path drops Mobile IPv6 data",
};

function servedThroughTunnel(state: ContactClient, why: string, view: GroupView): GroupEffect {
  const how = state.server === view.self ? "tunnel" : "relayed";
  return { do: "tell", event: { type: "clientServed", home: view.home, client: state.client, member: state.server, how, why } };
}

function provoked(state: ContactClient, now: Millis): ContactClient {
  return { ...state, retryAt: Math.max(now, (state.updates.at(-1) ?? -Infinity) + provokedEveryMs) };
}

/** The client has connections again, or none any more. */
export function onActivity(state: ContactClient, active: boolean): GroupStep<ContactClient> {
  return { state: { ...state, active }, effects: [] };
}

/** Nobody serves the client, and it is not bound: what it sends next is for us. */
export function isAway(state: ContactClient): boolean {
  return !state.active && state.boundUntil === null && state.work.phase === "idle" && state.late === null && state.waiting === null;
}

/** Nothing is known of the client that the next packet would not teach us again. */
export function forgettable(state: ContactClient): boolean {
  return isAway(state) && state.capability !== "plain" && state.capability !== "silent";
}

/** What a member reports about this client. */
export function onReport(state: ContactClient, from: string, message: MemberMessage, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const { work } = state;
  if ((message.kind === "rebound" || message.kind === "rebindFailed") && work.phase === "rebinding" && from === state.server) {
    if (message.kind === "rebound") return ended(boundFor({ ...state, updates: counted(state, now) }, message.lifetimeSeconds, now), work.requests.map((r) => answer(r, null)), view, now, random);
    return rebindFailed(state, work, message.lastSequence, message.reason, view, now, random);
  }
  if (work.phase !== "handing" || !("handoff" in message) || message.handoff !== work.wish.handoff) return { state, effects: [{ do: "drop", reason: `member message "${message.kind}" not awaited` }] };
  const name = { ...nameOf(state, work.wish), donor: work.donor };
  if (message.kind === "accepted" && from === work.wish.acceptor) {
    const taken: ContactClient = { ...state, server: from };
    const next = message.sequence === null ? { ...taken, boundUntil: null, refreshAt: Infinity } : boundFor({ ...taken, updates: counted(state, now) }, message.lifetimeSeconds, now);
    const effects: GroupEffect[] = [{ do: "mark", ...name, step: "done" }, { do: "tell", event: { type: "handoffDone", ...name, home: view.home, connections: message.connections, drainMs: message.drainMs, bytes: message.bytes } }];
    // Whatever still reaches us for this client (through the tunnel, or late) goes on to the member that serves it.
    effects.push(from === view.self ? { do: "unrelay", client: state.client } : { do: "relay", client: state.client, member: view.members.get(from) as Address });
    return ended(next, [...effects, answer(work.wish.handoff, null, message.connections)], view, now, random);
  }
  if (message.kind === "refused" && (from === work.donor || from === work.wish.acceptor)) {
    return handingFailed(state, work, message.step, message.reason, message.lastSequence, view, now, random);
  }
  return { state, effects: [{ do: "drop", reason: `member message "${message.kind}" from ${from} does not fit its handoff` }] };
}

/** Timers: retransmits home tests, gives up on what has taken too long, refreshes the binding before it runs out. */
export function contactTimer(state: ContactClient, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const step = lateTimer(state, view, now);
  return prepend(step.effects, workTimer(step.state, view, now, random));
}

function lateTimer(state: ContactClient, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const { late } = state;
  if (!late) return { state, effects: [] };
  if (now >= late.probe.startedAt + lateAnswerMs) return unanswered(state, late, noAnswer, view);
  const next = homeTestTimer(late.probe, now);
  return { state: { ...state, late: { ...late, probe: next.probe } }, effects: next.packet ? [{ do: "send", packet: next.packet }] : [] };
}

function workTimer(state: ContactClient, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const { work } = state;
  if (work.phase === "homeTest") {
    if (now >= silentAt(state, work.probe)) return onSilence({ ...state, work: idle }, work, view, now);
    const next = homeTestTimer(work.probe, now);
    return { state: { ...state, work: { ...work, probe: next.probe } }, effects: next.packet ? [{ do: "send", packet: next.packet }] : [] };
  }
  if (work.phase === "handing" && now >= work.until) return handingFailed(state, work, "done", `no outcome within ${handingLimitMs / 1000} s`, null, view, now, random);
  if (work.phase === "rebinding" && now >= work.until) return rebindFailed(state, { ...work, retried: true }, null, `no outcome within ${rebindLimitMs / 1000} s`, view, now, random);
  if (work.phase === "idle" && state.waiting) return handOver({ ...state, waiting: null }, state.waiting, view, now, random);
  if (work.phase === "idle") return idleTimer(state, view, now, random);
  return { state, effects: [] };
}

/** Refreshes what is about to end, and tries again what failed; for clients without connections both just end. */
function idleTimer(state: ContactClient, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const retry = state.retryAt !== null && now >= state.retryAt;
  const refresh = now >= state.refreshAt;
  const over = state.boundUntil !== null && now >= state.boundUntil;
  const next: ContactClient = {
    ...state,
    ...(retry && { retryAt: null, capability: state.capability === "mobile" ? "mobile" : "unknown" }),
    ...(over && { boundUntil: null, refreshAt: Infinity }),
  };
  const told = over && state.active ? [servedThroughTunnel(next, "its binding has run out", view)] : [];
  if (!state.active || !(retry || refresh)) return { state: next, effects: told };
  const admission = admitUpdate(next.updates, now);
  if (!admission.admitted) return { state: { ...next, retryAt: admission.notBefore }, effects: told };
  return prepend(told, rebind(next, null, view, now, random));
}

/** No answer to any Home Test Init yet. Handoffs do not wait for one any longer; the test goes on by itself. One that has answered before is asked again soon. */
function onSilence(state: ContactClient, work: Extract<ContactWork, { phase: "homeTest" }>, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const { probe, purpose } = work;
  const late: LateHomeTest = { probe, purpose: purpose.for === "handOver" ? { for: "rebind", requests: [], retried: false } : purpose };
  const silent = state.capability === "mobile" ? { ...state, retryAt: now + retryAfterMs, refreshAt: Infinity } : plainFor(state, "silent", silentForMs, now);
  if (purpose.for === "handOver") return withoutMobility({ ...silent, late }, work, noAnswer, view, now);
  return { state: { ...silent, late }, effects: state.boundUntil === null ? [servedThroughTunnel(silent, noAnswer, view)] : [] };
}

function silentAt(state: ContactClient, probe: HomeProbe): Millis {
  return probe.startedAt + (state.capability === "mobile" ? unansweredAfterMs : silentAfterMs);
}

/** Bindings are refreshed when a fifth of what the client granted is left (§11.7.2 asks for "well before"), and for longer ones at least 84 s before 420 s. */
function boundFor(state: ContactClient, grantedSeconds: number, now: Millis): ContactClient {
  const lifetimeSeconds = Math.min(grantedSeconds, MAX_RR_BINDING_LIFETIME_S);
  return { ...state, boundUntil: now + lifetimeSeconds * 1000, refreshAt: now + lifetimeSeconds * 800, retryAt: null };
}

function probe(state: ContactClient, purpose: Extract<ContactWork, { phase: "homeTest" }>["purpose"], view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const { probe, packet } = homeTest(state, view, now, random);
  const mark = purpose.for === "handOver" ? ({ do: "mark", ...nameOf(state, purpose.wish), step: "homeTestInit" } as const) : undefined;
  return {
    state: { ...state, work: { phase: "homeTest", probe, purpose } },
    effects: [mark ? { do: "send", packet, mark } : { do: "send", packet }],
  };
}

function homeTest(state: ContactClient, view: GroupView, now: Millis, random: Random): ReturnType<typeof startHomeTest> {
  const self = view.members.get(view.self) as Address;
  return startHomeTest({ home: view.home, client: state.client, tunnel: { source: self, destination: view.homeAgent } }, now, random);
}

function beginHanding(state: ContactClient, wish: HandoffWish, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const donor = state.server;
  const [lease, nextSequence] = grantBlock(state.nextSequence);
  const grant = state.capability === "mobile" ? grantNow(state, now) : null;
  const take: MemberMessage = { kind: "take", handoff: wish.handoff, client: state.client, acceptor: wish.acceptor, mode: wish.mode, drain: wish.drain, lease, grant };
  const effects: GroupEffect[] = [];
  if (donor !== view.self && wish.acceptor !== view.self) effects.push({ do: "tellMember", member: wish.acceptor, message: { kind: "expect", handoff: wish.handoff, client: state.client, donor } });
  effects.push({ do: "tellMember", member: donor, message: take });
  const until = now + handingLimitMs;
  return { state: { ...state, nextSequence, work: { phase: "handing", wish, donor, until } }, effects };
}

function beginRebind(state: ContactClient, requests: readonly string[], grant: HomeGrant, now: Millis, retried: boolean): GroupStep<ContactClient> {
  const [lease, nextSequence] = grantBlock(state.nextSequence);
  const until = now + rebindLimitMs;
  return {
    state: { ...state, nextSequence, work: { phase: "rebinding", requests, until, retried } },
    effects: [{ do: "tellMember", member: state.server, message: { kind: "rebind", client: state.client, lease, grant } }],
  };
}

function handingFailed(state: ContactClient, work: Extract<ContactWork, { phase: "handing" }>, step: string, reason: string, lastSequence: number | null, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const name = { ...nameOf(state, work.wish), donor: work.donor };
  const effects: GroupEffect[] = [{ do: "tell", event: { type: "handoffFailed", ...name, home: view.home, step, reason } }, answer(work.wish.handoff, { step, reason })];
  const next = { ...state, ...after(state, lastSequence), updates: counted(state, now), grant: null, work: idle };
  // As the acceptor we had stopped passing packets on to the donor.
  if (state.server !== view.self) effects.push({ do: "relay", client: state.client, member: view.members.get(state.server) as Address });
  // The acceptor may have bound the client already: only a younger binding to the donor is safe.
  const again = state.capability === "mobile" ? rebind(next, null, view, now, random) : { state: next, effects: [] };
  return prepend(effects, again);
}

function rebindFailed(state: ContactClient, work: Extract<ContactWork, { phase: "rebinding" }>, lastSequence: number | null, reason: string, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const next: ContactClient = { ...state, ...after(state, lastSequence), updates: counted(state, now), grant: null, boundUntil: null, refreshAt: Infinity, work: idle };
  if (!work.retried) return probe(next, { for: "rebind", requests: work.requests, retried: true }, view, now, random);
  return ended({ ...next, retryAt: now + retryAfterMs }, work.requests.map((r) => answer(r, { step: "bindingUpdate", reason })), view, now, random);
}

/** The client answered no home test: hand it over without binding (the contact relays), or leave it on the tunnel. */
function withoutMobility(state: ContactClient, work: Extract<ContactWork, { phase: "homeTest" }>, reason: string, view: GroupView, now: Millis): GroupStep<ContactClient> {
  // As long as it is bound it is served directly all the same.
  const told = state.boundUntil === null ? [servedThroughTunnel(state, reason, view)] : [];
  if (work.purpose.for === "handOver" && state.capability !== "mobile") return prepend(told, beginHanding(state, work.purpose.wish, view, now));
  const requests = work.purpose.for === "handOver" ? [work.purpose.wish.handoff] : work.purpose.requests;
  return { state, effects: [...told, ...requests.map((r) => answer(r, { step: "homeTest", reason }))] };
}

/** Work is over: take up what was waiting. */
function ended(state: ContactClient, effects: readonly GroupEffect[], view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const free: ContactClient = { ...state, work: idle, waiting: null };
  if (state.waiting) return prepend(effects, handOver(free, state.waiting, view, now, random));
  return { state: free, effects };
}

/** When `contactTimer` must be called; undefined when nothing is awaited. */
export function contactWake(state: ContactClient): Millis | undefined {
  const late = state.late ? Math.min(state.late.probe.retryAt, state.late.probe.startedAt + lateAnswerMs) : Infinity;
  const next = Math.min(late, workWake(state));
  return next === Infinity ? undefined : next;
}

function workWake(state: ContactClient): Millis {
  const { work } = state;
  if (work.phase === "homeTest") return Math.min(work.probe.retryAt, silentAt(state, work.probe));
  if (work.phase !== "idle") return work.until;
  if (state.waiting) return (state.updates[0] ?? -Infinity) + 1000;
  return Math.min(state.retryAt ?? Infinity, state.active ? state.refreshAt : Infinity, state.boundUntil ?? Infinity);
}

function freshGrant(state: ContactClient, now: Millis): HomeGrant | null {
  const grant = grantNow(state, now);
  return grant && grant.ageMs < grantUsableMs ? grant : null;
}

function grantNow(state: ContactClient, now: Millis): HomeGrant | null {
  return state.grant && { token: state.grant.token, nonceIndex: state.grant.nonceIndex, ageMs: Math.max(0, now - state.grant.receivedAt) };
}

/**
 * A Binding Update is counted when its outcome is known: it left before that, and the next one cannot leave before this, because a client's bindings are
 * made one after the other. So no four ever leave within a second, however long a test at the acceptor takes.
 */
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
