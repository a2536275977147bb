import { describe, expect, it } from "vitest";
import { CREDIT_BYTES, earn, newAnswering, spend } from "./answers.ts";

describe("answers to refused packets", () => {
  it("have a rate", () => {
    let state = newAnswering(0, { perSecond: 10, burst: 5 });
    const sent = (now: number): boolean => {
      const step = spend(earn(state, 1_000), 100, now);
      state = step.state;
      return step.allowed;
    };
    expect(Array.from({ length: 8 }, () => sent(0))).toEqual([true, true, true, true, true, false, false, false]);
    expect([sent(50), sent(100), sent(101)]).toEqual([false, true, false]);
  });

  it("never bring more bytes than came in, but for what a node starts with", () => {
    let state = newAnswering(0, { perSecond: 1e9, burst: 1e9 });
    let [received, answered] = [0, 0];
    for (let i = 0; i < 20_000; i++) {
      const length = 48 + (i % 7) * 40;
      state = earn(state, length);
      received += length;
      const step = spend(state, length + 48, i);
      state = step.state;
      if (step.allowed) answered += length + 48;
      expect(answered).toBeLessThanOrEqual(received + CREDIT_BYTES);
    }
    // Most of them are answered all the same.
    expect(answered).toBeGreaterThan(received * 0.9);
  });

  it("leave no credit to save up for later", () => {
    let state = newAnswering(0, { perSecond: 1e9, burst: 1e9 });
    for (let i = 0; i < 1_000; i++) state = earn(state, 1_280);
    let answers = 0;
    for (let step = spend(state, 1_280, 1); step.allowed; step = spend(step.state, 1_280, 1)) answers++;
    expect(answers).toBe(Math.floor(CREDIT_BYTES / 1_280));
  });
});
