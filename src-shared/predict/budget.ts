/**
 * One-way latencies in ms between the nodes of a handoff, each named by its two ends: K contact, D donor, A acceptor, H home agent, C client.
 * DA and the like run between members; where K = D, KA = DA and KD = 0.
 */
export type Path = "KH" | "HC" | "KD" | "KA" | "DA" | "AC" | "DC";

/** How a handoff is signalled; docs/protocol.md has the ladder of each. */
export type BudgetMode = "full" | "prepared" | "parallel" | "cached" | "early" | "donor-bu" | "planned";

/** How often each path is travelled, one way. */
export type Hops = Readonly<Partial<Record<Path, number>>>;

/** A step on the way from `startAt` to the acceptor's first packet. It takes as long as the longest of its branches, which run side by side. */
export interface BudgetStep {
  readonly name: string;
  readonly branches: readonly Hops[];
}

const step = (name: string, ...branches: Hops[]): BudgetStep => ({ name, branches });

const homeTest = step("return routability, home", { KH: 2, HC: 2 });
const careOfTest = step("return routability, care-of", { AC: 2 });
const binding = step("binding update and acknowledgement", { AC: 2 });
const stateOnly = step("state to acceptor", { DA: 1 });

/**
 * The time budget of each mode, exact as far as latencies go. KD counts only in the modes whose clock starts at the contact (it is 0 where K = D): the
 * others start when the donor freezes.
 */
export const budgets: Readonly<Record<BudgetMode, readonly BudgetStep[]>> = {
  full: [homeTest, step("state and home token to acceptor", { KD: 1, DA: 1 }), careOfTest, binding],
  prepared: [step("state and home token to acceptor", { DA: 1 }), careOfTest, binding],
  parallel: [step("return routability, home and care-of at once", { KH: 2, HC: 2 }, { KA: 1, AC: 2 }), step("state and home token to acceptor", { KD: 1, DA: 1 }), binding],
  cached: [stateOnly, binding],
  early: [stateOnly],
  "donor-bu": [stateOnly],
  planned: [],
};
