import { expect, it } from "vitest";
import { fitView, leastZoom, mostZoom, moveBetween, panned, zoomedAt } from "./view.ts";

const bounds = { x: 100, y: -50, width: 800, height: 300 };

it("shows all of the bounds, in the middle", () => {
  const view = fitView(bounds, { width: 400, height: 400 });
  const left = (bounds.x - bounds.width / 2) * view.zoom + view.x;
  const right = (bounds.x + bounds.width / 2) * view.zoom + view.x;
  expect(left).toBeGreaterThan(0);
  expect(right).toBeLessThan(400);
  expect(left + right).toBeCloseTo(400);
});

it("keeps what is under the pointer there while it zooms, within limits", () => {
  let view = fitView(bounds, { width: 400, height: 400 });
  const at = { x: 321, y: 77 };
  const under = () => ({ x: (at.x - view.x) / view.zoom, y: (at.y - view.y) / view.zoom });
  const before = under();
  for (const factor of [1.3, 0.2, 100, 0.00001, 7]) {
    view = zoomedAt(view, factor, at);
    expect(under().x).toBeCloseTo(before.x, 6);
    expect(view.zoom).toBeLessThanOrEqual(mostZoom);
    expect(view.zoom).toBeGreaterThanOrEqual(leastZoom);
  }
  expect(panned(view, 3, 4).x - view.x).toBeCloseTo(3);
});

it("shifts a drawing to where a fresh one would lie", () => {
  const [from, to] = [{ x: 12, y: -5, zoom: 0.7 }, { x: -340, y: 88, zoom: 1.9 }];
  const move = moveBetween(from, to);
  const point = { x: 431, y: -77 };
  const drawn = { x: point.x * from.zoom + from.x, y: point.y * from.zoom + from.y };
  expect(drawn.x * move.zoom + move.x).toBeCloseTo(point.x * to.zoom + to.x, 6);
  expect(drawn.y * move.zoom + move.y).toBeCloseTo(point.y * to.zoom + to.y, 6);
  expect(moveBetween(from, from)).toEqual({ x: 0, y: 0, zoom: 1 });
});
