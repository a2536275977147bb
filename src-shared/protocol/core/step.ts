import type { Address } from "../../net/address.ts";
import type { MobilityPacket } from "../wire/message.ts";

/** Milliseconds on the node's monotonic clock; fractions allowed. */
export type Millis = number;

/** Random bytes, passed in so that a simulation can repeat itself. */
export type Random = (length: number) => Uint8Array;

/** What a state machine wants done. Effects are data: the engine (or the simulated network) carries them out in order. */
export type Effect =
  | { readonly do: "send"; readonly packet: MobilityPacket }
  /** Correspondent: traffic to `home` now goes to `careOf` with a type 2 routing header, and HAO traffic from it is accepted (§9.3). */
  | { readonly do: "bind"; readonly home: Address; readonly careOf: Address }
  | { readonly do: "unbind"; readonly home: Address }
  /** Correspondent: has the binding been used since this was last asked? Comes back as the input `used` if so (§9.5.5). */
  | { readonly do: "askUse"; readonly home: Address }
  /** Home agent: tunnel traffic for `home` to `careOf` (§10.4.2). */
  | { readonly do: "tunnel"; readonly home: Address; readonly careOf: Address }
  | { readonly do: "untunnel"; readonly home: Address }
  /** Home agent, `home` on its own link: look for another node with that address (§10.3.1); comes back as the input `duplicateChecked`. */
  | { readonly do: "checkDuplicate"; readonly home: Address }
  /** Home agent, `home` on its own link: answer neighbour discovery for it, and tell the link at once (§10.4.1). Or stop. */
  | { readonly do: "defend"; readonly home: Address }
  | { readonly do: "undefend"; readonly home: Address }
  /** A counted reason why an input changed nothing. */
  | { readonly do: "drop"; readonly reason: string; readonly packet?: MobilityPacket }
  /** Something worth telling people and tests, in the words of src-shared/api/events.ts. */
  | { readonly do: "tell"; readonly event: { readonly type: string } & Readonly<Record<string, unknown>> };

/** Result of a transition: the next state, what to do about it, and when to be woken again at the latest. */
export interface Step<S> {
  readonly state: S;
  readonly effects: readonly Effect[];
  readonly wakeAt?: Millis;
}
