import type { Millis } from "../step.ts";
import type { GroupView } from "./effects.ts";

/**
 * How long the members of a group wait for each other and for a client before they give up a handoff or a binding, in ms. The order is what keeps two
 * members from serving one client: acceptors give up before their donor takes the client back, and the contact after both.
 */
export interface TimeLimits {
  /** Donor: from the order to the connections being written down. Longer than services may take to let go (src-agent/services/takeOut.ts). */
  readonly collectMs: Millis;
  /** A care-of test and the acknowledgement of its update: transmissions at 0, 1, 3 and 7 s have gone unanswered. */
  readonly bindingMs: Millis;
  /** Acceptor: from the donor's word that it serves no more to being ready. */
  readonly stateMs: Millis;
  /** Donor: from the connections' leaving to the acceptor's verdict. */
  readonly donorMs: Millis;
  /** Contact: a whole handoff, or a binding anew. */
  readonly handingMs: Millis;
  readonly rebindMs: Millis;
}

const usual: TimeLimits = { collectMs: 5_000, bindingMs: 7_500, stateMs: 8_000, donorMs: 9_000, handingMs: 15_000, rebindMs: 15_000 };

/** The group's limits: every member has the same, because they come with the group's view. */
export function timeLimits({ patience = 1 }: Pick<GroupView, "patience">): TimeLimits {
  const { collectMs, bindingMs, stateMs, donorMs, handingMs, rebindMs } = usual;
  return { collectMs: collectMs * patience, bindingMs: bindingMs * patience, stateMs: stateMs * patience, donorMs: donorMs * patience, handingMs: handingMs * patience, rebindMs: rebindMs * patience };
}
