import { AppError } from "../../../src-shared/api/app/error.ts";
import type { AppEvent, AppEventName } from "../../../src-shared/api/app/events.ts";
import type { LabPatch, LabState, LabSummary } from "../../../src-shared/api/app/lab.ts";
import { labKinds, patched } from "../../../src-shared/api/app/lab-patch.ts";

/** Sends an event to every window. */
export type Emit = <N extends AppEventName>(name: N, payload: AppEvent<N>) => void;
type Kept = (typeof labKinds)[number];
type Item<K extends Kept> = LabState[K][number];

/** What windows are shown of the labs, by id. Every change goes through here, so that its patch goes out. */
export class LabStore {
  readonly #labs = new Map<string, LabState>();
  readonly #emit: Emit;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  has(id: string): boolean {
    return this.#labs.has(id);
  }

  /** Throws AppError `not-found`. */
  get(id: string): LabState {
    const lab = this.#labs.get(id);
    if (!lab) throw new AppError("not-found", `there is no lab "${id}"`, { remedy: "Choose another lab." });
    return lab;
  }

  all(): LabState[] {
    return [...this.#labs.values()];
  }

  list(): LabSummary[] {
    return this.all().map(({ id, name, kind, phase, detail, shipped, hosts }) => ({ id, name, kind, phase, detail, shipped, hosts: hosts.length }));
  }

  /** Puts a whole lab in place of what was there; windows that show it get all of it as one patch. */
  put(lab: LabState): void {
    const before = this.#labs.get(lab.id);
    if (!before) {
      this.#labs.set(lab.id, lab);
      return this.#emit("lab.list", this.list());
    }
    this.#labs.set(lab.id, { ...before, kind: lab.kind });
    const { sites, hosts, links, groups, clients, faults, captures, phase, detail } = lab;
    const idsOf = (state: LabState) => labKinds.flatMap((kind) => state[kind].map(({ id }) => id));
    const now = new Set(idsOf(lab));
    const gone = idsOf(before).filter((id) => !now.has(id));
    this.change(lab.id, { phase, detail, sites, hosts, links, groups, clients, faults, captures, gone });
  }

  remove(id: string): void {
    if (this.#labs.delete(id)) this.#emit("lab.list", this.list());
  }

  /** Throws AppError `not-found`. */
  item<K extends Kept>(lab: string, kind: K, id: string): Item<K> {
    const found = this.get(lab)[kind].find((each) => each.id === id);
    if (!found) throw new AppError("not-found", `there is no "${id}" in this lab`);
    return found as Item<K>;
  }

  /** Adds or replaces objects whole, removes those gone, and tells. */
  change(id: string, change: Omit<LabPatch, "lab" | "revision">): void {
    const lab = this.#labs.get(id);
    if (!lab) return; // taken away while something about it was under way
    const patch = { lab: id, revision: lab.revision + 1, ...change };
    this.#labs.set(id, patched(lab, patch));
    this.#emit("lab.patch", patch);
    if (change.phase || change.hosts || change.gone) this.#emit("lab.list", this.list());
  }
}

/** A lab of which nothing is known but its name. */
export function emptyLab(lab: Pick<LabState, "id" | "name" | "kind" | "phase" | "shipped"> & { readonly detail?: string | null }): LabState {
  return { detail: null, revision: 1, sites: [], hosts: [], links: [], groups: [], clients: [], faults: [], captures: [], ...lab };
}
