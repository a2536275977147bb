import { expect, it } from "vitest";
import { Rolling } from "./rolling.ts";

it("keeps rows as long as the times, whoever comes and goes", () => {
  const rolling = new Rolling(100_000);
  for (let i = 0; i < 500; i++) {
    rolling.add(i * 1000, new Map(i < 100 ? [["early", i]] : [["late", i]]));
    for (const row of rolling.columns(rolling.names)) expect(row).toHaveLength(rolling.columns([])[0]?.length ?? -1);
  }
  expect(rolling.names).toEqual(["late"]);
  expect(rolling.columns([])[0]?.length).toBeLessThan(170);
  expect(rolling.latest("late")).toBe(499);
  expect(rolling.columns(["nobody"])[1]?.every((value) => value === null)).toBe(true);
});
