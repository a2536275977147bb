import { expect, it } from "vitest";
import { Ring } from "./ring.ts";

it("keeps the newest in order, and never more than twice its capacity inside", () => {
  const ring = new Ring<number>(5);
  for (let i = 0; i < 100; i++) {
    ring.add([i]);
    expect(ring.list()).toEqual(Array.from({ length: Math.min(5, i + 1) }, (_, k) => i - Math.min(4, i) + k));
  }
  expect(ring.list(2)).toEqual([98, 99]);
  expect(ring.total).toBe(100);
  const held = ring.list();
  ring.add([100]);
  expect(held).toEqual([95, 96, 97, 98, 99]);
});
