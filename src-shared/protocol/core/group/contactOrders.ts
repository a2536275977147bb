import { MAX_RR_BINDING_LIFETIME_S } from "../limits.ts";
import type { Millis } from "../step.ts";
import { admitUpdate, type RecentUpdates } from "../updateLimiter.ts";
import type { ContactClient, HandoffWish } from "./contactClient.ts";
import type { GroupEffect, GroupStep, GroupView } from "./effects.ts";
import type { HomeGrant, MemberMessage, SequenceLease } from "./memberMessage.ts";
import { timeLimits } from "./timeLimits.ts";

/** Home tokens are refreshed or refetched when older than this: they die at 210 s (MAX_TOKEN_LIFETIME, §12) and must outlast a handoff. */
const grantUsableMs = 190_000;
/** Sequence numbers per block: enough for the retransmissions of one binding, each of which takes a new number (§11.8). */
const blockSize = 8;

export function beginHanding(state: ContactClient, wish: HandoffWish, view: GroupView, now: Millis): GroupStep<ContactClient> {
  const donor = state.server;
  const [lease, nextSequence] = grantBlock(state.nextSequence);
  const grant = state.capability === "mobile" ? grantNow(state, now) : null;
  const take: MemberMessage = { kind: "take", handoff: wish.handoff, client: state.client, acceptor: wish.acceptor, mode: wish.mode, drain: wish.drain, lease, grant };
  const effects: GroupEffect[] = [];
  if (donor !== view.self && wish.acceptor !== view.self) effects.push({ do: "tellMember", member: wish.acceptor, message: { kind: "expect", handoff: wish.handoff, client: state.client, donor } });
  effects.push({ do: "tellMember", member: donor, message: take });
  const until = now + timeLimits(view).handingMs;
  return { state: { ...state, nextSequence, work: { phase: "handing", wish, donor, until } }, effects };
}

export function beginRebind(state: ContactClient, requests: readonly string[], grant: HomeGrant, view: GroupView, now: Millis, retried: boolean): GroupStep<ContactClient> {
  const [lease, nextSequence] = grantBlock(state.nextSequence);
  const until = now + timeLimits(view).rebindMs;
  return {
    state: { ...state, nextSequence, work: { phase: "rebinding", requests, until, retried } },
    effects: [{ do: "tellMember", member: state.server, message: { kind: "rebind", client: state.client, lease, grant } }],
  };
}

/** Bindings are refreshed when a fifth of what the client granted is left (§11.7.2 asks for "well before"), and for longer ones at least 84 s before 420 s. */
export function boundFor(state: ContactClient, grantedSeconds: number, now: Millis): ContactClient {
  const lifetimeSeconds = Math.min(grantedSeconds, MAX_RR_BINDING_LIFETIME_S);
  return { ...state, boundUntil: now + lifetimeSeconds * 1000, refreshAt: now + lifetimeSeconds * 800, retryAt: null };
}

export function freshGrant(state: ContactClient, now: Millis): HomeGrant | null {
  const grant = grantNow(state, now);
  return grant && grant.ageMs < grantUsableMs ? grant : null;
}

export function grantNow(state: ContactClient, now: Millis): HomeGrant | null {
  return state.grant && { token: state.grant.token, nonceIndex: state.grant.nonceIndex, ageMs: Math.max(0, now - state.grant.receivedAt) };
}

/**
 * A Binding Update is counted when its outcome is known: it left before that, and the next one cannot leave before this, because a client's bindings are
 * made one after the other. So no four ever leave within a second, however long a test at the acceptor takes.
 */
export function counted(state: ContactClient, now: Millis): RecentUpdates {
  const admission = admitUpdate(state.updates, now);
  return admission.admitted ? admission.recent : state.updates;
}

function grantBlock(next: number): [SequenceLease, number] {
  return [{ next, last: (next + blockSize - 1) & 0xffff }, (next + blockSize) & 0xffff];
}

/** After status 135 our count goes on above what the client accepted last (§11.7.3), but never back: that status may be old or forged. */
export function after(state: ContactClient, lastSequence: number | null): { nextSequence: number } {
  if (lastSequence === null) return { nextSequence: state.nextSequence };
  const above = (lastSequence + 1) & 0xffff;
  const ahead = (above - state.nextSequence) & 0xffff;
  return { nextSequence: ahead < 0x8000 ? above : state.nextSequence };
}
