import type { Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import { homeTestTimer } from "../returnRoutability.ts";
import type { Millis, Random } from "../step.ts";
import { admitUpdate } from "../updateLimiter.ts";
import { answer, idle, nameOf, prepend, servedThroughTunnel, type ContactClient, type ContactWork, type HandoffWish, type LateHomeTest } from "./contactClient.ts";
import { homeTest, lateAnswerMs, lateTimer, onSilence, plainFor, plainForMs, probe, retryAfterMs, silentAt } from "./contactHomeTest.ts";
import { after, beginHanding, beginRebind, boundFor, counted, freshGrant } from "./contactOrders.ts";
import type { GroupEffect, GroupStep, GroupView } from "./effects.ts";
import type { BindingLoss, MemberMessage } from "./memberMessage.ts";
import { timeLimits } from "./timeLimits.ts";

/** Binding Errors, refresh requests and ICMPv6 errors are not signed: they make us bind a client anew no more often than this. */
const provokedEveryMs = 3_000;

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
  if (grant) return beginRebind(state, requests, grant, view, now, false);
  if (state.late) return { state: { ...state, late: { ...state.late, purpose: { for: "rebind", requests: [...state.late.purpose.requests, ...requests], retried: false } } }, effects: [] };
  return probe(state, { for: "rebind", requests, retried: false }, view, now, random);
}

/** The client has connections again, or none any more. */
export function onActivity(state: ContactClient, active: boolean): GroupStep<ContactClient> {
  return { state: { ...state, active }, effects: [] };
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

/** Work is over: take up what was waiting. */
function ended(state: ContactClient, effects: readonly GroupEffect[], view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const free: ContactClient = { ...state, work: idle, waiting: null };
  if (state.waiting) return prepend(effects, handOver(free, state.waiting, view, now, random));
  return { state: free, effects };
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

function provoked(state: ContactClient, now: Millis): ContactClient {
  return { ...state, retryAt: Math.max(now, (state.updates.at(-1) ?? -Infinity) + provokedEveryMs) };
}

/** Timers: retransmits home tests, gives up on what has taken too long, refreshes the binding before it runs out. */
export function contactTimer(state: ContactClient, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const step = lateTimer(state, view, now);
  return prepend(step.effects, workTimer(step.state, view, now, random));
}

function workTimer(state: ContactClient, view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const { work } = state;
  if (work.phase === "homeTest") {
    if (now >= silentAt(state, work.probe)) return onSilence({ ...state, work: idle }, work, view, now);
    const next = homeTestTimer(work.probe, now);
    return { state: { ...state, work: { ...work, probe: next.probe } }, effects: next.packet ? [{ do: "send", packet: next.packet }] : [] };
  }
  if (work.phase === "handing" && now >= work.until) return handingFailed(state, work, "done", `no outcome within ${timeLimits(view).handingMs / 1000} s`, null, view, now, random);
  if (work.phase === "rebinding" && now >= work.until) return rebindFailed(state, { ...work, retried: true }, null, `no outcome within ${timeLimits(view).rebindMs / 1000} s`, view, now, random);
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
