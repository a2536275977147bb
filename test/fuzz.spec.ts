import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { instrumented } from "./fuzz/instrument.ts";

const run = join(import.meta.dirname, "fuzz/run.ts");
const corpus = join(import.meta.dirname, "fuzz/corpus");

/** A short run on top of the corpus; the long one is in fuzz/README.md. What carries the data is Linux's, so this is. */
describe.skipIf(process.platform !== "linux")("fuzzing", () => {
  it("finds nothing in the corpus and a little beyond", { timeout: 240_000 }, async () => {
    const child = spawn(process.execPath, [run, "--executions", "40000", "--least", "150", "--seed", "ci", "--json"], { stdio: ["ignore", "pipe", "pipe"] });
    const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
    expect(code, errors.slice(0, 4000)).toBe(0);
    const { total, targets } = JSON.parse(output) as { total: { executions: number }; targets: { target: string; executions: number; edges: number }[] };
    expect(total.executions).toBeGreaterThanOrEqual(40_000);
    // Inputs that lead nowhere would find nothing either.
    for (const { target, edges } of targets) expect(edges, target).toBeGreaterThan(5);
    const kept = existsSync(corpus) ? readdirSync(corpus).map((file) => file.replace(/\.txt$/, "")) : [];
    expect(targets.map(({ target }) => target)).toEqual(expect.arrayContaining(kept));
  });
});

describe("instrumentation", () => {
  it("changes nothing but what is counted", async () => {
    const source = `
      export function f(a: number | null, list: readonly number[]): string {
        let out = a === null ? "none" : a > 3 && a < 9 ? "some" : "many";
        for (const x of list) if (x === 2) continue; else out += (a ?? 5) + x;
        if (list.length > 2) if (a) out += "!";
        switch (list.length) { case 0: case 1: out += "short"; break; default: out += "long"; }
        try { if (a === 7) throw new Error("seven"); } catch { out += "7"; }
        const g = (n: number) => ({ n });
        do out += "."; while (out.length < 8);
        return out + g(1).n + ((b: number) => b + 1)(2);
      }`;
    const words = new Set<string>();
    const changed = instrumented(source, "x.ts", words);
    expect(changed.split("\n").length).toBe(source.split("\n").length);
    expect([...words]).toEqual(expect.arrayContaining(["number 9", "string seven"]));
    const load = async (code: string): Promise<{ f: (a: number | null, list: readonly number[]) => string }> => import(`data:text/javascript,${encodeURIComponent(stripped(code))}`);
    const plain = await load(source);
    const counted: number[] = [];
    (globalThis as unknown as { __edge: (site: number) => void }).__edge = (site) => void counted.push(site);
    const other = await load(changed);
    for (const a of [null, 0, 4, 7, 12]) for (const list of [[], [2], [1, 2, 3]]) expect(other.f(a, list)).toBe(plain.f(a, list));
    expect(new Set(counted).size).toBeGreaterThan(20);
  });
});

/** As plain JavaScript: the only types in it are written as these. */
function stripped(code: string): string {
  return code.replaceAll(/: (?:number \| null|readonly number\[\]|string|number)(?=[,) {])/g, "");
}
