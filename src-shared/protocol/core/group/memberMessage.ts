import type { Address } from "../../../net/address.ts";
import type { HandoffMode } from "./handoffMode.ts";
import type { Millis } from "../step.ts";

/** Sequence numbers a member may put into Binding Updates for one client: first..last modulo 2^16. Whoever holds the block may bind the client. */
export interface SequenceLease {
  readonly next: number;
  readonly last: number;
}

/** A home keygen token as it travels between members. `ageMs` is its age when sent; tokens die at 210 s (RFC 6275 §5.2.7). */
export interface HomeGrant {
  readonly token: Uint8Array;
  readonly nonceIndex: number;
  readonly ageMs: Millis;
}

/**
 * Why a member does without a binding that it had: the client's Binding Error status 1 (§11.3.6), or its ICMPv6 Parameter Problem about the Home Address
 * option (§11.3.5), neither of which is signed; or no acknowledgement came back over it.
 */
export type BindingLoss = "unbound" | "homeAddressOption" | "noData";

/**
 * What members say to each other over their mutually authenticated link. `handoff` names one handoff; the contact makes the names.
 * Who may say what is checked by the receiver: only the contact says `take`, `rebind`, `lease`; only the donor named there says `offer`, `frozen`, `state`.
 */
export type MemberMessage =
  /** Contact -> donor: hand this client to `acceptor`. `grant` is absent for clients without Mobile IPv6, which the contact relays. */
  | {
      readonly kind: "take";
      readonly handoff: string;
      readonly client: Address;
      readonly acceptor: string;
      readonly mode: HandoffMode;
      readonly drain: boolean;
      readonly lease: SequenceLease;
      readonly grant: HomeGrant | null;
    }
  /** Contact -> acceptor, when the donor is another member: expect an offer from `donor`, so that packets it relays early are kept. */
  | { readonly kind: "expect"; readonly handoff: string; readonly client: Address; readonly donor: string }
  /**
   * Donor -> acceptor: the right to bind the client. Without a grant, and in `prepared`, said the moment the client's connections stand still; in `full` as
   * soon as the donor has it, so that the care-of test travels while services let go: then the update has to wait for `frozen`. Their state follows.
   */
  | {
      readonly kind: "offer";
      readonly handoff: string;
      readonly client: Address;
      readonly mode: HandoffMode;
      readonly lease: SequenceLease;
      readonly grant: HomeGrant | null;
      /** The connections still live at the donor. */
      readonly early: boolean;
    }
  /** Donor -> acceptor, after an offer that came early: the client's connections stand still from now on. */
  | { readonly kind: "frozen"; readonly handoff: string; readonly client: Address }
  /** Donor -> acceptor: the client's connections, opaque here. Apart from the offer, so that binding need not wait for megabytes. */
  | { readonly kind: "state"; readonly handoff: string; readonly client: Address; readonly connections: number; readonly drainMs: Millis; readonly bundle: Uint8Array }
  /** Donor -> acceptor: the connections cannot be moved after all; the donor keeps the client. */
  | { readonly kind: "withdrawn"; readonly handoff: string; readonly client: Address }
  /** Acceptor -> donor and contact: the client is mine now, bound with `sequence` for `lifetimeSeconds` (null and 0 when relayed). */
  | { readonly kind: "accepted"; readonly handoff: string; readonly client: Address; readonly sequence: number | null; readonly lifetimeSeconds: number; readonly connections: number; readonly drainMs: Millis; readonly bytes: number }
  /** Acceptor -> donor and contact, or donor -> contact: this handoff is over and the donor keeps the client. */
  | { readonly kind: "refused"; readonly handoff: string; readonly client: Address; readonly step: string; readonly reason: string; readonly lastSequence: number | null }
  /** Contact -> serving member: bind the client anew (refresh, or after a refused handoff) with this token and block. */
  | { readonly kind: "rebind"; readonly client: Address; readonly lease: SequenceLease; readonly grant: HomeGrant }
  /** Serving member -> contact: outcome of a rebind. */
  | { readonly kind: "rebound"; readonly client: Address; readonly sequence: number; readonly lifetimeSeconds: number }
  | { readonly kind: "rebindFailed"; readonly client: Address; readonly reason: string; readonly lastSequence: number | null }
  /** Serving member -> contact: I have given up the client's binding, because somebody says that it does not work; serve it through the tunnel. */
  | { readonly kind: "bindingLost"; readonly client: Address; readonly why: BindingLoss }
  /** Serving member -> contact: the client has its first connection, or has none any more. Bindings are refreshed only for active clients. */
  | { readonly kind: "activity"; readonly client: Address; readonly active: boolean };
