import type { LabPatch, LabState } from "./lab.ts";

/** What a lab has many of, each with an id. */
export const labKinds = ["sites", "hosts", "links", "groups", "clients", "faults", "captures"] as const;

/** The state that a patch makes of another: objects are added or replaced whole, and those gone are removed. */
export function patched(state: LabState, patch: LabPatch): LabState {
  const gone = new Set(patch.gone);
  const next: Record<string, unknown> = { ...state, revision: patch.revision };
  if (patch.phase !== undefined) next["phase"] = patch.phase;
  if (patch.detail !== undefined) next["detail"] = patch.detail;
  for (const kind of labKinds) {
    const fresh = patch[kind];
    if (fresh || gone.size > 0) next[kind] = merged(state[kind], fresh ?? [], gone);
  }
  return next as LabState;
}

/** Changed items stay where they were, so that lists do not jump. */
function merged(items: readonly { readonly id: string }[], fresh: readonly { readonly id: string }[], gone: ReadonlySet<string>): { readonly id: string }[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  for (const item of fresh) byId.set(item.id, item);
  for (const id of gone) byId.delete(id);
  return [...byId.values()];
}
