import type { Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import { homeTestAnswered, homeTestTimer, isOwnCookie, startHomeTest, type HomeProbe } from "../returnRoutability.ts";
import type { Millis, Random } from "../step.ts";
import { answer, idle, nameOf, prepend, servedThroughTunnel, type ContactClient, type ContactWork, type LateHomeTest } from "./contactClient.ts";
import { beginHanding, beginRebind, grantNow } from "./contactOrders.ts";
import type { GroupEffect, GroupStep, GroupView } from "./effects.ts";
import type { HomeGrant } from "./memberMessage.ts";

/** Home tests of a new client unanswered for this long: it is served as one without Mobile IPv6 until it answers (transmissions at 0, 1 and 3 s). */
const silentAfterMs = 3_500;
/** A client that has answered before is waited for a little longer: there is nothing to find out about it. */
const unansweredAfterMs = 7_500;
/** An answer counts until this long after the test began, whatever has been decided meanwhile. */
export const lateAnswerMs = 20_000;
/** §11.3.5: what is known of a client without Mobile IPv6 is forgotten after a while, and route optimisation tried again. Sooner where only silence said so. */
export const plainForMs = 600_000;
const silentForMs = 300_000;
/** One that has answered before is tried again sooner. */
export const retryAfterMs = 60_000;
const noAnswer = "no answer to Home Test Init";

export function probe(state: ContactClient, purpose: Extract<ContactWork, { phase: "homeTest" }>["purpose"], view: GroupView, now: Millis, random: Random): GroupStep<ContactClient> {
  const { probe, packet } = homeTest(state, view, now, random);
  const mark = purpose.for === "handOver" ? ({ do: "mark", ...nameOf(state, purpose.wish), step: "homeTestInit" } as const) : undefined;
  return {
    state: { ...state, work: { phase: "homeTest", probe, purpose } },
    effects: [mark ? { do: "send", packet, mark } : { do: "send", packet }],
  };
}

export function homeTest(state: ContactClient, view: GroupView, now: Millis, random: Random): ReturnType<typeof startHomeTest> {
  const self = view.members.get(view.self) as Address;
  return startHomeTest({ home: view.home, client: state.client, tunnel: { source: self, destination: view.homeAgent } }, now, random);
}

/** A Home Test for this client, out of the home tunnel or not. */
export function onHomeTest(state: ContactClient, packet: MobilityPacket, at: Millis, view: GroupView, now: Millis): GroupStep<ContactClient> {
  if (state.late) return onLateHomeTest(state, state.late, packet, at, view, now);
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
  return beginRebind(held, purpose.requests, grantNow(held, now) as HomeGrant, view, now, purpose.retried);
}

/** Slow, not without Mobile IPv6. Whatever else is under way with the client goes on; what the test was for follows it. */
function onLateHomeTest(state: ContactClient, late: LateHomeTest, packet: MobilityPacket, at: Millis, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const outcome = homeTestAnswered(late.probe, packet, at);
  if (!outcome.ok) return { state, effects: [{ do: "drop", reason: outcome.reason, packet }] };
  const { purpose } = late;
  const held: ContactClient = { ...state, grant: { token: outcome.token, nonceIndex: outcome.nonceIndex, receivedAt: at }, capability: "mobile", late: null };
  const told: GroupEffect = { do: "tell", event: { type: "log", level: "info", text: `${state.client} has answered a home test after ${((at - late.probe.startedAt) / 1000).toFixed(1)} s: it is slow, not without Mobile IPv6` } };
  if (purpose.for === "prepare") return { state: held, effects: [told, ...purpose.requests.map((r) => answer(r, null))] };
  if (state.work.phase !== "idle") return { state: { ...held, retryAt: state.boundUntil === null ? now : null }, effects: [told] };
  if (!state.active && purpose.requests.length === 0) return { state: held, effects: [told] };
  return prepend([told], beginRebind(held, purpose.requests, grantNow(held, now) as HomeGrant, view, now, purpose.retried));
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

export function plainFor(state: ContactClient, capability: "plain" | "silent", ms: Millis, now: Millis): ContactClient {
  // Its binding, if it still has one, is left to its end: nothing could refresh it.
  return { ...state, capability, grant: null, refreshAt: Infinity, retryAt: now + ms };
}

/** The end of a late home test that brought nothing. */
function unanswered(state: ContactClient, late: LateHomeTest, reason: string, view: GroupView): GroupStep<ContactClient> {
  const told = state.capability === "plain" && state.boundUntil === null ? [servedThroughTunnel(state, reason, view)] : [];
  return { state: { ...state, late: null }, effects: [...told, ...late.purpose.requests.map((r) => answer(r, { step: "homeTest", reason }))] };
}

export function lateTimer(state: ContactClient, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const { late } = state;
  if (!late) return { state, effects: [] };
  if (now >= late.probe.startedAt + lateAnswerMs) return unanswered(state, late, noAnswer, view);
  const next = homeTestTimer(late.probe, now);
  return { state: { ...state, late: { ...late, probe: next.probe } }, effects: next.packet ? [{ do: "send", packet: next.packet }] : [] };
}

/** No answer to any Home Test Init yet. Handoffs do not wait for one any longer; the test goes on by itself. One that has answered before is asked again soon. */
export function onSilence(state: ContactClient, work: Extract<ContactWork, { phase: "homeTest" }>, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const { probe, purpose } = work;
  const late: LateHomeTest = { probe, purpose: purpose.for === "handOver" ? { for: "rebind", requests: [], retried: false } : purpose };
  const silent = state.capability === "mobile" ? { ...state, retryAt: now + retryAfterMs, refreshAt: Infinity } : plainFor(state, "silent", silentForMs, now);
  if (purpose.for === "handOver") return withoutMobility({ ...silent, late }, work, noAnswer, view, now);
  return { state: { ...silent, late }, effects: state.boundUntil === null ? [servedThroughTunnel(silent, noAnswer, view)] : [] };
}

export function silentAt(state: ContactClient, probe: HomeProbe): Millis {
  return probe.startedAt + (state.capability === "mobile" ? unansweredAfterMs : silentAfterMs);
}

/** The client answered no home test: hand it over without binding (the contact relays), or leave it on the tunnel. */
function withoutMobility(state: ContactClient, work: Extract<ContactWork, { phase: "homeTest" }>, reason: string, view: GroupView, now: Millis): GroupStep<ContactClient> {
  // As long as it is bound it is served directly all the same.
  const told = state.boundUntil === null ? [servedThroughTunnel(state, reason, view)] : [];
  if (work.purpose.for === "handOver" && state.capability !== "mobile") return prepend(told, beginHanding(state, work.purpose.wish, view, now));
  const requests = work.purpose.for === "handOver" ? [work.purpose.wish.handoff] : work.purpose.requests;
  return { state, effects: [...told, ...requests.map((r) => answer(r, { step: "homeTest", reason }))] };
}
