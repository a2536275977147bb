import { expect, it } from "vitest";
import { visibleRows } from "./rows.ts";

it("draws what is seen and a little more, and nothing outside of what there is", () => {
  expect(visibleRows(1000, 20, 0, 400)).toEqual({ first: 0, last: 28 });
  expect(visibleRows(1000, 20, 10_000, 400)).toEqual({ first: 492, last: 528 });
  expect(visibleRows(10, 20, 99_999, 400)).toEqual({ first: 10, last: 10 });
  expect(visibleRows(0, 20, 0, 400)).toEqual({ first: 0, last: 0 });
});
