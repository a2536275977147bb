import { describe, expect, it } from "vitest";
import { path } from "../../src-shared/api/lab.ts";
import type { LabPlan, Links } from "../../src-shared/api/labPlan.ts";
import { linkTable as schema } from "../../src-shared/api/linkemu.ts";
import { parseLab } from "./labFile.ts";
import { applySettings, linkStatus, linkTable, settingOf } from "./links.ts";

const plan: LabPlan = parseLab(
  "name: l\nsites: { a: {}, b: {} }\npaths: [{ between: [a, b], delay: 10 ms }]\nhosts:\n  x: { site: a }\n  y: { site: b }\n  z: { site: b }\n",
  "l.yaml",
);
const set = (links: Links, from: string, to: string, change: object, bothWays = false) => applySettings(plan, links, [{ link: { from, to }, bothWays, change }]);
/** The one-way delay from one host to another that the emulator is told. */
const delay = (links: Links, from: number, to: number) => {
  const table = schema.parse(linkTable(plan, links));
  return table.access[from]!.egress.delayMs + table.paths[table.pathOf[from]![to]!]!.quality.delayMs + table.access[to]!.ingress.delayMs;
};
const changed = (links: Links) => linkStatus(plan, links).filter((link) => link.changed).map(({ kind, from, to }) => `${kind} ${from} ${to}`);

describe("links", () => {
  it("are as the file says until they are set", () => {
    expect([delay(plan.links, 0, 1), delay(plan.links, 1, 0), delay(plan.links, 1, 2)]).toEqual([10, 10, 0]);
    expect(changed(plan.links)).toEqual([]);
  });

  it("between sites change for all their hosts, in the direction that was named", () => {
    const links = set(plan.links, "a", "b", { delayMs: 50 });
    expect([delay(links, 0, 1), delay(links, 0, 2), delay(links, 1, 0)]).toEqual([50, 50, 10]);
    expect(changed(links)).toEqual(["path a b"]);
    expect(changed(set(plan.links, "a", "b", { delayMs: 50 }, true))).toEqual(["path a b", "path b a"]);
  });

  it("between hosts leave their sites' path, with what it was", () => {
    const lossy = set(plan.links, "a", "b", { loss: 0.5 });
    const links = set(lossy, "x", "y", { delayMs: 7 });
    expect([delay(links, 0, 1), delay(links, 0, 2)]).toEqual([7, 10]);
    expect(links.pairs["x>y"]).toMatchObject({ loss: 0.5, delayMs: 7 });
    const later = set(links, "x", "y", { rate: 1e6 });
    expect(later.pairs["x>y"]).toMatchObject({ delayMs: 7, rate: 1e6 });
    expect(linkTable(plan, later).paths.map((p) => p.name)).toEqual(["a>a", "host x>y", "a>b", "b>a", "b>b"]);
  });

  it("of access change for all that a host sends or receives", () => {
    const egress = set(plan.links, "y", "*", { delayMs: 3 });
    expect([delay(egress, 1, 0), delay(egress, 1, 2), delay(egress, 0, 1)]).toEqual([13, 3, 10]);
    const ingress = set(plan.links, "*", "y", { delayMs: 3 });
    expect([delay(ingress, 1, 0), delay(ingress, 2, 1), delay(ingress, 0, 1)]).toEqual([10, 3, 13]);
  });

  it("change all together or not at all", () => {
    expect(() => applySettings(plan, plan.links, [{ link: { from: "x", to: "y" }, bothWays: true, change: { up: false } }, { link: { from: "x", to: "q" }, bothWays: true, change: {} }])).toThrow(/no host or site q/);
    expect(delay(plan.links, 0, 1)).toBe(10);
    expect(() => set(plan.links, "x", "b", {})).toThrow(/from x to b: one is a host, the other a site/);
    expect(() => set(plan.links, "*", "*", {})).toThrow(/one is the network, the other the network/);
    expect(() => set(plan.links, "a", "*", {})).toThrow(/one is a site, the other the network/);
  });

  it("are set as path entries of files say", () => {
    expect(settingOf(path.parse({ between: ["x", "y"], delay: "7 ms", loss: "1 %" }))).toEqual({ link: { from: "x", to: "y" }, bothWays: true, change: { delayMs: 7, loss: 0.01 } });
    expect(settingOf(path.parse({ from: "x", to: "*", rate: "1 Mbit/s", queue: "10 ms", up: false }))).toEqual({ link: { from: "x", to: "*" }, bothWays: false, change: { rate: 1e6, queue: { ms: 10 }, up: false } });
  });
});
