import type { LabPatch, LabState } from "../../src-shared/api/app/lab.ts";

const kinds = ["sites", "hosts", "links", "groups", "clients", "faults", "captures"] as const;

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

function patched(state: LabState, patch: LabPatch): LabState {
  const gone = new Set(patch.gone);
  const next: Record<string, unknown> = { ...state, revision: patch.revision };
  if (patch.phase !== undefined) next.phase = patch.phase;
  if (patch.detail !== undefined) next.detail = patch.detail;
  for (const kind of kinds) {
    const fresh = patch[kind];
    if (fresh || gone.size > 0) next[kind] = merged<{ readonly id: string }>(state[kind], fresh ?? [], gone);
  }
  return next as LabState;
}

/** Changed items stay where they were, so that lists do not jump. */
function merged<T extends { readonly id: string }>(items: readonly T[], fresh: readonly { readonly id: string }[], gone: ReadonlySet<string>): T[] {
  const byId = new Map<string, { readonly id: string }>(items.map((item) => [item.id, item]));
  for (const item of fresh) byId.set(item.id, item);
  for (const id of gone) byId.delete(id);
  return [...byId.values()] as T[];
}
