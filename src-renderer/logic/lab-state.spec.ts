import { describe, expect, it } from "vitest";
import type { LabPatch, LabState } from "../../src-shared/api/app/lab.ts";
import { type KnownLab, nothingKnown, withPatch, withState } from "./lab-state.ts";

const state = (revision: number, names: string[]): LabState => ({
  id: "a", name: "a", kind: "local", phase: "up", detail: null, shipped: true, revision,
  sites: names.map((id) => ({ id, name: id })), hosts: [], links: [], groups: [], clients: [], faults: [], captures: [],
});
const patch = (revision: number, change: Partial<LabPatch>): LabPatch => ({ lab: "a", revision, ...change });
const sites = (known: KnownLab) => known.state?.sites.map((site) => `${site.id}=${site.name}`);

describe("the open lab", () => {
  it("replaces, adds and removes whole objects, and keeps the order of what stays", () => {
    let known = withState(nothingKnown, state(1, ["x", "y", "z"]));
    known = withPatch(known, patch(2, { sites: [{ id: "y", name: "Y" }, { id: "n", name: "new" }], gone: ["x"] }));
    expect(sites(known)).toEqual(["y=Y", "z=z", "n=new"]);
    expect(known.state?.revision).toBe(2);
  });

  it("does not apply a patch that the state already holds", () => {
    let known = withPatch(nothingKnown, patch(2, { sites: [{ id: "x", name: "old" }] }));
    known = withPatch(known, patch(4, { sites: [{ id: "y", name: "newer" }] }));
    known = withState(known, state(3, ["x", "y"]));
    expect(sites(known)).toEqual(["x=x", "y=newer"]);
    expect(withPatch(known, patch(4, { gone: ["x"] }))).toBe(known);
  });

  it("ignores patches of another lab", () => {
    const known = withState(nothingKnown, state(1, ["x"]));
    expect(withPatch(known, { ...patch(9, { gone: ["x"] }), lab: "b" })).toBe(known);
    expect(sites(withState(withPatch(nothingKnown, { ...patch(9, { gone: ["x"] }), lab: "b" }), state(1, ["x"])))).toEqual(["x=x"]);
  });

  it("leaves what a patch does not mention the same object, so that nothing is drawn anew", () => {
    const known = withState(nothingKnown, state(1, ["x"]));
    const next = withPatch(known, patch(2, { hosts: [] }));
    expect(next.state?.sites).toBe(known.state?.sites);
  });
});
