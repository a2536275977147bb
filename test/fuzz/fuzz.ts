import { fuzzTarget, type LoopOptions, type LoopResult } from "./loop.ts";
import type { Target } from "./target.ts";
import { correspondent } from "./targets/correspondent.ts";
import { groupWorld } from "./targets/groupWorld.ts";
import { homeAgent } from "./targets/homeAgent.ts";
import { member } from "./targets/member.ts";
import { moveTargets } from "./targets/moves.ts";
import { registration } from "./targets/registration.ts";
import { neighborDiscovery } from "./targets/neighborDiscovery.ts";
import { streamTargets } from "./targets/streams.ts";
import { translator } from "./targets/translator.ts";
import { wireTargets } from "./targets/wire.ts";

/** What run.ts bundles: everything that must share one coverage map with the sources under test. */
const targets: readonly Target[] = [...wireTargets, neighborDiscovery, ...streamTargets, ...moveTargets, correspondent, homeAgent, registration, member, groupWorld, translator];

let words: readonly string[] = [];

export function setWords(found: readonly string[]): void {
  words = found;
}

/** Names and weights. */
export function targetList(): readonly { readonly name: string; readonly weight: number }[] {
  return targets.map(({ name, weight }) => ({ name, weight }));
}

export function fuzz(name: string, options: Omit<LoopOptions, "words">): LoopResult {
  const target = targets.find((t) => t.name === name);
  if (!target) throw new Error(`there is no target "${name}"`);
  return fuzzTarget(target, { ...options, words });
}
