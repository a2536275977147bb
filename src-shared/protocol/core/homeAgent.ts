import type { Address } from "../../net/address.ts";
import { isUnicastRoutable } from "../../net/scope.ts";
import { careOfAddress, registrationAuthentication, signRegistration, verifyRegistration, type MobilityKey } from "../wire/authenticator.ts";
import type { BindingUpdate, MobilityOption, MobilityPacket } from "../wire/message.ts";
import { bindingStatus, describeStatus, type BindingStatus } from "./bindingStatus.ts";
import { LIFETIME_UNIT_S } from "./limits.ts";
import { isNewerSequence } from "./sequence.ts";
import type { Effect, Millis, Step } from "./step.ts";
import { ntpTimestamp, wallOfNtp, withSecondsOf } from "./timestamp.ts";
import { takeToken, tokenBucket, type TokenBucket } from "./tokenBucket.ts";

/** What the home agent of one home address is told. */
export interface HomeService {
  readonly home: Address;
  /** Keys that may register, one per epoch of the group. The SPI orders them: below the newest one accepted is refused. None: not told yet, after a restart. */
  readonly associations: readonly MobilityKey[];
  /** Longest lifetime granted, 4 to 262140 s. */
  readonly maxLifetimeSeconds: number;
  /** The home address lies on a link of this node, where others might use it. False when its prefix is routed here. */
  readonly onLink: boolean;
}

/** The home agent of one home address (RFC 6275 §10, with the authentication of RFC 4285). */
export type HomeAgent = {
  readonly service: HomeService;
  /** The fence: SPI of the newest epoch that has shown its key. */
  readonly newestSpi: number;
  /** Newest timestamp seen with that SPI (RFC 4285 §6). */
  readonly newestTimestamp: bigint;
  readonly refusals: TokenBucket;
} & (
  | { readonly phase: "unregistered" }
  /** §10.3.1: waiting to hear whether another node on the home link has the address. */
  | { readonly phase: "checking"; readonly request: Request; readonly since: Millis }
  | { readonly phase: "registered"; readonly careOf: Address; readonly sequence: number; readonly expiresAt: Millis; readonly spi: number }
);

/** A Binding Update that has shown its key. */
interface Request {
  readonly packet: MobilityPacket;
  readonly update: BindingUpdate;
  readonly careOf: Address;
  readonly association: MobilityKey;
  readonly timestamp: bigint;
  /** When the prefix of the home address stops being valid; Infinity: never, or not ours to say. */
  readonly prefixEndsAt: Millis;
}

export type HomeAgentInput =
  /**
   * A Binding Update with H set for our home address; `mobilityHeader` as received, `wall` the clock in ms since 1970, `prefixValidMs` what is left
   * of the valid lifetime of the home address's prefix: absent when it has no end, 0 when the prefix is not (or no longer) on our link.
   */
  | { readonly kind: "packet"; readonly packet: MobilityPacket; readonly mobilityHeader: Uint8Array; readonly wall: number; readonly prefixValidMs?: number }
  | { readonly kind: "duplicateChecked"; readonly duplicate: boolean }
  /** Something that it asked for (the tunnel) could not be had: what was about to be acknowledged is not bound. The contact asks again. */
  | { readonly kind: "failed"; readonly reason: string }
  /** New keys or limits; the binding stays. */
  | { readonly kind: "configure"; readonly service: HomeService }
  | { readonly kind: "wake" }
  /** The home address is given up. */
  | { readonly kind: "retire" };

/** RFC 4285 §6: how far a timestamp may be from our clock, in ms either way. */
export const TIMESTAMP_TOLERANCE_MS = 7_000;
/** A check for duplicates that has not come back after this long is asked for again by the next update. */
const CHECK_TIMEOUT_MS = 5_000;
/** Refusals to whoever has shown no key. */
const UNPROVEN_RATE = { perSecond: 10, burst: 20 };

export function newHomeAgent(service: HomeService, now: Millis): HomeAgent {
  return { service, newestSpi: 0, newestTimestamp: 0n, refusals: tokenBucket(UNPROVEN_RATE, now), phase: "unregistered" };
}

/** One input. The step's `wakeAt` is when `wake` must be given at the latest. */
export function serveHome(state: HomeAgent, input: HomeAgentInput, now: Millis): Step<HomeAgent> {
  const current = expired(state, now);
  const { state: next, effects } = transition(current.state, input, now);
  const wake = next.phase === "registered" ? { wakeAt: next.expiresAt } : {};
  return { state: next, effects: [...current.effects, ...effects], ...wake };
}

function expired(state: HomeAgent, now: Millis): Step<HomeAgent> {
  if (state.phase !== "registered" || now < state.expiresAt) return { state, effects: [] };
  return { state: { ...common(state), phase: "unregistered" }, effects: removed(state, "lifetime over") };
}

function transition(state: HomeAgent, input: HomeAgentInput, now: Millis): Step<HomeAgent> {
  switch (input.kind) {
    case "packet":
      return onPacket(state, input, now);
    case "duplicateChecked":
      if (state.phase !== "checking") return drop(state, "duplicate check not awaited");
      if (input.duplicate) return refuse({ ...common(state), phase: "unregistered" }, state.request, bindingStatus.duplicateAddress);
      return register(state, state.request, now);
    case "failed":
      return { state: { ...common(state), phase: "unregistered" }, effects: state.phase === "registered" ? removed(state, input.reason) : [] };
    case "configure":
      return configure(state, input.service);
    case "wake":
      return { state, effects: [] };
    case "retire":
      return { state: { ...common(state), phase: "unregistered" }, effects: state.phase === "registered" ? removed(state, "home address retired") : [] };
  }
}

/** The binding stays; whether the address has to be defended may have become another matter. */
function configure(state: HomeAgent, service: HomeService): Step<HomeAgent> {
  const { home } = service;
  const moved = state.phase === "registered" && service.onLink !== state.service.onLink;
  return { state: { ...state, service }, effects: moved ? [{ do: service.onLink ? "defend" : "undefend", home }] : [] };
}

/** §10.3.1 with RFC 4285 §5 and §6: form, key, epoch, timestamp; then what is asked for. */
function onPacket(state: HomeAgent, input: Extract<HomeAgentInput, { kind: "packet" }>, now: Millis): Step<HomeAgent> {
  const { packet, mobilityHeader, wall, prefixValidMs = Infinity } = input;
  const { message: update } = packet;
  if (update.kind !== "bindingUpdate") return drop(state, `${update.kind} is not for a home agent`, packet);
  if (!update.homeRegistration) return drop(state, "binding update: not a home registration", packet);
  if (packet.tunnel || packet.routingHomeAddress !== undefined) return drop(state, "binding update: not on the direct path", packet);
  if ((packet.homeAddress ?? packet.source) !== state.service.home) return refuseUnproven(state, packet, update, bindingStatus.notHomeAgent, now);
  if (!isUnicastRoutable(packet.source)) return drop(state, "binding update: source is not a unicast routable address", packet);
  if (update.options.some((option) => option.kind === "nonceIndices")) return drop(state, "binding update: home registration with nonce indices", packet);

  // After a restart: a refusal would only tell the contact that something is wrong, and it asks again anyway.
  if (state.service.associations.length === 0) return drop(state, "home registration before the manager has given its keys", packet);

  const authentication = registrationAuthentication(update);
  // What stands behind the authentication option is not covered by it.
  if (authentication && update.options.at(-1) !== authentication) return drop(state, "binding update: authentication is not the last option", packet);
  const association = state.service.associations.find(({ spi }) => spi === authentication?.spi);
  const careOf = careOfAddress(packet);
  if (!association || !verifyRegistration(packet, mobilityHeader, careOf, association)) return refuseUnproven(state, packet, update, bindingStatus.authenticationFailed, now);
  return onProvenUpdate(state, { packet, update, careOf, association, timestamp: timestampOf(update) ?? 0n, prefixEndsAt: now + prefixValidMs }, wall, now);
}

function onProvenUpdate(state: HomeAgent, request: Request, wall: number, now: Millis): Step<HomeAgent> {
  const { update, association, timestamp } = request;
  if (association.spi < state.newestSpi) return refuse(state, request, bindingStatus.administrativelyProhibited);
  if (timestampOf(update) === undefined) return refuse(state, request, bindingStatus.messageIdRequired, [{ kind: "messageReplay", timestamp: ntpTimestamp(wall) }]);
  const newest = association.spi === state.newestSpi ? state.newestTimestamp : 0n;
  if (timestamp <= newest || Math.abs(wallOfNtp(timestamp) - wall) > TIMESTAMP_TOLERANCE_MS) {
    return refuse(state, request, bindingStatus.messageIdMismatch, [{ kind: "messageReplay", timestamp: withSecondsOf(ntpTimestamp(wall), timestamp) }]);
  }
  // From here on the message cannot be replayed, and older epochs are shut out, whatever the answer.
  return onFreshUpdate({ ...state, newestSpi: association.spi, newestTimestamp: timestamp }, request, now);
}

function onFreshUpdate(state: HomeAgent, request: Request, now: Millis): Step<HomeAgent> {
  const { update, careOf } = request;
  const { home } = state.service;
  if (state.phase === "registered" && !isNewerSequence(update.sequence, state.sequence)) return refuse(state, request, bindingStatus.sequenceOutOfWindow, echo(request), state.sequence);
  if (update.lifetimeUnits === 0 || careOf === home) return deregister(state, request);
  if (!isUnicastRoutable(careOf) || careOf === request.packet.destination) return refuse(state, request, bindingStatus.invalidCareOfAddress);
  if (request.prefixEndsAt - now < LIFETIME_UNIT_S * 1000) return refuse(state, request, bindingStatus.notHomeSubnet);
  if (state.phase === "registered" || !state.service.onLink) return register(state, request, now);
  const again = state.phase === "checking" && now < state.since + CHECK_TIMEOUT_MS;
  const since = again ? state.since : now;
  return { state: { ...common(state), phase: "checking", request, since }, effects: again ? [] : [{ do: "checkDuplicate", home }] };
}

/** §10.3.1: the lifetime is what is left of the request within our limit and the prefix's valid lifetime. A new epoch is announced on the link again. */
function register(state: HomeAgent, request: Request, now: Millis): Step<HomeAgent> {
  const { update, careOf, association, prefixEndsAt } = request;
  const { home, maxLifetimeSeconds, onLink } = state.service;
  const longestSeconds = Math.min(maxLifetimeSeconds, (prefixEndsAt - now) / 1000);
  const lifetimeUnits = Math.max(1, Math.min(update.lifetimeUnits, Math.floor(longestSeconds / LIFETIME_UNIT_S)));
  const lifetimeSeconds = lifetimeUnits * LIFETIME_UNIT_S;
  const effects: Effect[] = [];
  if (onLink && (state.phase !== "registered" || state.spi !== association.spi)) effects.push({ do: "defend", home });
  if (state.phase !== "registered" || state.careOf !== careOf) effects.push({ do: "tunnel", home, careOf });
  if (update.acknowledge) effects.push(acknowledge(request, bindingStatus.accepted, update.sequence, lifetimeUnits, echo(request)));
  effects.push({ do: "tell", event: { type: "bindingAccepted", role: "homeAgent", home, careOf, sequence: update.sequence, lifetimeSeconds } });
  return {
    state: { ...common(state), phase: "registered", careOf, sequence: update.sequence, expiresAt: now + lifetimeSeconds * 1000, spi: association.spi },
    effects,
  };
}

/** §10.3.2: without a binding we are no home agent of this node. */
function deregister(state: HomeAgent, request: Request): Step<HomeAgent> {
  if (state.phase !== "registered") return refuse(state, request, bindingStatus.notHomeAgent);
  const effects = [...removed(state, "deregistered")];
  if (request.update.acknowledge) effects.push(acknowledge(request, bindingStatus.accepted, request.update.sequence, 0, echo(request)));
  return { state: { ...common(state), phase: "unregistered" }, effects };
}

function removed(state: HomeAgent, reason: string): Effect[] {
  const { home, onLink } = state.service;
  const undefend: Effect[] = onLink ? [{ do: "undefend", home }] : [];
  return [{ do: "untunnel", home }, ...undefend, { do: "tell", event: { type: "bindingRemoved", role: "homeAgent", home, reason } }];
}

function refuse(state: HomeAgent, request: Request, status: BindingStatus, options = echo(request), sequence = request.update.sequence): Step<HomeAgent> {
  return { state, effects: [refused(request.packet, status), acknowledge(request, status, sequence, 0, options)] };
}

/** Refuses whoever has shown no key: not signed, at a limited rate. */
function refuseUnproven(state: HomeAgent, packet: MobilityPacket, update: BindingUpdate, status: BindingStatus, now: Millis): Step<HomeAgent> {
  const { bucket, taken } = takeToken(state.refusals, now);
  const next = { ...state, refusals: bucket };
  if (!taken) return drop(next, "too many refusals of home registrations", packet);
  return { state: next, effects: [refused(packet, status), { do: "send", packet: answerTo(packet, status, update.sequence, 0, []) }] };
}

/** §10.3.1, for a node that is a home agent, but not of the home address in the update: 132 when it lies in none of our home subnets, else 133. */
export function refusalForForeignHome(packet: MobilityPacket & { readonly message: BindingUpdate }, isInHomeSubnet: boolean): MobilityPacket {
  return answerTo(packet, isInHomeSubnet ? bindingStatus.notHomeAgent : bindingStatus.notHomeSubnet, packet.message.sequence, 0, []);
}

function acknowledge(request: Request, status: BindingStatus, sequence: number, lifetimeUnits: number, options: readonly MobilityOption[]): Effect {
  return { do: "send", packet: signRegistration(answerTo(request.packet, status, sequence, lifetimeUnits, options), request.careOf, request.association) };
}

/** §9.5.4. */
function answerTo(packet: MobilityPacket, status: BindingStatus, sequence: number, lifetimeUnits: number, options: readonly MobilityOption[]): MobilityPacket {
  return {
    source: packet.destination,
    destination: packet.source,
    ...(packet.homeAddress === undefined || packet.homeAddress === packet.source ? {} : { routingHomeAddress: packet.homeAddress }),
    message: { kind: "bindingAcknowledgement", status, keyManagement: false, sequence, lifetimeUnits, options },
  };
}

/** RFC 4285 §6: an accepted timestamp goes back as it came. */
function echo(request: Request): readonly MobilityOption[] {
  return request.timestamp === 0n ? [] : [{ kind: "messageReplay", timestamp: request.timestamp }];
}

function timestampOf(update: BindingUpdate): bigint | undefined {
  return update.options.find((option) => option.kind === "messageReplay")?.timestamp;
}

function common({ service, newestSpi, newestTimestamp, refusals }: HomeAgent) {
  return { service, newestSpi, newestTimestamp, refusals };
}

function refused(packet: MobilityPacket, status: BindingStatus): Effect {
  return { do: "drop", reason: `home registration refused: ${describeStatus(status)}`, packet };
}

function drop(state: HomeAgent, reason: string, packet?: MobilityPacket): Step<HomeAgent> {
  return { state, effects: [packet ? { do: "drop", reason, packet } : { do: "drop", reason }] };
}
