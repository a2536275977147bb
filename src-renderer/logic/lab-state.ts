import type { LabPatch, LabState } from "../../src-shared/api/app/lab.ts";
import { patched } from "../../src-shared/api/app/lab-patch.ts";

/** What is known of the open lab. `ahead` holds patches that came before the state that they change. */
export interface KnownLab {
  readonly state: LabState | null;
  readonly ahead: readonly LabPatch[];
}

export const nothingKnown: KnownLab = { state: null, ahead: [] };

/** Takes a whole state; patches that already came and go beyond it are applied to it. */
export function withState(known: KnownLab, state: LabState): KnownLab {
  const later = known.ahead.filter((patch) => patch.lab === state.id && patch.revision > state.revision);
  return { state: later.reduce(patched, state), ahead: [] };
}

/** Takes a patch: applies it, keeps it for a state under way, or ignores it when it is old or about another lab. */
export function withPatch(known: KnownLab, patch: LabPatch): KnownLab {
  if (!known.state) return { state: null, ahead: [...known.ahead, patch].slice(-1000) };
  if (patch.lab !== known.state.id || patch.revision <= known.state.revision) return known;
  return { ...known, state: patched(known.state, patch) };
}
