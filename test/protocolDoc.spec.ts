import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { brokenRules } from "./broken/rules.ts";

const root = resolve(import.meta.dirname, "..");
const text = readFileSync(join(root, "docs/protocol.md"), "utf8");
const table = text.slice(text.indexOf("## RFC section, rule, file, test"), text.indexOf("## Choices within the RFCs"));
/** Rows of four cells; headings and rules left out. */
const rows = table
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| § |"))
  .map((line) => line.slice(2, -2).split(" | ") as [section: string, rule: string, files: string, tests: string]);

const pathOf = (name: string) => (/^(src-|test)/.test(name) ? name : `src-shared/protocol/${name}`);
const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);

/** A file with words of one of its tests' names. */
function isThere(reference: string): boolean {
  const [file, words] = reference.split(/: (.*)/s) as [string, string];
  const path = join(root, pathOf(file));
  return existsSync(path) && readFileSync(path, "utf8").includes(words);
}

describe("docs/protocol.md", () => {
  it("has rows of four cells", () => {
    expect(rows.length).toBeGreaterThan(50);
    expect(rows.filter((row) => row.length !== 4)).toEqual([]);
  });

  it("names only files that exist", () => {
    const files = rows.flatMap(([, , cell]) => quoted(cell)).filter((name) => name.includes(".ts"));
    expect(files.length).toBeGreaterThan(50);
    expect(files.filter((name) => !existsSync(join(root, pathOf(name))))).toEqual([]);
  });

  it("names only tests that exist", () => {
    expect(rows.flatMap(([, , , cell]) => quoted(cell)).filter((reference) => !isThere(reference))).toEqual([]);
  });

  it("and docs/limits.md name only tests that exist", () => {
    const limits = readFileSync(join(root, "docs/limits.md"), "utf8").split("\n").filter((line) => line.startsWith("| ")).map((line) => line.slice(2, -2).split(" | "));
    const references = limits.filter((row) => row.length === 4).flatMap((row) => quoted(row[3] as string));
    expect(references.length).toBeGreaterThan(10);
    expect(references.filter((reference) => !isThere(reference))).toEqual([]);
  });

  it("has rules that can be broken: the text of each edit occurs once", () => {
    const lost = brokenRules.filter(({ file, from }) => readFileSync(join(root, file), "utf8").split(from).length !== 2);
    expect(lost.map(({ rule, file }) => `${rule}: ${file}`)).toEqual([]);
  });

  it("gives every rule a file or says that there is none", () => {
    expect(rows.filter(([, , files]) => !/`|–/.test(files)).map(([, rule]) => rule)).toEqual([]);
  });
});
