import { describe, expect, it } from "vitest";
import { budgets, type BudgetMode } from "./budget.ts";
import { coefficients, paperCoefficients, predict } from "./predict.ts";

const latencies = { KH: 3, HC: 7, DA: 11, AC: 20, KA: 11, DC: 13 };

describe("time budget", () => {
  it("of full is 2(L_KH + L_HC) + L_DA + 4 L_AC, step by step", () => {
    expect(predict("full", latencies)).toEqual({
      totalMs: 2 * (3 + 7) + 11 + 4 * 20,
      steps: [
        { name: "return routability, home", predictedMs: 20 },
        { name: "state and home token to acceptor", predictedMs: 11 },
        { name: "return routability, care-of", predictedMs: 40 },
        { name: "binding update and acknowledgement", predictedMs: 40 },
      ],
    });
  });

  it("of prepared leaves the home test out", () => {
    expect(predict("prepared", { DA: 11, AC: 20 }).totalMs).toBe(11 + 80);
    expect(predict("prepared", { DA: 11, AC: 20 }).steps.map((s) => s.name)).toEqual(["state and home token to acceptor", "return routability, care-of", "binding update and acknowledgement"]);
  });

  it("adds the hop from contact to donor where the decision falls elsewhere", () => {
    expect(predict("full", { ...latencies, KD: 5 }).totalMs - predict("full", latencies).totalMs).toBe(5);
    expect(predict("prepared", { ...latencies, KD: 5 }).totalMs).toBe(predict("prepared", latencies).totalMs);
  });

  it("of parallel takes the longer of the two tests", () => {
    expect(predict("parallel", { KH: 3, HC: 7, DA: 11, AC: 1 }).totalMs).toBe(20 + 11 + 2);
    expect(predict("parallel", { KH: 3, HC: 7, DA: 11, AC: 20 }).totalMs).toBe(51 + 11 + 40);
  });

  it("of the other modes is as in the table", () => {
    expect(predict("cached", latencies).totalMs).toBe(11 + 40);
    expect(predict("early", latencies).totalMs).toBe(11);
    expect(predict("donor-bu", latencies).totalMs).toBe(11);
    expect(predict("planned", {})).toEqual({ totalMs: 0, steps: [] });
  });

  it("gives the paper's two sums as special cases", () => {
    expect(paperCoefficients("full")).toEqual({ CS: 6, SS: 3 });
    expect(paperCoefficients("prepared")).toEqual({ CS: 4, SS: 1 });
    expect(paperCoefficients("cached")).toEqual({ CS: 2, SS: 1 });
    expect(paperCoefficients("parallel")).toBeNull();
  });

  it("names what a regression must find", () => {
    expect(coefficients("full")).toMatchObject({ KH: 2, HC: 2, DA: 1, AC: 4 });
    expect(coefficients("prepared")).toMatchObject({ KH: 0, HC: 0, DA: 1, AC: 4 });
  });

  it("has steps that add up to the total in every mode", () => {
    for (const mode of Object.keys(budgets) as BudgetMode[]) {
      const { totalMs, steps } = predict(mode, latencies);
      expect({ mode, sum: steps.reduce((sum, s) => sum + s.predictedMs, 0) }).toEqual({ mode, sum: totalMs });
    }
  });

  it("says which latency is missing or impossible", () => {
    expect(() => predict("prepared", { DA: 1 })).toThrow(/"prepared" needs the one-way latency AC/);
    expect(() => predict("prepared", { DA: -1, AC: 2 })).toThrow(/DA in ms, 0 or more; got -1/);
    expect(() => predict("prepared", { DA: Number.NaN, AC: 2 })).toThrow(/DA/);
  });
});
