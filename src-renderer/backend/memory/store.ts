import type { AppEvent, AppEventName } from "../../../src-shared/api/app/events.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { LabPatch, LabState, LabSummary } from "../../../src-shared/api/app/lab.ts";
import { patched, type labKinds } from "../../../src-shared/api/app/lab-patch.ts";

export type Emit = <N extends AppEventName>(name: N, payload: AppEvent<N>) => void;
type Kept = (typeof labKinds)[number];
type Item<K extends Kept> = LabState[K][number];

/** The labs by id. Every change goes through here, so that its patch goes out. */
export class LabStore {
  readonly #labs = new Map<string, LabState>();
  readonly #emit: Emit;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  get(id: string): LabState {
    const lab = this.#labs.get(id);
    if (!lab) throw new AppError("not-found", `there is no lab "${id}"`, { remedy: "Choose another lab." });
    return lab;
  }

  list(): LabSummary[] {
    return [...this.#labs.values()].map(({ id, name, kind, phase, detail, shipped, hosts }) => ({ id, name, kind, phase, detail, shipped, hosts: hosts.length }));
  }

  /** Puts a whole lab in place of what was there. */
  put(lab: LabState): void {
    this.#labs.set(lab.id, lab);
    this.#emit("lab.list", this.list());
  }

  item<K extends Kept>(lab: string, kind: K, id: string): Item<K> {
    const found = this.get(lab)[kind].find((each) => each.id === id);
    if (!found) throw new AppError("not-found", `there is no "${id}" in this lab`);
    return found as Item<K>;
  }

  /** Adds or replaces objects whole, removes those gone, and tells. */
  change(id: string, change: Omit<LabPatch, "lab" | "revision">): void {
    const lab = this.get(id);
    const patch = { lab: id, revision: lab.revision + 1, ...change };
    this.#labs.set(id, patched(lab, patch));
    this.#emit("lab.patch", patch);
    if (change.phase || change.hosts || change.gone) this.#emit("lab.list", this.list());
  }
}
