import type { Address } from "../../../net/address.ts";
import type { HomeProbe } from "../returnRoutability.ts";
import type { Millis } from "../step.ts";
import type { RecentUpdates } from "../updateLimiter.ts";
import type { GroupEffect, GroupStep, GroupView, HandoffName } from "./effects.ts";
import type { HandoffMode } from "./handoffMode.ts";

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
export type QuietPurpose = { readonly for: "prepare"; readonly requests: readonly string[] } | { readonly for: "rebind"; readonly requests: readonly string[]; readonly retried: boolean };

export interface LateHomeTest {
  readonly probe: HomeProbe;
  readonly purpose: QuietPurpose;
}

export type ContactWork =
  | { readonly phase: "idle" }
  /** Home test under way; `purpose` says what for. */
  | { readonly phase: "homeTest"; readonly probe: HomeProbe; readonly purpose: { readonly for: "handOver"; readonly wish: HandoffWish } | QuietPurpose }
  | { readonly phase: "handing"; readonly wish: HandoffWish; readonly donor: string; readonly until: Millis }
  | { readonly phase: "rebinding"; readonly requests: readonly string[]; readonly until: Millis; readonly retried: boolean };

export const idle: ContactWork = { phase: "idle" };

export function newContactClient(client: Address, server: string, firstSequence: number): ContactClient {
  return { client, server, nextSequence: firstSequence & 0xffff, grant: null, capability: "unknown", active: true, boundUntil: null, refreshAt: Infinity, updates: [], work: idle, late: null, waiting: null, retryAt: null };
}

/** Nobody serves the client, and it is not bound: what it sends next is for us. */
export function isAway(state: ContactClient): boolean {
  return !state.active && state.boundUntil === null && state.work.phase === "idle" && state.late === null && state.waiting === null;
}

/** Nothing is known of the client that the next packet would not teach us again. */
export function forgettable(state: ContactClient): boolean {
  return isAway(state) && state.capability !== "plain" && state.capability !== "silent";
}

export function servedThroughTunnel(state: ContactClient, why: string, view: GroupView): GroupEffect {
  const how = state.server === view.self ? "tunnel" : "relayed";
  return { do: "tell", event: { type: "clientServed", home: view.home, client: state.client, member: state.server, how, why } };
}

export function nameOf(state: ContactClient, wish: HandoffWish): HandoffName {
  return { handoff: wish.handoff, client: state.client, donor: state.server, acceptor: wish.acceptor, mode: wish.mode };
}

export function answer(request: string, error: { step: string; reason: string } | null, connections = 0): GroupEffect {
  return { do: "answer", request, error, connections };
}

export function prepend<S>(effects: readonly GroupEffect[], step: GroupStep<S>): GroupStep<S> {
  return { ...step, effects: [...effects, ...step.effects] };
}
