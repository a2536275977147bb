import { describe, expect, it } from "vitest";
import { bootstrapInterval } from "./bootstrap.ts";
import { mean, median, quantile, quantiles, standardDeviation } from "./quantile.ts";
import { seededRandom } from "./random.ts";

describe("quantiles", () => {
  // numpy.quantile([7, 1, 3, 10, 4], p), its default method.
  it("interpolate as NumPy and R do", () => {
    const values = [7, 1, 3, 10, 4];
    expect(quantiles(values, [0, 0.1, 0.25, 0.5, 0.9, 1])).toEqual([1, 1.8, 3, 4, 8.8, 10].map((v) => expect.closeTo(v, 12)));
    expect(median([4, 1])).toBe(2.5);
    expect(quantile([3], 0.99)).toBe(3);
  });

  it("leave their input alone and sort by value", () => {
    const values = [10, 9, 2, -1];
    expect(median(values)).toBe(5.5);
    expect(values).toEqual([10, 9, 2, -1]);
  });

  it("keep infinities out of interpolation", () => {
    expect(median([1, Infinity, Infinity])).toBe(Infinity);
    expect(quantile([1, 2, Infinity], 0.5)).toBe(2);
  });

  it("refuse nothing, not-a-number and p outside 0..1", () => {
    expect(() => median([])).toThrow(/no values/);
    expect(() => median([1, Number.NaN])).toThrow(/not a number/);
    expect(() => quantile([1], 1.1)).toThrow(/0..1/);
    expect(() => mean([])).toThrow(/no values/);
    expect(() => standardDeviation([1])).toThrow(/at least two/);
  });

  it("come with mean and sample deviation", () => {
    expect(mean([1, 2, 6])).toBe(3);
    expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 12);
  });
});

describe("bootstrap interval", () => {
  const values = Array.from({ length: 40 }, (_, i) => i);

  it("repeats itself for one seed, differs for another, and holds the statistic", () => {
    const interval = bootstrapInterval(values, median, { seed: "a" });
    expect(bootstrapInterval(values, median, { seed: "a" })).toEqual(interval);
    expect(bootstrapInterval(values, mean, { seed: "b" })).not.toEqual(bootstrapInterval(values, mean, { seed: "a" }));
    expect(interval.low).toBeLessThan(19.5);
    expect(interval.high).toBeGreaterThan(19.5);
  });

  it("covers the true mean about as often as it says", () => {
    const random = seededRandom("coverage");
    let held = 0;
    for (let trial = 0; trial < 200; trial++) {
      const sample = Array.from({ length: 30 }, () => random.normal());
      const { low, high } = bootstrapInterval(sample, mean, { seed: trial, confidence: 0.9, resamples: 300 });
      if (low <= 0 && high >= 0) held++;
    }
    expect(held / 200).toBeGreaterThan(0.8);
    expect(held / 200).toBeLessThan(0.97);
  });

  it("gets wider with confidence, and is a point for equal values", () => {
    const narrow = bootstrapInterval(values, mean, { seed: 1, confidence: 0.5 });
    const wide = bootstrapInterval(values, mean, { seed: 1, confidence: 0.99 });
    expect(wide.high - wide.low).toBeGreaterThan(narrow.high - narrow.low);
    expect(bootstrapInterval([3, 3, 3], median, { seed: 1 })).toEqual({ low: 3, high: 3 });
  });

  it("refuses nothing and impossible confidences", () => {
    expect(() => bootstrapInterval([], median, { seed: 1 })).toThrow(/no values/);
    expect(() => bootstrapInterval([1], median, { seed: 1, confidence: 95 })).toThrow(/between 0 and 1/);
  });
});

describe("seeded random", () => {
  it("repeats itself", () => {
    expect(seededRandom("x").bytes(16)).toEqual(seededRandom("x").bytes(16));
    expect(seededRandom("x").bytes(16)).not.toEqual(seededRandom("y").bytes(16));
    expect(seededRandom(7).next()).toBe(seededRandom("7").next());
  });

  it("gives forks that do not depend on how much the parent was used", () => {
    const used = seededRandom("x");
    used.bytes(100);
    expect(used.fork("loss").next()).toBe(seededRandom("x").fork("loss").next());
    expect(used.fork("loss").next()).not.toBe(used.fork("jitter").next());
  });

  it("is uniform, and normal, near enough", () => {
    const random = seededRandom("moments");
    const counts = Array.from({ length: 10 }, () => 0);
    for (let i = 0; i < 20_000; i++) {
      const cell = random.below(10);
      counts[cell] = (counts[cell] as number) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
    const normals = Array.from({ length: 20_000 }, () => random.normal());
    expect(Math.abs(mean(normals))).toBeLessThan(0.03);
    expect(Math.abs(standardDeviation(normals) - 1)).toBeLessThan(0.03);
  });
});
