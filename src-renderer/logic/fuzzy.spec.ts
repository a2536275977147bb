import { expect, it } from "vitest";
import { fuzzyFind } from "./fuzzy.ts";

const commands = ["Go to Topology", "Go to Terminal", "Stop and restore all", "Start capture on all hosts", "Theme: dark", "Open terminal on tokyo"];
const find = (query: string) => fuzzyFind(query, commands, (c) => c);

it("finds by starts of words, by parts, and not at all", () => {
  expect(find("gt")[0]).toMatch(/^Go to T/);
  expect(find("stop")[0]).toBe("Stop and restore all");
  expect(find("term tok")[0]).toBe("Open terminal on tokyo");
  expect(find("dark")).toEqual(["Theme: dark"]);
  expect(find("zzz")).toEqual([]);
  expect(find("")).toEqual(commands);
});
