import { expect, it } from "vitest";
import { nodeLook, nodeLooks } from "./node-look.ts";

it("gives 64 members 64 different pairs of colour and pattern, and different letters", () => {
  const looks = Array.from({ length: 64 }, (_, i) => nodeLook(i));
  expect(new Set(looks.map((look) => `${look.colour} ${look.pattern}`)).size).toBe(64);
  expect(new Set(looks.map((look) => look.letter)).size).toBe(64);
  expect([looks[0]?.letter, looks[25]?.letter, looks[26]?.letter, looks[52]?.letter]).toEqual(["A", "Z", "AA", "BA"]);
});

it("does not depend on the order in which members came", () => {
  expect([...nodeLooks(["b", "a", "c", "a"])]).toEqual([...nodeLooks(["c", "b", "a"])]);
});
