import { describe, expect, it } from "vitest";
import { Drops, otherReasons } from "./drops.ts";

describe("drops", () => {
  it("are counted under a bounded number of reasons", () => {
    const drops = new Drops(() => {}, () => 0);
    for (let i = 0; i < 10_000; i++) drops.add(`reason ${i}`);
    expect(Object.keys(drops.counts()).length).toBe(201);
    expect(drops.counts()[otherReasons]).toBe(9_800);
  });

  it("call a handoff by any name the same", () => {
    const drops = new Drops(() => {}, () => 0);
    for (let i = 0; i < 3; i++) drops.add(`handoff h${i} is not known here`);
    drops.add("about a handoff that is not b's");
    expect(drops.counts()).toEqual({ "a handoff is not known here": 3, "about a handoff that is not b's": 1 });
  });
});

describe("drops counted elsewhere", () => {
  it("are told when they have grown, at most once a second each", () => {
    const told: unknown[] = [];
    let now = 0;
    const drops = new Drops((event) => told.push(event), () => now);
    drops.report("a", 0, "data plane");
    drops.report("a", 3, "data plane");
    drops.report("a", 4, "data plane");
    now = 1000;
    drops.report("a", 4, "data plane");
    drops.report("a", 4, "data plane");
    now = 2000;
    drops.report("a", 4, "data plane");
    expect(told).toEqual([3, 4].map((count) => ({ type: "drop", reason: "a", count, sample: "data plane" })));
  });
});
