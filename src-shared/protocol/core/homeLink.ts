import type { Address } from "../../net/address.ts";
import { ALL_NODES, isUnspecified, solicitedNode, UNSPECIFIED } from "../../net/scope.ts";
import type { NeighborPacket } from "../wire/neighborDiscovery.ts";
import type { Millis, Random } from "./step.ts";
import { takeToken, tokenBucket, type TokenBucket } from "./tokenBucket.ts";

/** One home address on a link of its home agent: looked for before it is taken, then defended (RFC 6275 §10.3.1, §10.4.1; RFC 4861, RFC 4862). */
export type HomeLink = {
  readonly home: Address;
  /** The home agent's own address on the link, from which it speaks, and its Ethernet address, 6 bytes. */
  readonly own: Address;
  readonly linkLayer: Uint8Array;
  readonly answers: TokenBucket;
} & (
  | { readonly phase: "idle" }
  /** RFC 4862 §5.4: asked; silence until `until` means that nobody has it. */
  | { readonly phase: "checking"; readonly nonce: Uint8Array; readonly until: Millis }
  /** `left` unsolicited advertisements are still to come, the next at `nextAt`. */
  | { readonly phase: "defending"; readonly left: number; readonly nextAt: Millis }
);

export type HomeLinkInput =
  | { readonly kind: "check" | "defend" | "undefend" | "wake" }
  /** Heard on the link. */
  | { readonly kind: "neighbor"; readonly packet: NeighborPacket };

export type HomeLinkEffect =
  | { readonly do: "sendNeighbor"; readonly packet: NeighborPacket }
  /** The answer to `check`. */
  | { readonly do: "checked"; readonly duplicate: boolean }
  | { readonly do: "drop"; readonly reason: string };

export interface HomeLinkStep {
  readonly state: HomeLink;
  readonly effects: readonly HomeLinkEffect[];
  readonly wakeAt?: Millis;
}

/** RFC 4861 §10: RetransTimer, how long duplicate address detection waits after its one solicitation, and the pause between advertisements. */
export const RETRANS_TIMER_MS = 1_000;
/** RFC 4861 §10. */
const MAX_NEIGHBOR_ADVERTISEMENT = 3;
/** What the link can make us answer. */
const ANSWER_RATE = { perSecond: 50, burst: 100 };

export function newHomeLink(home: Address, own: Address, linkLayer: Uint8Array, now: Millis): HomeLink {
  return { home, own, linkLayer, answers: tokenBucket(ANSWER_RATE, now), phase: "idle" };
}

/** One input. The step's `wakeAt` is when `wake` must be given at the latest. */
export function tendHomeLink(state: HomeLink, input: HomeLinkInput, now: Millis, random: Random): HomeLinkStep {
  const { state: next, effects } = transition(state, input, now, random);
  if (next.phase === "checking") return { state: next, effects, wakeAt: next.until };
  return next.phase === "defending" && next.left > 0 ? { state: next, effects, wakeAt: next.nextAt } : { state: next, effects };
}

function transition(state: HomeLink, input: HomeLinkInput, now: Millis, random: Random): HomeLinkStep {
  switch (input.kind) {
    case "check":
      // What we defend, nobody else can have taken meanwhile.
      if (state.phase === "defending") return { state, effects: [{ do: "checked", duplicate: false }] };
      return check(state, now, random);
    case "defend":
      return announce({ ...common(state), phase: "defending", left: MAX_NEIGHBOR_ADVERTISEMENT, nextAt: now }, now);
    case "undefend":
      return { state: { ...common(state), phase: "idle" }, effects: [] };
    case "neighbor":
      return onNeighbor(state, input.packet, now);
    case "wake":
      if (state.phase === "checking" && now >= state.until) return { state: { ...common(state), phase: "idle" }, effects: [{ do: "checked", duplicate: false }] };
      return state.phase === "defending" && state.left > 0 && now >= state.nextAt ? announce(state, now) : { state, effects: [] };
  }
}

/** RFC 4862 §5.4.2, with the nonce of RFC 7527 so that a solicitation which the link echoes is not taken for another node's. */
function check(state: HomeLink, now: Millis, random: Random): HomeLinkStep {
  const { home } = state;
  const nonce = random(6);
  const packet: NeighborPacket = { source: UNSPECIFIED, destination: solicitedNode(home), message: { kind: "neighborSolicitation", target: home, nonce } };
  return { state: { ...common(state), phase: "checking", nonce, until: now + RETRANS_TIMER_MS }, effects: [{ do: "sendNeighbor", packet }] };
}

/** RFC 6275 §10.4.1: to all nodes, Router 0, Solicited 0, Override 1, so that whoever has another link-layer address for it takes ours. */
function announce(state: Extract<HomeLink, { phase: "defending" }>, now: Millis): HomeLinkStep {
  const next = { ...state, left: state.left - 1, nextAt: now + RETRANS_TIMER_MS };
  return { state: next, effects: [{ do: "sendNeighbor", packet: advertisement(state, ALL_NODES, { solicited: false, override: true }) }] };
}

function onNeighbor(state: HomeLink, packet: NeighborPacket, now: Millis): HomeLinkStep {
  const { message } = packet;
  if (message.target !== state.home) return drop(state, "neighbor discovery about another address");
  if (state.phase === "checking") return whileChecking(state, packet);
  if (state.phase === "idle") return drop(state, "neighbor discovery about a home address that is not defended");
  if (message.kind === "neighborAdvertisement") return drop(state, "neighbor advertisement: another node claims a home address that is defended here");
  const { bucket, taken } = takeToken(state.answers, now);
  const next = { ...state, answers: bucket };
  return taken ? answer(next, packet.source) : drop(next, "too many neighbor solicitations");
}

/** RFC 4862 §5.4.3 and §5.4.4: whoever has the address answers; whoever wants it, too, asks as we do. A third that resolves it says nothing. */
function whileChecking(state: Extract<HomeLink, { phase: "checking" }>, { source, message }: NeighborPacket): HomeLinkStep {
  if (message.kind === "neighborSolicitation") {
    if (!isUnspecified(source)) return drop(state, "neighbor solicitation while the address is being checked");
    if (message.nonce?.length === state.nonce.length && message.nonce.every((byte, i) => byte === state.nonce[i])) return drop(state, "neighbor solicitation of our own came back");
  }
  return { state: { ...common(state), phase: "idle" }, effects: [{ do: "checked", duplicate: true }] };
}

/** RFC 6275 §10.4.1, RFC 4861 §7.2.4 and §7.2.8: a proxy answers without Override; to a node that is about to take the address, by way of all nodes. */
function answer(state: HomeLink, source: Address): HomeLinkStep {
  const detection = isUnspecified(source);
  return { state, effects: [{ do: "sendNeighbor", packet: advertisement(state, detection ? ALL_NODES : source, { solicited: !detection, override: false }) }] };
}

function advertisement({ home, own, linkLayer }: HomeLink, destination: Address, flags: { readonly solicited: boolean; readonly override: boolean }): NeighborPacket {
  return { source: own, destination, message: { kind: "neighborAdvertisement", target: home, router: false, ...flags, targetLinkLayer: linkLayer } };
}

function drop(state: HomeLink, reason: string): HomeLinkStep {
  return { state, effects: [{ do: "drop", reason }] };
}

function common({ home, own, linkLayer, answers }: HomeLink) {
  return { home, own, linkLayer, answers };
}
