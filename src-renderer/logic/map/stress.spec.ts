import { expect, it } from "vitest";
import { placeByDistance, type Point } from "./stress.ts";

const gap = (a: Point | undefined, b: Point | undefined) => Math.hypot((a?.x ?? NaN) - (b?.x ?? NaN), (a?.y ?? NaN) - (b?.y ?? NaN));

it("finds a triangle and a line again from their distances alone", () => {
  for (const wanted of [[[0, 3, 4], [3, 0, 5], [4, 5, 0]], [[0, 1, 2], [1, 0, 1], [2, 1, 0]]]) {
    const points = placeByDistance(wanted, 2000);
    wanted.forEach((row, i) => row.forEach((d, j) => expect(gap(points[i], points[j])).toBeCloseTo(d, 1)));
  }
});

it("places anything: nothing, one, unknown distances, many in one spot", () => {
  expect(placeByDistance([])).toEqual([]);
  for (const wanted of [[[0]], [[0, 0], [0, 0]], Array.from({ length: 30 }, (_, i) => Array.from({ length: 30 }, (_, j) => (i === j ? 0 : 0.001)))]) {
    for (const point of placeByDistance(wanted)) expect(Number.isFinite(point.x) && Number.isFinite(point.y)).toBe(true);
  }
});

it("is the same every time, and wider than high", () => {
  const wanted = Array.from({ length: 12 }, (_, i) => Array.from({ length: 12 }, (_, j) => Math.abs(i - j) * 10 + ((i * j) % 5)));
  const points = placeByDistance(wanted);
  expect(placeByDistance(wanted)).toEqual(points);
  const extent = (pick: (p: Point) => number) => Math.max(...points.map(pick)) - Math.min(...points.map(pick));
  expect(extent((p) => p.x)).toBeGreaterThan(extent((p) => p.y));
});
