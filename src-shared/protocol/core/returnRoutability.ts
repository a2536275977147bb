import type { Address } from "../../net/address.ts";
import { signBindingUpdate, verifyBindingAcknowledgement } from "../wire/authenticator.ts";
import type { MobilityOption, MobilityPacket } from "../wire/message.ts";
import { bindingStatus, refusesBinding } from "./bindingStatus.ts";
import { backOff, LIFETIME_UNIT_S, MAX_TOKEN_LIFETIME_MS } from "./limits.ts";
import { isWithinSequences } from "./sequence.ts";
import type { Millis, Random } from "./step.ts";

/**
 * The mobile node's side of return routability (RFC 6275 §11.6), in two halves that know nothing of each other, because a group splits them: the
 * contact runs the home test through its tunnel, the member that serves a client the care-of test. Whoever holds both tokens may bind.
 */
interface Probe {
  readonly client: Address;
  /** One cookie per transmission, 8 bytes each: a retransmission must have a new one (§11.8), and a late answer to an earlier one still counts. */
  readonly cookies: Uint8Array;
  /** Transmissions so far. */
  readonly sent: number;
  readonly startedAt: Millis;
  /** When to send again, unless answered. */
  readonly retryAt: Millis;
}

/** A home test under way. `tunnel` runs from the registered care-of address to the home agent. */
export interface HomeProbe extends Probe {
  readonly home: Address;
  readonly tunnel: { readonly source: Address; readonly destination: Address };
}

/** A care-of test under way. */
export interface CareOfProbe extends Probe {
  readonly careOf: Address;
}

/** What a test brought: a keygen token of 8 bytes, the index of the client's nonce behind it, and until when it is good. Or why the packet does not count. */
export type TestOutcome =
  | { readonly ok: true; readonly token: Uint8Array; readonly nonceIndex: number; readonly usableUntil: Millis }
  | { readonly ok: false; readonly reason: string };

const COOKIE_LENGTH = 8;
/** At the back-off of §11.8 the eighth transmission leaves after 95 s; by then the first cookie may come again. */
const COOKIES = 8;

/** §11.6.1: a Home Test Init from the home address, through the tunnel to the home agent. */
export function startHomeTest(
  of: { readonly home: Address; readonly client: Address; readonly tunnel: HomeProbe["tunnel"] },
  now: Millis,
  random: Random,
): { readonly probe: HomeProbe; readonly packet: MobilityPacket } {
  return transmitHomeTest({ ...of, cookies: random(COOKIES * COOKIE_LENGTH), sent: 0, startedAt: now, retryAt: now }, now);
}

/** Sends again when it is time, with a new cookie; never gives up by itself. */
export function homeTestTimer(probe: HomeProbe, now: Millis): { readonly probe: HomeProbe; readonly packet?: MobilityPacket } {
  return now < probe.retryAt ? { probe } : transmitHomeTest(probe, now);
}

/** §11.6.2: a Home Test counts only from the client to the home address, through the home tunnel, with a cookie of ours. It came at `at`. */
export function homeTestAnswered(probe: HomeProbe, packet: MobilityPacket, at: Millis): TestOutcome {
  const { message, tunnel } = packet;
  if (message.kind !== "homeTest") return ignored("not a home test");
  if (packet.source !== probe.client) return ignored("home test from another node");
  if (packet.destination !== probe.home) return ignored("home test not to the home address");
  if (tunnel?.source !== probe.tunnel.destination || tunnel.destination !== probe.tunnel.source) return ignored("home test outside the home tunnel");
  return answered(probe, message, at);
}

/** §11.6.1: a Care-of Test Init from the care-of address, on the direct path. */
export function startCareOfTest(
  of: { readonly careOf: Address; readonly client: Address },
  now: Millis,
  random: Random,
): { readonly probe: CareOfProbe; readonly packet: MobilityPacket } {
  return transmitCareOfTest({ ...of, cookies: random(COOKIES * COOKIE_LENGTH), sent: 0, startedAt: now, retryAt: now }, now);
}

export function careOfTestTimer(probe: CareOfProbe, now: Millis): { readonly probe: CareOfProbe; readonly packet?: MobilityPacket } {
  return now < probe.retryAt ? { probe } : transmitCareOfTest(probe, now);
}

/** §11.6.2: a Care-of Test counts only from the client to the care-of address, not tunnelled, with a cookie of ours. */
export function careOfTestAnswered(probe: CareOfProbe, packet: MobilityPacket, at: Millis): TestOutcome {
  const { message } = packet;
  if (message.kind !== "careOfTest") return ignored("not a care-of test");
  if (packet.source !== probe.client) return ignored("care-of test from another node");
  if (packet.destination !== probe.careOf || packet.tunnel) return ignored("care-of test not to the care-of address");
  return answered(probe, message, at);
}

function transmitHomeTest(probe: HomeProbe, now: Millis): { readonly probe: HomeProbe; readonly packet: MobilityPacket } {
  const next = transmitted(probe, now);
  return {
    probe: next,
    packet: { source: probe.home, destination: probe.client, tunnel: probe.tunnel, message: { kind: "homeTestInit", cookie: cookieOf(next, next.sent - 1), options: [] } },
  };
}

function transmitCareOfTest(probe: CareOfProbe, now: Millis): { readonly probe: CareOfProbe; readonly packet: MobilityPacket } {
  const next = transmitted(probe, now);
  return {
    probe: next,
    packet: { source: probe.careOf, destination: probe.client, message: { kind: "careOfTestInit", cookie: cookieOf(next, next.sent - 1), options: [] } },
  };
}

function transmitted<P extends Probe>(probe: P, now: Millis): P {
  const sent = probe.sent + 1;
  return { ...probe, sent, retryAt: now + backOff(sent) };
}

function answered(probe: Probe, test: { readonly cookie: Uint8Array; readonly token: Uint8Array; readonly nonceIndex: number }, at: Millis): TestOutcome {
  if (!isOwnCookie(probe, test.cookie)) return ignored("cookie is not ours");
  return { ok: true, token: test.token, nonceIndex: test.nonceIndex, usableUntil: at + MAX_TOKEN_LIFETIME_MS };
}

/** Whether one of the transmissions carried it. Nobody off the path can know: an ICMPv6 error that quotes it is about our packet. */
export function isOwnCookie(probe: Probe, cookie: Uint8Array): boolean {
  for (let i = 0; i < Math.min(probe.sent, COOKIES); i++) if (sameBytes(cookieOf(probe, i), cookie)) return true;
  return false;
}

function cookieOf(probe: Probe, transmission: number): Uint8Array {
  const at = (transmission % COOKIES) * COOKIE_LENGTH;
  return probe.cookies.subarray(at, at + COOKIE_LENGTH);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function ignored(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}

/** What a Binding Update to a client says. */
export interface UpdateContent {
  readonly home: Address;
  readonly client: Address;
  /** The care-of address to register. */
  readonly careOf: Address;
  /** The node that sends it, when that is not the one at `careOf`: the address to register then goes into an Alternate Care-of Address option. */
  readonly source?: Address;
  /** 0..65535, newer than every number the client has accepted. */
  readonly sequence: number;
  /** Rounded down to units of 4 s; less than 4 deregisters (see `removalFor`, which needs another key). */
  readonly lifetimeSeconds: number;
  readonly homeNonceIndex: number;
  readonly careOfNonceIndex: number;
  /** Ask for a Binding Acknowledgement. Default true. */
  readonly acknowledge?: boolean;
  /** Kbm of both tokens. */
  readonly kbm: Uint8Array;
}

/** §11.7.2: the signed Binding Update to a correspondent. Throws RangeError when the lifetime would deregister. */
export function bindingUpdateFor(content: UpdateContent): MobilityPacket {
  const lifetimeUnits = Math.floor(content.lifetimeSeconds / LIFETIME_UNIT_S);
  if (lifetimeUnits < 1) throw new RangeError(`a binding of ${content.lifetimeSeconds} s cannot be asked for: use at least ${LIFETIME_UNIT_S} s, or removalFor to deregister`);
  const source = content.source ?? content.careOf;
  return signedUpdate(content, source, lifetimeUnits, source === content.careOf ? [] : [{ kind: "alternateCareOf", address: content.careOf }]);
}

/**
 * §11.7.2: asks a correspondent to delete its binding. `kbm` is that of the home token alone (§9.5.1), sent from `source`. The home address is given as
 * care-of address as well, which every reading of §6.2.7 understands as a deregistration signed over the home address.
 */
export function removalFor(content: Omit<UpdateContent, "careOf" | "lifetimeSeconds" | "careOfNonceIndex" | "source"> & { readonly source: Address }): MobilityPacket {
  return signedUpdate({ ...content, careOfNonceIndex: 0 }, content.source, 0, [{ kind: "alternateCareOf", address: content.home }]);
}

function signedUpdate(
  content: Pick<UpdateContent, "home" | "client" | "sequence" | "homeNonceIndex" | "careOfNonceIndex" | "acknowledge" | "kbm">,
  source: Address,
  lifetimeUnits: number,
  careOfOption: readonly MobilityOption[],
): MobilityPacket {
  const packet: MobilityPacket = {
    source,
    destination: content.client,
    homeAddress: content.home,
    message: {
      kind: "bindingUpdate",
      sequence: content.sequence,
      acknowledge: content.acknowledge ?? true,
      homeRegistration: false,
      linkLocalCompatibility: false,
      keyManagement: false,
      lifetimeUnits,
      options: [{ kind: "nonceIndices", home: content.homeNonceIndex, careOf: content.careOfNonceIndex }, ...careOfOption],
    },
  };
  return signBindingUpdate(packet, content.kbm);
}

/** The Binding Update that an acknowledgement is awaited for. */
export interface AwaitedAcknowledgement {
  readonly home: Address;
  readonly client: Address;
  /** The care-of address that the update asked for; the home address when it deregistered. */
  readonly careOf: Address;
  /** Where the update left from, if not from `careOf`. */
  readonly source?: Address;
  /** Number of the latest transmission, and of the first one when there were several. */
  readonly sequence: number;
  readonly firstSequence?: number;
  readonly kbm: Uint8Array;
}

/** What a Binding Acknowledgement of a client says (§11.7.3). */
export type AcknowledgementOutcome =
  | { readonly kind: "accepted"; readonly sequence: number; readonly lifetimeSeconds: number }
  /**
   * `lastSequence` with status 135: the last number that the client accepted; somebody else has bound it since, so ask for the current view.
   * `expired` with 136..138, which nothing authenticates: these tokens must be fetched anew, at a limited rate.
   */
  | { readonly kind: "refused"; readonly status: number; readonly lastSequence: number | null; readonly expired: readonly ("home" | "careOf")[] }
  | { readonly kind: "ignored"; readonly reason: string };

/** `mobilityHeader` as received: the authenticator is computed over it. */
export function acknowledgementOutcome(awaited: AwaitedAcknowledgement, packet: MobilityPacket, mobilityHeader: Uint8Array): AcknowledgementOutcome {
  const { message } = packet;
  if (message.kind !== "bindingAcknowledgement") return { kind: "ignored", reason: "not a binding acknowledgement" };
  if (packet.source !== awaited.client) return { kind: "ignored", reason: "binding acknowledgement from another node" };
  if (packet.destination !== (awaited.source ?? awaited.careOf) || packet.tunnel) return { kind: "ignored", reason: "binding acknowledgement not to where the update left from" };
  if (packet.routingHomeAddress !== awaited.home) return { kind: "ignored", reason: "binding acknowledgement without the home address in a type 2 routing header" };
  const ours = isWithinSequences(message.sequence, awaited.firstSequence ?? awaited.sequence, awaited.sequence);
  const expired = expiredTokens(message.status);
  if (expired.length > 0) {
    return ours ? { kind: "refused", status: message.status, lastSequence: null, expired } : { kind: "ignored", reason: "binding acknowledgement of another sequence number" };
  }
  if (!verifyBindingAcknowledgement(packet, mobilityHeader, awaited.careOf, awaited.kbm)) return { kind: "ignored", reason: "binding acknowledgement without a right authenticator" };
  if (message.status === bindingStatus.sequenceOutOfWindow) return { kind: "refused", status: message.status, lastSequence: message.sequence, expired: [] };
  if (!ours) return { kind: "ignored", reason: "binding acknowledgement of another sequence number" };
  if (refusesBinding(message.status)) return { kind: "refused", status: message.status, lastSequence: null, expired: [] };
  return { kind: "accepted", sequence: message.sequence, lifetimeSeconds: message.lifetimeUnits * LIFETIME_UNIT_S };
}

function expiredTokens(status: number): readonly ("home" | "careOf")[] {
  if (status === bindingStatus.expiredHomeNonce) return ["home"];
  if (status === bindingStatus.expiredCareOfNonce) return ["careOf"];
  return status === bindingStatus.expiredNonces ? ["home", "careOf"] : [];
}
