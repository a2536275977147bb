import type { Address } from "../../net/address.ts";
import { isUnicastRoutable } from "../../net/scope.ts";
import type { MobilityPacket } from "../wire/message.ts";
import { BindingCache, type CacheEntry } from "./bindingCache.ts";
import { defaultCorrespondentLimits, drop, endBinding, unbound, type Correspondent, type CorrespondentLimits } from "./correspondentState.ts";
import { onBindingUpdate } from "./correspondentUpdate.ts";
import { careOfToken, currentNonce, homeToken, newNonces } from "./nonces.ts";
import { PrefixBuckets } from "./prefixBuckets.ts";
import type { Effect, Millis, Random, Step } from "./step.ts";
import { takeToken, tokenBucket } from "./tokenBucket.ts";

export type CorrespondentInput =
  /** A message to one of our addresses; `mobilityHeader` as received. */
  | { readonly kind: "packet"; readonly packet: MobilityPacket; readonly mobilityHeader: Uint8Array }
  /** The data plane dropped a packet from `source` to us whose Home Address option fits no binding (§9.3.1). */
  | { readonly kind: "unboundHomeAddress"; readonly source: Address; readonly destination: Address; readonly homeAddress: Address }
  /** The answer to `askUse`: the data plane has translated packets for this home address. */
  | { readonly kind: "used"; readonly home: Address }
  /** ICMPv6 destination unreachable about a packet that we sent to `careOf` for `home`. */
  | { readonly kind: "unreachable"; readonly home: Address; readonly careOf: Address }
  | { readonly kind: "wake" }
  /** The role ends: every binding goes. */
  | { readonly kind: "end" };

/** §9.3.4 calls errors persistent without a number: this many, over at least this long. */
const UNREACHABLE_COUNT = 3;
const UNREACHABLE_MS = 1_000;
/** Errors further apart than this are not one outage. */
const UNREACHABLE_FORGOTTEN_MS = 30_000;

export function newCorrespondent(now: Millis, random: Random, limits: CorrespondentLimits = defaultCorrespondentLimits): Correspondent {
  const seed = new DataView(random(4).buffer.slice(0)).getInt32(0);
  return {
    limits,
    nonces: newNonces(random),
    cache: new BindingCache(limits.entries, seed),
    tests: tokenBucket(limits.tests, now),
    testsEach: new PrefixBuckets(limits.testsEach, seed, now),
    refusals: tokenBucket(limits.refusals, now),
    errors: tokenBucket(limits.errors, now),
  };
}

/** One input. The step's `wakeAt` is when `wake` must be given at the latest. */
export function correspond(state: Correspondent, input: CorrespondentInput, now: Millis, random: Random): Step<Correspondent> {
  // What is over is over, however late the wake comes.
  const due = dueEntries(state.cache, now);
  const step = transition(state, input, now, random);
  const effects = due.length > 0 ? [...due, ...step.effects] : step.effects;
  const wakeAt = step.state.cache.nextDeadline();
  return wakeAt === undefined ? { state: step.state, effects } : { state: step.state, effects, wakeAt };
}

function transition(state: Correspondent, input: CorrespondentInput, now: Millis, random: Random): Step<Correspondent> {
  switch (input.kind) {
    case "packet":
      return onPacket(state, input.packet, input.mobilityHeader, now, random);
    case "unboundHomeAddress":
      return onUnboundHomeAddress(state, input, now);
    case "used":
      return onUsed(state, input.home, now);
    case "unreachable":
      return onUnreachable(state, input.home, input.careOf, now);
    case "wake":
      return { state, effects: [] };
    case "end":
      return onEnd(state);
  }
}

function onPacket(state: Correspondent, packet: MobilityPacket, mobilityHeader: Uint8Array, now: Millis, random: Random): Step<Correspondent> {
  const { message } = packet;
  if (packet.tunnel) return drop(state, "signalling for a correspondent inside a tunnel", packet);
  if (packet.routingHomeAddress !== undefined) return drop(state, "type 2 routing header on a message that must not carry one", packet);
  if (packet.homeAddress !== undefined && message.kind !== "bindingUpdate") return drop(state, "Home Address option on a message that must not carry one", packet);
  if (!isUnicastRoutable(packet.source)) return drop(state, "source is not a unicast routable address", packet);
  switch (message.kind) {
    case "homeTestInit":
    case "careOfTestInit":
      return onTestInit(state, packet, message, now, random);
    case "bindingUpdate":
      return onBindingUpdate(state, packet, message, mobilityHeader, now);
    default:
      return drop(state, `${message.kind} is not for a correspondent`, packet);
  }
}

/** §9.4.1 to §9.4.4: the answer goes back to the source, with its cookie and a token bound to the source address. */
function onTestInit(
  state: Correspondent,
  packet: MobilityPacket,
  init: Extract<MobilityPacket["message"], { kind: "homeTestInit" | "careOfTestInit" }>,
  now: Millis,
  random: Random,
): Step<Correspondent> {
  if (!state.testsEach.take(packet.source, now)) return drop(state, "too many test inits from one network", packet);
  const { bucket, taken } = takeToken(state.tests, now);
  if (!taken) return drop({ ...state, tests: bucket }, "too many test inits", packet);
  const { nonces, nonce } = currentNonce(state.nonces, now, random);
  const answer = { nonceIndex: nonce.index, cookie: init.cookie, options: [] };
  const message =
    init.kind === "homeTestInit"
      ? ({ kind: "homeTest", ...answer, token: homeToken(nonces, nonce, packet.source) } as const)
      : ({ kind: "careOfTest", ...answer, token: careOfToken(nonces, nonce, packet.source) } as const);
  return { state: { ...state, nonces, tests: bucket }, effects: [{ do: "send", packet: { source: packet.destination, destination: packet.source, message } }] };
}

/** §9.3.1, §9.3.3: Binding Error status 1 to the IPv6 source, naming the home address. */
function onUnboundHomeAddress(state: Correspondent, input: Extract<CorrespondentInput, { kind: "unboundHomeAddress" }>, now: Millis): Step<Correspondent> {
  if (!isUnicastRoutable(input.source)) return drop(state, "Home Address option without a binding, from a source that cannot be answered");
  return sendError(state, { source: input.destination, destination: input.source, message: { kind: "bindingError", status: 1, homeAddress: input.homeAddress, options: [] } }, now);
}

function sendError(state: Correspondent, packet: MobilityPacket, now: Millis): Step<Correspondent> {
  const { bucket, taken } = takeToken(state.errors, now);
  const next = { ...state, errors: bucket };
  return taken ? { state: next, effects: [{ do: "send", packet }] } : drop(next, "too many Binding Errors", packet);
}

/** §9.5.5: a binding in use is asked to be refreshed before it ends, through the home network: signalling bypasses the cache. */
function onUsed(state: Correspondent, home: Address, now: Millis): Step<Correspondent> {
  const entry = state.cache.get(home);
  if (entry?.phase !== "bound" || now >= entry.expiresAt) return drop(state, "use of no binding");
  return { state, effects: [{ do: "send", packet: { source: entry.own, destination: home, message: { kind: "bindingRefreshRequest", options: [] } } }] };
}

/** §9.3.4: persistent unreachable errors delete the binding, so that packets take the way through the home agent again. */
function onUnreachable(state: Correspondent, home: Address, careOf: Address, now: Millis): Step<Correspondent> {
  const entry = state.cache.get(home);
  if (entry?.phase !== "bound" || entry.careOf !== careOf) return drop(state, "unreachable error about no binding");
  const first = entry.unreachable === 0 || now - entry.unreachableSince > UNREACHABLE_FORGOTTEN_MS;
  const counted = { ...entry, unreachable: first ? 1 : Math.min(255, entry.unreachable + 1), unreachableSince: first ? now : entry.unreachableSince };
  if (counted.unreachable >= UNREACHABLE_COUNT && now - counted.unreachableSince >= UNREACHABLE_MS) return { state, effects: endBinding(state.cache, entry, "care-of address unreachable", now) };
  state.cache.put(counted);
  return { state, effects: [] };
}

function dueEntries(cache: BindingCache, now: Millis): readonly Effect[] {
  const effects: Effect[] = [];
  for (let entry = cache.firstDue(now); entry; entry = cache.firstDue(now)) effects.push(...onDeadline(cache, entry, now));
  return effects;
}

/** Lifetimes end exactly; before that the data plane is asked whether the binding is used. */
function onDeadline(cache: BindingCache, entry: CacheEntry, now: Millis): readonly Effect[] {
  if (entry.phase === "remembered") {
    cache.delete(entry.home);
    return [];
  }
  if (now >= entry.expiresAt) return endBinding(cache, entry, "lifetime over", now);
  cache.put({ ...entry, refreshAt: nextRefresh(entry, now) });
  return [{ do: "askUse", home: entry.home }];
}

/** Questions get closer as the end does, and stop when less than a second is left. */
function nextRefresh(entry: Extract<CacheEntry, { phase: "bound" }>, now: Millis): Millis {
  const half = (entry.expiresAt - now) / 2;
  return half < 1_000 ? Infinity : now + half;
}

function onEnd(state: Correspondent): Step<Correspondent> {
  const effects: Effect[] = [];
  for (const entry of Array.from(state.cache.entries())) {
    if (entry.phase === "bound") effects.push(...unbound(entry, "the correspondent ends"));
    state.cache.delete(entry.home);
  }
  return { state, effects };
}
