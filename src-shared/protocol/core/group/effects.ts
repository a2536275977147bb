import type { Address } from "../../../net/address.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import type { Effect, Millis } from "../step.ts";
import type { HandoffMode } from "./handoffMode.ts";
import type { MemberMessage } from "./memberMessage.ts";

/** What stays the same for every client of a group as one member sees it. */
export interface GroupView {
  readonly id: string;
  /** The anycast address X. */
  readonly home: Address;
  readonly homeAgent: Address;
  readonly self: string;
  readonly contact: string;
  readonly members: ReadonlyMap<string, Address>;
  /** Asked for in Binding Updates, 4..420 s (RFC 6275 §11.7.2 with the §5.2.7 limit for bindings made by return routability). */
  readonly lifetimeSeconds: number;
  /** How many times longer than usual members wait for each other, their services and clients (timeLimits.ts); 1 unless set. The same at every member. */
  readonly patience?: number;
}

/** Names one handoff wherever it is talked about. */
export interface HandoffName {
  readonly handoff: string;
  readonly client: Address;
  readonly donor: string;
  readonly acceptor: string;
  readonly mode: HandoffMode;
}

/** An instant of a handoff (src-shared/api/handoff.ts has the list). Without `at` it is the instant at which the effects are carried out. */
export interface Mark extends HandoffName {
  readonly do: "mark";
  readonly step: string;
  readonly at?: Millis;
  readonly connections?: number;
  readonly bytes?: number;
}

/** What a group's machines want done, in order. */
export type GroupEffect =
  | Exclude<Effect, { readonly do: "send" }>
  /** With `mark`, the instant at which the packet left is told as that step of the handoff. */
  | { readonly do: "send"; readonly packet: MobilityPacket; readonly mark?: Mark }
  | { readonly do: "tellMember"; readonly member: string; readonly message: MemberMessage; readonly mark?: Mark }
  | Mark
  /**
   * Donor: relay what arrives from now on, then stop, freeze and dump all connections of the client; comes back as `collected` or `notCollected`.
   * `word` is sent the moment they stand still, before they are written down.
   */
  | { readonly do: "collect"; readonly handoff: string; readonly client: Address; readonly drain: boolean; readonly relayTo: Address; readonly word: { readonly member: string; readonly message: MemberMessage; readonly mark?: Mark } }
  /** Donor: the acceptor has them; forget ours. Or: take them up again where they stopped; comes back as `reinstated`. */
  | { readonly do: "forget"; readonly handoff: string; readonly client: Address }
  | { readonly do: "reinstate"; readonly handoff: string; readonly client: Address }
  /** Acceptor: packets of the client are kept from now on (ending any relay): its connections are on their way. */
  | { readonly do: "hold"; readonly client: Address }
  /** Acceptor: build the sockets, still frozen; comes back as `restored` or `notRestored`. */
  | { readonly do: "restore"; readonly handoff: string; readonly client: Address; readonly bundle: Uint8Array }
  /** Acceptor: let the sockets live and deliver what was held for them. */
  | { readonly do: "activate"; readonly name: HandoffName }
  | { readonly do: "abandon"; readonly handoff: string; readonly client: Address }
  /**
   * What do the client's TCP sockets know of the path? Comes back as `transport`. With `elicit` each of them first sends a segment that its peer must
   * acknowledge.
   */
  | { readonly do: "askTransport"; readonly client: Address; readonly elicit: boolean }
  | { readonly do: "optimise"; readonly client: Address }
  | { readonly do: "unoptimise"; readonly client: Address }
  | { readonly do: "relay"; readonly client: Address; readonly member: Address }
  | { readonly do: "unrelay"; readonly client: Address }
  /** Whoever asked for this (a control call) may now be answered. `error` says which step failed and why. */
  | { readonly do: "answer"; readonly request: string; readonly error: { readonly step: string; readonly reason: string } | null; readonly connections: number };

/** Result of a transition of one client's entry. When the entry must be woken follows from its state alone (`contactWake` and its like). */
export interface GroupStep<S> {
  readonly state: S;
  readonly effects: readonly GroupEffect[];
}
