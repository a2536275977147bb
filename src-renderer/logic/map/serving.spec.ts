import { expect, it } from "vitest";
import { memoryOptions } from "../../backend/memory/options.ts";
import { buildLab } from "../../backend/memory/world.ts";
import { layOut } from "./layout.ts";
import { alongCurve, servingBands } from "./serving.ts";

it("draws a line per client while there are few, and leaves nobody out", () => {
  const lab = buildLab(memoryOptions("ready"));
  const bands = servingBands(lab.clients, layOut(lab));
  expect(bands.map((band) => band.from).sort()).toEqual(lab.clients.map((client) => client.id).sort());
});

it("takes many clients together by site and member, without those beside their member, who serve themselves", () => {
  const lab = buildLab(memoryOptions("big"));
  const bands = servingBands(lab.clients, layOut(lab));
  const siteOf = new Map(lab.hosts.map((host) => [host.id, host.site]));
  const apart = new Set(lab.clients.filter((client) => siteOf.get(client.servedBy ?? "") !== client.site).map((client) => `${client.site} ${client.servedBy}`));
  expect(new Set(bands.map((band) => band.id))).toEqual(apart);
});

it("leads along the line from one end to the other, or as far as it is told", () => {
  const points = alongCurve({ x: 0, y: 0 }, { x: 100, y: 0 }, 10);
  expect([points[0], points.at(-1)]).toEqual([{ x: 0, y: 0 }, { x: 100, y: 0 }]);
  expect(points).toHaveLength(11);
  expect(points[5]?.y).toBeCloseTo(7);
  expect(alongCurve({ x: 0, y: 0 }, { x: 100, y: 0 }, 10, 0.5).at(-1)?.x).toBeCloseTo(50);
});
