import { expect, it } from "vitest";
import { Wakes } from "./wakes.ts";

it("wakes in order of time, by the latest word of each entry", () => {
  const wakes = new Wakes();
  const expected = new Map<string, number>();
  let seed = 7;
  const next = (n: number): number => (seed = (seed * 48271) % 0x7fffffff) % n;
  for (let i = 0; i < 3000; i++) {
    const key = `k${next(200)}`;
    if (next(5) === 0) {
      wakes.set(key, undefined);
      expected.delete(key);
    } else {
      const at = next(100_000);
      wakes.set(key, at);
      expected.set(key, at);
    }
  }
  const woken: number[] = [];
  for (let key = wakes.take(Infinity); key !== null; key = wakes.take(Infinity)) {
    woken.push(expected.get(key) ?? -1);
    expected.delete(key);
  }
  expect(expected.size).toBe(0);
  expect(woken).toEqual([...woken].sort((a, b) => a - b));
  expect(woken).not.toContain(-1);
});

it("keeps what is not due yet", () => {
  const wakes = new Wakes();
  wakes.set("a", 10);
  expect(wakes.take(9)).toBeNull();
  expect(wakes.next()).toBe(10);
  expect(wakes.take(10)).toBe("a");
  expect(wakes.next()).toBeNull();
});

it("keeps few times that nobody waits for any more, however far off they are", () => {
  const wakes = new Wakes();
  wakes.set("kept", 500_000);
  for (let i = 0; i < 5_000; i++) {
    wakes.set(`k${i}`, 1_000_000 - i);
    wakes.set(`k${i}`, i % 2 === 0 ? undefined : 2_000_000 + i);
    if (i % 2 === 1 && i > 200) wakes.set(`k${i - 200}`, undefined);
  }
  expect(wakes.size).toBeLessThan(700);
  expect(wakes.take(500_000)).toBe("kept");
  expect(wakes.next()).toBe(2_000_000 + 4_801);
});
