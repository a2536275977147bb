import type { Address } from "../../net/address.ts";
import { registrationAuthentication, signRegistration, verifyRegistration, type MobilityKey } from "../wire/authenticator.ts";
import type { BindingAcknowledgement, MobilityPacket } from "../wire/message.ts";
import { bindingStatus, describeStatus, refusesBinding } from "./bindingStatus.ts";
import { backOff, INITIAL_BINDACK_TIMEOUT_FIRST_REGISTRATION_MS, INITIAL_BINDACK_TIMEOUT_MS, LIFETIME_UNIT_S } from "./limits.ts";
import { isNewerSequence, isWithinSequences, sequenceAfter } from "./sequence.ts";
import type { Effect, Millis, Random, Step } from "./step.ts";
import { ntpTimestamp } from "./timestamp.ts";

/** What the contact registers. */
export interface RegistrationWish {
  readonly home: Address;
  readonly homeAgent: Address;
  readonly careOf: Address;
  readonly association: MobilityKey;
  /** 4 to 262140 s; the home agent may grant less. */
  readonly lifetimeSeconds: number;
}

/** A binding that the home agent has acknowledged. */
interface Granted {
  readonly lifetimeSeconds: number;
  readonly expiresAt: Millis;
}

/** Binding Updates under way. Acknowledgements of any of them count: they ask for the same. */
interface Asking {
  readonly sent: number;
  readonly firstSequence: number;
  readonly firstSentAt: Millis;
  readonly retryAt: Millis;
  /** Times that a refusal told us what to correct and we asked again at once. */
  readonly corrections: number;
  /** The home agent says that it has accepted this number (status 135): the next one goes above it. */
  readonly above: number | null;
  /** Somebody has been told that it does not work. */
  readonly told: boolean;
}

interface RegistrationBase {
  readonly wish: RegistrationWish;
  /** Number of the last update sent. */
  readonly sequence: number;
  /** Message ids follow the home agent's clock: this, in ms, added to our monotonic clock. Our own wall clock serves until H corrects it. */
  readonly clockOffset: Millis;
  readonly lastId: bigint;
}

/** The contact's registration at the home agent of X (RFC 6275 §11.7.1, authenticated by RFC 4285). */
export type Registration = RegistrationBase & (
  | { readonly phase: "asking"; readonly asking: Asking; readonly granted: Granted | null }
  | { readonly phase: "registered"; readonly granted: Granted; readonly refreshAt: Millis }
  | { readonly phase: "removing"; readonly asking: Asking }
  /** Not started, deregistered, or refused in a way that asking again cannot change. */
  | { readonly phase: "ended"; readonly reason: string }
);

/** A refresh starts this long before the end, or at half the lifetime if that is later: seven transmissions fit in. */
const REFRESH_BEFORE_MS = 96_000;
/** Deregistration is a courtesy: the binding ends by itself. */
const REMOVAL_TRANSMISSIONS = 4;
/** Immediate retries after corrections; more wait for the back-off, so that two nodes cannot drive each other. */
const CORRECTIONS = 2;

export type RegistrationInput =
  /** Ask for it, or ask again now because somebody wants to be sure. */
  | { readonly kind: "start" | "refresh" }
  /** A Binding Acknowledgement from the home agent; `mobilityHeader` as received. */
  | { readonly kind: "packet"; readonly packet: MobilityPacket; readonly mobilityHeader: Uint8Array }
  | { readonly kind: "wake" }
  /** Give it back (§11.7.1, lifetime 0). */
  | { readonly kind: "end" };

/** Nothing is sent before `start`. `wall` is our clock in ms since 1970, a first guess at the home agent's. */
export function newRegistration(wish: RegistrationWish, now: Millis, wall: number, random: Random): Registration {
  const seed = random(2);
  const sequence = ((seed[0] as number) << 8) | (seed[1] as number);
  return { wish, sequence, clockOffset: wall - now, lastId: 0n, phase: "ended", reason: "not started" };
}

/** One input. The step's `wakeAt` is when `wake` must be given at the latest. */
export function registerHome(state: Registration, input: RegistrationInput, now: Millis): Step<Registration> {
  switch (input.kind) {
    case "start":
    case "refresh":
      if (state.phase === "asking") return settled(state, []);
      return ask(base(state), "asking", state.phase === "registered" ? state.granted : null, now);
    case "packet":
      return onAcknowledgement(state, input.packet, input.mobilityHeader, now);
    case "wake":
      return onWake(state, now);
    case "end":
      if (state.phase === "ended" || state.phase === "removing") return settled(state, []);
      return ask(base(state), "removing", null, now);
  }
}

/** Retransmits and refreshes when it is time. */
function onWake(state: Registration, now: Millis): Step<Registration> {
  if (state.phase === "registered") return now < state.refreshAt ? settled(state, []) : ask(base(state), "asking", state.granted, now);
  if (state.phase === "ended" || now < state.asking.retryAt) return settled(state, []);
  if (state.phase === "removing" && state.asking.sent >= REMOVAL_TRANSMISSIONS) return settled({ ...base(state), phase: "ended", reason: "deregistered without an answer" }, []);
  const runOut = state.phase === "asking" && state.granted !== null && now >= state.granted.expiresAt;
  if (!runOut) return transmit(state, state.asking, now);
  const told = transmit({ ...state, granted: null }, { ...state.asking, told: true }, now);
  return { ...told, effects: [...told.effects, failure(state, null, "the home agent does not answer and the registration has run out")] };
}

/** §11.7.3. */
function onAcknowledgement(state: Registration, packet: MobilityPacket, mobilityHeader: Uint8Array, now: Millis): Step<Registration> {
  const { message } = packet;
  const { wish } = state;
  if (state.phase !== "asking" && state.phase !== "removing") return dropped(state, "binding acknowledgement not awaited", packet);
  if (message.kind !== "bindingAcknowledgement") return dropped(state, "not a binding acknowledgement", packet);
  if (packet.source !== wish.homeAgent || packet.destination !== wish.careOf || packet.tunnel) return dropped(state, "binding acknowledgement not from the home agent to the care-of address", packet);
  if (packet.routingHomeAddress !== wish.home) return dropped(state, "binding acknowledgement without the home address in a type 2 routing header", packet);

  const isOurs = isWithinSequences(message.sequence, state.asking.firstSequence, state.sequence);
  const authentication = registrationAuthentication(message);
  if (!authentication) return isOurs && refusesBinding(message.status) ? onUnprovenRefusal(state, message) : dropped(state, "binding acknowledgement without authentication", packet);
  if (message.options.at(-1) !== authentication || !verifyRegistration(packet, mobilityHeader, wish.careOf, wish.association)) return dropped(state, "binding acknowledgement: wrong authentication", packet);
  if (message.status === bindingStatus.sequenceOutOfWindow) {
    // What says 135 has accepted a number that ours is not newer than; anything else is an answer of long ago, sent again by somebody.
    if (isNewerSequence(state.sequence, message.sequence)) return dropped(state, "binding acknowledgement 135 about a number that we have passed", packet);
    return corrected({ ...state, asking: { ...state.asking, above: message.sequence } }, message, now);
  }
  if (!isOurs) return dropped(state, "binding acknowledgement of another sequence number", packet);
  if (message.status === bindingStatus.messageIdMismatch) return corrected({ ...state, clockOffset: followedOffset(state, message, now) }, message, now);
  return refusesBinding(message.status) ? onRefusal(state, message) : onAccepted(state, message, now);
}

function onAccepted(state: AskingState, message: BindingAcknowledgement, now: Millis): Step<Registration> {
  const { home, careOf } = state.wish;
  if (state.phase === "removing") return settled({ ...base(state), phase: "ended", reason: "deregistered" }, []);
  const lifetimeSeconds = message.lifetimeUnits * LIFETIME_UNIT_S;
  const lifetimeMs = lifetimeSeconds * 1000;
  // Counted from the first transmission, which may be the one that was accepted: never later than the home agent's own end.
  const start = state.asking.firstSentAt;
  const advised = message.options.find((option) => option.kind === "bindingRefreshAdvice");
  const untilRefresh = Math.max(lifetimeMs / 2, lifetimeMs - REFRESH_BEFORE_MS);
  const refreshAt = Math.max(now, start + Math.min(untilRefresh, advised ? advised.intervalUnits * LIFETIME_UNIT_S * 1000 : Infinity));
  const next: Registration = { ...base(state), phase: "registered", granted: { lifetimeSeconds, expiresAt: start + lifetimeMs }, refreshAt };
  return settled(next, [{ do: "tell", event: { type: "homeRegistered", home, careOf, sequence: message.sequence, lifetimeSeconds } }]);
}

/** 135 and 144 say what to do better: at once the first times, else when the back-off ends. */
function corrected(state: AskingState, message: BindingAcknowledgement, now: Millis): Step<Registration> {
  const { asking } = state;
  if (asking.corrections >= CORRECTIONS) return settled({ ...state, asking: { ...asking, told: true } }, asking.told ? [] : [failure(state, message.status, describeStatus(message.status))]);
  const firstSequence = sequenceAfter(asking.above ?? state.sequence);
  return transmit(state, { ...asking, firstSequence, firstSentAt: now, sent: 0, corrections: asking.corrections + 1 }, now);
}

/** Statuses that time may cure are waited out; the others end it. */
function onRefusal(state: AskingState, message: BindingAcknowledgement): Step<Registration> {
  if (state.phase === "removing") return settled({ ...base(state), phase: "ended", reason: `deregistered: ${describeStatus(message.status)}` }, []);
  const reason = describeStatus(message.status);
  const isPassing = message.status === bindingStatus.insufficientResources || message.status === bindingStatus.reasonUnspecified;
  if (isPassing) return settled({ ...state, asking: { ...state.asking, told: true } }, state.asking.told ? [] : [failure(state, message.status, reason)]);
  return settled({ ...base(state), phase: "ended", reason }, [failure(state, message.status, reason)]);
}

/** Nobody has signed this, so it only gets told, once; asking goes on. */
function onUnprovenRefusal(state: AskingState, message: BindingAcknowledgement): Step<Registration> {
  if (state.asking.told) return settled(state, [{ do: "drop", reason: "refusal of the home registration without authentication" }]);
  return settled({ ...state, asking: { ...state.asking, told: true } }, [failure(state, message.status, `${describeStatus(message.status)}, not authenticated`)]);
}

type AskingState = Extract<Registration, { phase: "asking" | "removing" }>;

function ask(common: RegistrationBase, phase: "asking" | "removing", granted: Granted | null, now: Millis): Step<Registration> {
  const asking: Asking = { sent: 0, firstSequence: sequenceAfter(common.sequence), firstSentAt: now, retryAt: now, corrections: 0, above: null, told: false };
  return transmit(phase === "asking" ? { ...common, phase, asking, granted } : { ...common, phase, asking }, asking, now);
}

/** §11.8: each transmission has a new number, and here a new message id. */
function transmit(state: AskingState, asking: Asking, now: Millis): Step<Registration> {
  const { wish } = state;
  const sequence = sequenceAfter(asking.above ?? state.sequence);
  const sent = asking.sent + 1;
  const first = state.phase === "asking" && !state.granted ? INITIAL_BINDACK_TIMEOUT_FIRST_REGISTRATION_MS : INITIAL_BINDACK_TIMEOUT_MS;
  const id = nextId(state, now);
  const packet: MobilityPacket = {
    source: wish.careOf,
    destination: wish.homeAgent,
    homeAddress: wish.home,
    message: {
      kind: "bindingUpdate",
      sequence,
      acknowledge: true,
      homeRegistration: true,
      linkLocalCompatibility: false,
      keyManagement: false,
      lifetimeUnits: state.phase === "removing" ? 0 : Math.max(1, Math.floor(wish.lifetimeSeconds / LIFETIME_UNIT_S)),
      options: [{ kind: "messageReplay", timestamp: id }],
    },
  };
  const next: Registration = { ...state, sequence, lastId: id, asking: { ...asking, sent, above: null, retryAt: now + backOff(sent, first) } };
  return settled(next, [{ do: "send", packet: signRegistration(packet, wish.careOf, wish.association) }]);
}

/** Time at the home agent, as far as we know, and newer than the last id unless H has set us back. */
function nextId(state: RegistrationBase, now: Millis): bigint {
  const id = ntpTimestamp(now + state.clockOffset);
  return id > state.lastId || state.lastId - id > 1n << 32n ? id : state.lastId + 1n;
}

/** RFC 4285 §6: the refusal carries the home agent's seconds over our own fraction. */
function followedOffset(state: AskingState, message: BindingAcknowledgement, now: Millis): Millis {
  const theirs = message.options.find((option) => option.kind === "messageReplay")?.timestamp;
  if (theirs === undefined) return state.clockOffset;
  // Whole seconds are all that the answer can tell; what it is wrong by lies far within the 7 s that are allowed.
  const seconds = Number((theirs >> 32n) - (ntpTimestamp(now + state.clockOffset) >> 32n));
  return state.clockOffset + seconds * 1000;
}

function settled(state: Registration, effects: readonly Effect[]): Step<Registration> {
  if (state.phase === "ended") return { state, effects };
  return { state, effects, wakeAt: state.phase === "registered" ? state.refreshAt : state.asking.retryAt };
}

function failure(state: Registration, status: number | null, reason: string): Effect {
  return { do: "tell", event: { type: "homeRegistrationFailed", home: state.wish.home, status, reason } };
}

function dropped(state: Registration, reason: string, packet: MobilityPacket): Step<Registration> {
  return settled(state, [{ do: "drop", reason, packet }]);
}

function base({ wish, sequence, clockOffset, lastId }: Registration): RegistrationBase {
  return { wish, sequence, clockOffset, lastId };
}
