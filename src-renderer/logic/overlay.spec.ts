import { expect, it } from "vitest";
import type { RunSeries } from "../../src-shared/api/app/run.ts";
import { overlay } from "./overlay.ts";

const series = (binMs: number, ...rows: (number | null)[][]): RunSeries => ({ run: "r", binMs, clients: rows.map((mbit, i) => ({ name: `c${i}`, mbit })), handoffs: [] });

it("puts runs of different length and bins on one time axis", () => {
  const { series: names, data } = overlay([{ label: "A", series: series(100, [1, 2, 3, 4], [5, null]) }, { label: "B", series: series(200, [10, 20, 30]) }]);
  expect(names.map((each) => each.name)).toEqual(["A: c0", "A: c1", "B: c0"]);
  expect(data).toEqual([
    [0, 0.1, 0.2, 0.3, 0.4, 0.5],
    [1, 2, 3, 4, null, null],
    [5, null, null, null, null, null],
    [10, 10, 20, 20, 30, 30],
  ]);
  expect(overlay([])).toEqual({ series: [], data: [[]] });
});
