import type { Millis } from "../step.ts";
import type { MemberMessage } from "./memberMessage.ts";

type Offer = Extract<MemberMessage, { kind: "offer" }>;
type State = Extract<MemberMessage, { kind: "state" }>;

/** An offer that came before the contact's word that its donor may make it, with what followed it. */
export interface EarlyOffer {
  readonly from: string;
  readonly message: Offer;
  readonly at: Millis;
  readonly frozen?: true;
  readonly state?: { readonly message: State; readonly at: Millis };
}

/** Offers kept until the contact has named their donor. Each may bring a client's connections along. */
export const earlyOffers = 16;
/** Bytes of such connections, all together. */
const earlyBytes = 64 << 20;

/** Offers that wait for the contact's word, a few of them. */
export class EarlyOffers {
  readonly #kept = new Map<string, EarlyOffer>();

  /** False when there is no room for another one. */
  keep(from: string, message: Offer, at: Millis): boolean {
    if (this.#kept.size >= earlyOffers && !this.#kept.has(message.handoff)) return false;
    this.#kept.set(message.handoff, { from, message, at });
    return true;
  }

  /** Whether an offer of this member waits under that name. */
  isFrom(handoff: string, from: string): boolean {
    return this.#kept.get(handoff)?.from === from;
  }

  frozen(handoff: string): void {
    const early = this.#kept.get(handoff);
    if (early) this.#kept.set(handoff, { ...early, frozen: true });
  }

  /** False when there is no room for its connections, or they are there already. */
  state(message: State, at: Millis): boolean {
    const early = this.#kept.get(message.handoff);
    const bytes = [...this.#kept.values()].reduce((sum, { state }) => sum + (state?.message.bundle.length ?? 0), 0);
    if (!early || early.state || bytes + message.bundle.length > earlyBytes) return false;
    this.#kept.set(message.handoff, { ...early, state: { message, at } });
    return true;
  }

  /** It waits no longer. */
  take(handoff: string): EarlyOffer | undefined {
    const early = this.#kept.get(handoff);
    this.#kept.delete(handoff);
    return early;
  }
}
