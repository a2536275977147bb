/**
 * Coverage-guided fuzzing of everything that reads what others wrote, and of the protocol's state machines.
 * usage: node test/fuzz/run.ts [--executions N] [--seed S] [--target PATTERN] [--jobs N] [--least N] [--write] [--json]
 * Executions (default 100,000, all targets together) are shared out by weight, targets among `--jobs` processes (default 1): neither changes what a
 * target finds. No target has fewer than `--least`. `--write` puts the fewest inputs that pass every edge found into the
 * corpus. Exit code 1 when an input breaks a promise; the input is printed and, with `--write`, kept in the corpus for good.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { targetList } from "./fuzz.ts";
import { importInstrumented } from "./instrument.ts";

const { values } = parseArgs({
  options: {
    executions: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    target: { type: "string", default: "" },
    write: { type: "boolean", default: false },
    least: { type: "string", default: "0" },
    jobs: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
});
const folder = join(import.meta.dirname, "corpus");

interface Row {
  readonly target: string;
  readonly executions: number;
  readonly seconds: number;
  readonly edges: number;
}

const wanted = targetList().filter(({ name }) => new RegExp(values.target).test(name));
if (wanted.length === 0) throw new Error(`no target matches "${values.target}"; there are ${targetList().map((t) => t.name).join(", ")}`);
const weightOf = (some: typeof wanted): number => some.reduce((sum, { weight }) => sum + weight, 0);
const share = (some: typeof wanted): number => Math.ceil((Number(values.executions) * weightOf(some)) / weightOf(wanted));

const started = performance.now();
const rows = Number(values.jobs) > 1 ? await inProcesses(Number(values.jobs)) : await here();
const seconds = Math.round((performance.now() - started) / 1000);
const total = { executions: sumOf(rows, "executions"), edges: sumOf(rows, "edges"), seconds };
if (values.json) console.log(JSON.stringify({ seed: values.seed, total, targets: rows }));
else {
  console.table(rows);
  console.log(`${total.executions} executions, ${total.edges} edges, ${total.seconds} s, seed ${values.seed}`);
}

function sumOf(some: readonly Row[], key: "executions" | "edges"): number {
  return some.reduce((sum, row) => sum + row[key], 0);
}

/** One target after the other, in this process. */
async function here(): Promise<Row[]> {
  const { fuzz } = await importInstrumented<typeof import("./fuzz.ts")>(join(import.meta.dirname, "fuzz.ts"));
  return wanted.map((target) => {
    const { name } = target;
    const corpus = readCorpus(name);
    const onProgress = (done: number): void => void process.stderr.write(`\r${name} ${done}  `);
    const result = fuzz(name, { seed: values.seed, executions: Math.max(share([target]), Number(values.least)), corpus, ...(process.stderr.isTTY && { onProgress }) });
    const { executions, edges, features, failure, mostSteps } = result;
    if (failure) {
      console.error(`${name}: input ${Buffer.from(failure.input).toString("base64") || "(empty)"}\n${failure.error}`);
      process.exitCode = 1;
    }
    if (values.write) writeCorpus(name, failure ? [...corpus, failure.input] : result.corpus);
    return { target: name, executions, seconds: Number(result.seconds.toFixed(1)), perSecond: Math.round(executions / result.seconds), edges, features, corpus: result.corpus.length, mostSteps };
  });
}

/** The targets dealt out to processes of their own. */
async function inProcesses(count: number): Promise<Row[]> {
  const hands = Array.from({ length: count }, (_, i) => wanted.filter((__, j) => j % count === i)).filter((hand) => hand.length > 0);
  const found = await Promise.all(
    hands.map(async (hand) => {
      const pattern = `^(${hand.map(({ name }) => name).join("|")})$`;
      const words = ["--target", pattern, "--executions", String(share(hand)), "--seed", values.seed, "--least", values.least, "--json", ...(values.write ? ["--write"] : [])];
      const child = spawn(process.execPath, [import.meta.filename, ...words], { stdio: ["ignore", "pipe", "inherit"] });
      const [output, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
      if (code !== 0) process.exitCode = 1;
      return output ? (JSON.parse(output) as { targets: Row[] }).targets : [];
    }),
  );
  return found.flat();
}

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
