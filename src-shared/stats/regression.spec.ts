import { describe, expect, it } from "vitest";
import { seededRandom } from "./random.ts";
import { leastSquares, type Observation } from "./regression.ts";

/** Longley's data (J. Am. Stat. Assoc. 62, 1967), nearly collinear on purpose, with the values that NIST certifies (Statistical Reference Datasets). */
const longley = `60323 83.0 234289 2356 1590 107608 1947
61122 88.5 259426 2325 1456 108632 1948
60171 88.2 258054 3682 1616 109773 1949
61187 89.5 284599 3351 1650 110929 1950
63221 96.2 328975 2099 3099 112075 1951
63639 98.1 346999 1932 3594 113270 1952
64989 99.0 365385 1870 3547 115094 1953
63761 100.0 363112 3578 3350 116219 1954
66019 101.2 397469 2904 3048 117388 1955
67857 104.6 419180 2822 2857 118734 1956
68169 108.4 442769 2936 2798 120445 1957
66513 110.8 444546 4681 2637 121950 1958
68655 112.6 482704 3813 2552 123366 1959
69564 114.2 502601 3931 2514 125368 1960
69331 115.7 518173 4806 2572 127852 1961
70551 116.9 554894 4007 2827 130081 1962`;

const certified = {
  intercept: [-3482258.63459582, 890420.383607373],
  deflator: [15.0618722713733, 84.9149257747669],
  product: [-0.0358191792925910, 0.0334910077722432],
  unemployed: [-2.02022980381683, 0.488399681651699],
  forces: [-1.03322686717359, 0.214274163161675],
  population: [-0.0511041056535807, 0.226073200069370],
  year: [1829.15146461355, 455.478499142212],
} as const;

describe("least squares", () => {
  it("reaches the certified values for Longley's data", () => {
    const observations: Observation[] = longley.split("\n").map((line) => {
      const [y, deflator, product, unemployed, forces, population, year] = line.split(" ").map(Number) as [number, number, number, number, number, number, number];
      return { y, terms: { deflator, product, unemployed, forces, population, year } };
    });
    const fit = leastSquares(observations);
    const close = (value: number, wanted: number) => expect(Math.abs(value / wanted - 1)).toBeLessThan(1e-8);
    const { intercept, ...terms } = certified;
    close(fit.intercept, intercept[0]);
    close(fit.interceptError, intercept[1]);
    for (const [name, [value, error]] of Object.entries(terms)) {
      close(fit.coefficients[name] as number, value);
      close(fit.standardErrors[name] as number, error);
    }
    close(fit.r2, 0.995479004577296);
  });

  it("finds what made noisy data, within its own standard errors, and leaves residuals that add up to nothing", () => {
    const random = seededRandom("regression");
    const observations = Array.from({ length: 400 }, () => {
      const terms = { KH: 5 + random.below(60), DA: 2 + random.below(60), AC: 5 + random.below(60) };
      return { terms, y: 1.5 + 2 * terms.KH + terms.DA + 4 * terms.AC + random.normal() };
    });
    const fit = leastSquares(observations);
    for (const [name, wanted] of Object.entries({ KH: 2, DA: 1, AC: 4 })) {
      expect(Math.abs((fit.coefficients[name] as number) - wanted)).toBeLessThan(4 * (fit.standardErrors[name] as number));
    }
    expect(fit.standardErrors.AC).toBeLessThan(0.01);
    expect(Math.abs(fit.residuals.reduce((sum, e) => sum + e, 0))).toBeLessThan(1e-6);
    expect(fit.n).toBe(400);
  });

  it("fits exactly determined data exactly, and knows no error then", () => {
    const fit = leastSquares([{ terms: { x: 1 }, y: 5 }, { terms: { x: 3 }, y: 9 }]);
    expect(fit.coefficients.x).toBeCloseTo(2, 12);
    expect(fit.intercept).toBeCloseTo(3, 12);
    expect(fit.standardErrors.x).toBeNaN();
  });

  it("calls data without variance explained when nothing is left, and not when something is", () => {
    expect(leastSquares([1, 2, 3].map((x) => ({ terms: { x }, y: 4 }))).r2).toBe(1);
  });

  it("says what the experiment cannot tell apart", () => {
    const twice = [1, 2, 3, 4].map((a) => ({ terms: { a, b: 2 * a }, y: a }));
    expect(() => leastSquares(twice)).toThrow(/b follows from the other terms/);
    const still = [1, 2, 3].map((a) => ({ terms: { a, b: 7 }, y: a }));
    expect(() => leastSquares(still)).toThrow(/b follows from the other terms/);
  });

  it("refuses too few observations and missing values", () => {
    expect(() => leastSquares([{ terms: { a: 1, b: 2 }, y: 3 }])).toThrow(/1 observations cannot determine 3 unknowns/);
    expect(() => leastSquares([])).toThrow(/0 observations/);
    expect(() => leastSquares([{ terms: { a: 1 }, y: 3 }, { terms: {}, y: 1 }])).toThrow(/observation 1 has no usable value for a/);
    expect(() => leastSquares([{ terms: { a: 1 }, y: 3 }, { terms: { a: 2 }, y: Number.NaN }])).toThrow(/observation 1/);
  });
});
