/**
 * Coverage-guided fuzzing of everything that reads what others wrote, and of the protocol's state machines.
 * usage: node test/fuzz/run.ts [--executions N] [--seed S] [--target PATTERN] [--write] [--json]
 * Executions (default 100,000, all targets together) are shared out by weight. `--write` puts the fewest inputs that pass every edge found into the
 * corpus. Exit code 1 when an input breaks a promise; the input is printed and, with `--write`, kept in the corpus for good.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { importInstrumented } from "./instrument.ts";

const { values } = parseArgs({
  options: {
    executions: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    target: { type: "string", default: "" },
    write: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const folder = join(import.meta.dirname, "corpus");

const { fuzz, targetList } = await importInstrumented<typeof import("./fuzz.ts")>(join(import.meta.dirname, "fuzz.ts"));
const wanted = targetList().filter(({ name }) => new RegExp(values.target).test(name));
if (wanted.length === 0) throw new Error(`no target matches "${values.target}"; there are ${targetList().map((t) => t.name).join(", ")}`);
const weights = wanted.reduce((sum, { weight }) => sum + weight, 0);

const rows = [];
for (const { name, weight } of wanted) {
  const executions = Math.ceil((Number(values.executions) * weight) / weights);
  const corpus = readCorpus(name);
  const result = fuzz(name, { seed: values.seed, executions, corpus, ...(process.stderr.isTTY ? { onProgress: (done: number) => process.stderr.write(`\r${name} ${done}  `) } : {}) });
  const { seconds, edges, features, failure, mostSteps } = result;
  rows.push({ target: name, executions: result.executions, seconds: Number(seconds.toFixed(1)), perSecond: Math.round(result.executions / seconds), edges, features, corpus: result.corpus.length, mostSteps });
  if (!values.json) console.table(rows.slice(-1));
  if (failure) {
    console.error(`${name}: input ${Buffer.from(failure.input).toString("base64") || "(empty)"}\n${failure.error}`);
    process.exitCode = 1;
  }
  if (values.write) writeCorpus(name, failure ? [...corpus, failure.input] : result.corpus);
}
const total = rows.reduce((sum, row) => ({ executions: sum.executions + row.executions, seconds: sum.seconds + row.seconds, edges: sum.edges + row.edges }), { executions: 0, seconds: 0, edges: 0 });
if (values.json) console.log(JSON.stringify({ seed: values.seed, total, targets: rows }));
else console.log(`${total.executions} executions, ${total.edges} edges, ${Math.round(total.seconds)} s, seed ${values.seed}`);

/** One input a line, in base64. */
function readCorpus(name: string): Uint8Array[] {
  const file = join(folder, `${name}.txt`);
  if (!existsSync(file)) return [];
  return readFileSync(file, "latin1").split("\n").slice(0, -1).map((line) => new Uint8Array(Buffer.from(line, "base64")));
}

function writeCorpus(name: string, inputs: readonly Uint8Array[]): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.txt`), inputs.map((input) => `${Buffer.from(input).toString("base64")}\n`).join(""));
}
