import { array, assert, double, property } from "fast-check";
import { expect, it } from "vitest";
import { spreadLabels } from "./spread-labels.ts";

it("leaves labels where they want to be when there is room", () => {
  expect(spreadLabels([20, 60, 90], 20, 0, 100)).toEqual([20, 60, 90]);
});

it("shares the inconvenience and stays inside", () => {
  expect(spreadLabels([50, 50], 20, 0, 100)).toEqual([40, 60]);
  expect(spreadLabels([0, 0, 0], 20, 0, 100)).toEqual([10, 30, 50]);
  expect(spreadLabels([100, 100], 20, 0, 100)).toEqual([70, 90]);
});

it("never lets two overlap, nor change places", () => {
  const any = array(double({ min: -50, max: 500, noNaN: true }), { maxLength: 30 });
  const holds = property(any, (values) => {
    const placed = spreadLabels(values.sort((a, b) => a - b), 18, 0, 450);
    expect(placed).toHaveLength(values.length);
    for (let i = 1; i < placed.length; i++) expect((placed[i] as number) - (placed[i - 1] as number)).toBeGreaterThanOrEqual(18 - 1e-6);
    expect(placed[0] ?? 9).toBeGreaterThanOrEqual(9 - 1e-6);
  });
  assert(holds, { numRuns: 500 });
});
