import type { Address } from "../../net/address.ts";
import { isUnicastRoutable } from "../../net/scope.ts";
import { authenticatedCareOf, bindingManagementKey, careOfAddress, signBindingAcknowledgement, verifyBindingUpdate } from "../wire/authenticator.ts";
import type { BindingUpdate, MobilityPacket } from "../wire/message.ts";
import type { CacheEntry } from "./bindingCache.ts";
import { bindingStatus, describeStatus, type BindingStatus } from "./bindingStatus.ts";
import { drop, endBinding, type Correspondent } from "./correspondentState.ts";
import { LIFETIME_UNIT_S, MAX_RR_BINDING_LIFETIME_S } from "./limits.ts";
import { careOfToken, homeToken, nonceDiesAt, nonceWithIndex, type Nonce } from "./nonces.ts";
import { isNewerSequence } from "./sequence.ts";
import type { Effect, Millis, Step } from "./step.ts";
import { takeToken } from "./tokenBucket.ts";

/** A Binding Update to a correspondent with what must be known about it. */
interface Request {
  readonly packet: MobilityPacket;
  readonly update: BindingUpdate;
  readonly home: Address;
  readonly careOf: Address;
  readonly removes: boolean;
}

/** Why this share of the lifetime, at most this long before the end: time for a refresh through the home network with retransmissions. */
const REFRESH_SHARE = 0.25;
const REFRESH_BEFORE_MS = 60_000;

/** RFC 6275 §9.5.1, in an order that answers nothing about a binding to whoever cannot sign: form, H bit, nonces, authenticator, sequence. */
export function onBindingUpdate(state: Correspondent, packet: MobilityPacket, update: BindingUpdate, mobilityHeader: Uint8Array, now: Millis): Step<Correspondent> {
  const home = packet.homeAddress ?? packet.source;
  const careOf = careOfAddress(packet);
  const request: Request = { packet, update, home, careOf, removes: update.lifetimeUnits === 0 || careOf === home };
  if (!isUnicastRoutable(home)) return drop(state, "binding update: home address is not unicast routable", packet);
  if (!isUnicastRoutable(careOf)) return drop(state, "binding update: care-of address is not unicast routable", packet);
  const indices = update.options.find((option) => option.kind === "nonceIndices");
  if (update.homeRegistration) {
    if (indices) return drop(state, "binding update: home registration with nonce indices", packet);
    const bound = state.cache.get(home)?.phase === "bound";
    return refuseUnproven(state, request, bound ? bindingStatus.registrationTypeChange : bindingStatus.homeRegistrationNotSupported, now);
  }
  if (!indices) return drop(state, "binding update: no nonce indices", packet);
  if (update.options.at(-1)?.kind !== "bindingAuthorization") return drop(state, "binding update: binding authorization data is not the last option", packet);

  const homeNonce = nonceWithIndex(state.nonces, indices.home, now);
  const careOfNonce = request.removes ? undefined : nonceWithIndex(state.nonces, indices.careOf, now);
  if (!homeNonce) return refuseUnproven(state, request, request.removes || careOfNonce ? bindingStatus.expiredHomeNonce : bindingStatus.expiredNonces, now);
  if (!request.removes && !careOfNonce) return refuseUnproven(state, request, bindingStatus.expiredCareOfNonce, now);

  // §9.5.1: a deregistration is signed with the home token alone, and its care-of nonce index is ignored.
  const kbm = bindingManagementKey(homeToken(state.nonces, homeNonce, home), careOfNonce && careOfToken(state.nonces, careOfNonce, careOf));
  if (!verifyBindingUpdate(packet, mobilityHeader, kbm)) return drop(state, "binding update: wrong authenticator", packet);
  return onAuthenticUpdate(state, request, homeNonce, kbm, now);
}

function onAuthenticUpdate(state: Correspondent, request: Request, homeNonce: Nonce, kbm: Uint8Array, now: Millis): Step<Correspondent> {
  const { packet, update, home, careOf } = request;
  const entry = state.cache.get(home);
  if (entry && !isAcceptable(update.sequence, entry, homeNonce)) return refuse(state, request, bindingStatus.sequenceOutOfWindow, entry.sequence, kbm);
  if (request.removes) return remove(state, request, entry, homeNonce, kbm, now);
  if (state.cache.get(careOf)?.phase === "bound") return drop(state, "binding update: care-of address is a cached home address", packet);
  if (!state.cache.hasRoomFor(home)) return refuse(state, request, bindingStatus.insufficientResources, update.sequence, kbm);
  return bind(state, request, entry, homeNonce, kbm, now);
}

/**
 * The sequence rule holds while there is a binding. After its end §9.5.1 asks to accept any number and §9.5.3 not to accept an old update again: a
 * home nonce younger than that of every update accepted before shows that this one is new.
 */
function isAcceptable(sequence: number, entry: CacheEntry, homeNonce: Nonce): boolean {
  return isNewerSequence(sequence, entry.sequence) || (entry.phase === "remembered" && nonceDiesAt(homeNonce) > entry.noncesDieAt);
}

/** §9.5.2. */
function bind(state: Correspondent, request: Request, entry: CacheEntry | undefined, homeNonce: Nonce, kbm: Uint8Array, now: Millis): Step<Correspondent> {
  const { packet, update, home, careOf } = request;
  const longest = Math.min(state.limits.lifetimeSeconds, MAX_RR_BINDING_LIFETIME_S);
  const lifetimeUnits = Math.max(1, Math.min(update.lifetimeUnits, Math.floor(longest / LIFETIME_UNIT_S)));
  const lifetimeMs = lifetimeUnits * LIFETIME_UNIT_S * 1000;
  const expiresAt = now + lifetimeMs;
  state.cache.put({
    phase: "bound",
    home,
    own: packet.destination,
    careOf,
    sequence: update.sequence,
    noncesDieAt: noncesDieAt(entry, homeNonce),
    expiresAt,
    refreshAt: expiresAt - Math.min(REFRESH_BEFORE_MS, lifetimeMs * REFRESH_SHARE),
    unreachable: 0,
    unreachableSince: 0,
  });
  const moved = entry?.phase !== "bound" || entry.careOf !== careOf;
  const effects: Effect[] = moved ? [{ do: "bind", home, careOf }] : [];
  if (update.acknowledge) effects.push(acknowledge(request, bindingStatus.accepted, update.sequence, lifetimeUnits, kbm));
  effects.push({ do: "tell", event: { type: "bindingAccepted", role: "correspondent", home, careOf, sequence: update.sequence, lifetimeSeconds: lifetimeUnits * LIFETIME_UNIT_S } });
  return { state, effects };
}

/** §9.5.3. Without a binding there is nothing to delete, and the answer is the same, if there is room to remember what must not be replayed. */
function remove(state: Correspondent, request: Request, entry: CacheEntry | undefined, homeNonce: Nonce, kbm: Uint8Array, now: Millis): Step<Correspondent> {
  const { packet, update, home } = request;
  const next = { home, own: packet.destination, sequence: update.sequence, noncesDieAt: noncesDieAt(entry, homeNonce) };
  const effects: Effect[] = [];
  if (entry?.phase === "bound") effects.push(...endBinding(state.cache, { ...entry, ...next }, "deregistered", now));
  else if (!state.cache.hasRoomFor(home)) return refuse(state, request, bindingStatus.insufficientResources, update.sequence, kbm);
  else state.cache.put({ ...next, phase: "remembered" });
  if (update.acknowledge) effects.push(acknowledge(request, bindingStatus.accepted, update.sequence, 0, kbm));
  else if (entry?.phase !== "bound") effects.push({ do: "drop", reason: "binding update: nothing to deregister", packet });
  return { state, effects };
}

function noncesDieAt(entry: CacheEntry | undefined, homeNonce: Nonce): Millis {
  return Math.max(entry?.noncesDieAt ?? -Infinity, nonceDiesAt(homeNonce));
}

/** Refuses whoever has shown the right authenticator; with A = 0 as well. */
function refuse(state: Correspondent, request: Request, status: BindingStatus, sequence: number, kbm: Uint8Array): Step<Correspondent> {
  return { state, effects: [refused(request, status), acknowledge(request, status, sequence, 0, kbm)] };
}

/** Refuses without an authenticator, which 136 to 138 must not have (§9.5.4), at a limited rate. */
function refuseUnproven(state: Correspondent, request: Request, status: BindingStatus, now: Millis): Step<Correspondent> {
  const { bucket, taken } = takeToken(state.refusals, now);
  const next = { ...state, refusals: bucket };
  if (!taken) return drop(next, "too many refusals of binding updates", request.packet);
  return { state: next, effects: [refused(request, status), acknowledge(request, status, request.update.sequence, 0)] };
}

function refused(request: Request, status: BindingStatus): Effect {
  return { do: "drop", reason: `binding update refused: ${describeStatus(status)}`, packet: request.packet };
}

/** §9.5.4: to the IPv6 source of the update, by way of a type 2 routing header with the home address unless the update came from there. */
function acknowledge(request: Request, status: BindingStatus, sequence: number, lifetimeUnits: number, kbm?: Uint8Array): Effect {
  const { packet, home } = request;
  const answer: MobilityPacket = {
    source: packet.destination,
    destination: packet.source,
    ...(packet.source === home ? {} : { routingHomeAddress: home }),
    message: { kind: "bindingAcknowledgement", status, keyManagement: false, sequence, lifetimeUnits, options: [] },
  };
  return { do: "send", packet: kbm ? signBindingAcknowledgement(answer, authenticatedCareOf(packet), kbm) : answer };
}
