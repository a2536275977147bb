/**
 * Breaks each rule in rules.ts, one at a time, in a copy of the sources, and runs the unit tests of the protocol: every time something must go red.
 * `node test/broken/run.ts [PATTERN]` (a regular expression for the rules' names). Prints which test caught what; exit code 1 when a rule was broken unnoticed.
 * Without a pattern, what was found is written to docs/broken-rules.md.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { brokenRules, type BrokenRule } from "./rules.ts";

const root = resolve(import.meta.dirname, "../..");
const allTests = ["src-shared/protocol/core", "src-shared/sim", "test/scenario"];
/** `caughtBy`: the first test that failed, or null. */
interface Outcome {
  readonly broken: BrokenRule;
  readonly caughtBy: string | null;
}

/** Some breaks loop for ever. */
const limitMs = 300_000;
const wanted = new RegExp(process.argv[2] ?? "");

const copy = mkdtempSync(join(tmpdir(), "broken-rules-"));
try {
  for (const part of ["src-shared", "src-agent", "test", "package.json", "tsconfig.json", "vitest.config.ts"]) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  process.exitCode = tryAll(brokenRules.filter((b) => wanted.test(b.rule)));
} finally {
  rmSync(copy, { recursive: true, force: true });
}

function tryAll(rules: readonly BrokenRule[]): number {
  const sound = run(allTests);
  if (sound !== null) {
    console.error(`the suite is red before anything is broken: ${sound}`);
    return 2;
  }
  const outcomes: Outcome[] = [];
  for (const broken of rules) {
    const caughtBy = tryOne(broken);
    outcomes.push({ broken, caughtBy });
    console.log(`${caughtBy === null ? "UNNOTICED" : "caught   "} ${broken.rule}${caughtBy === null ? "" : `\n            by ${caughtBy}`}`);
  }
  const unnoticed = outcomes.filter(({ caughtBy }) => caughtBy === null).length;
  console.log(`${rules.length} rules broken, ${unnoticed} unnoticed`);
  if (rules.length === brokenRules.length) writeFileSync(join(root, "docs/broken-rules.md"), record(outcomes));
  return unnoticed > 0 ? 1 : 0;
}

function record(outcomes: readonly Outcome[]): string {
  const unnoticed = outcomes.filter(({ caughtBy }) => caughtBy === null).length;
  const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
  const rows = outcomes.map(({ broken, caughtBy }) => `| ${cell(broken.rule)} | \`${broken.file.replace("src-shared/protocol/core/", "core/")}\` | ${caughtBy === null ? "**nothing**" : cell(caughtBy)} |`);
  return [
    "# Rules broken on purpose",
    "",
    "Written by `node test/broken/run.ts` (some five minutes): each rule broken by one edit of its file, the edits in `test/broken/rules.ts`, and the first test that then failed.",
    `The last time: ${outcomes.length} rules, ${unnoticed} unnoticed.`,
    "",
    "| Rule | File | Noticed by |",
    "|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

/** Name of the first test that failed, or null. */
function tryOne({ rule, file, from, to }: BrokenRule): string | null {
  const path = join(copy, file);
  const source = readFileSync(path, "utf8");
  if (source.split(from).length !== 2) throw new Error(`"${rule}": its text occurs ${source.split(from).length - 1} times in ${file}; change test/broken/rules.ts with the code`);
  writeFileSync(path, source.replace(from, () => to));
  // The tests beside the file notice most of what is done to it, and are done sooner.
  const beside = file.replace(/\.ts$/, ".spec.ts");
  try {
    return (existsSync(join(copy, beside)) ? run([beside]) : null) ?? run(allTests);
  } finally {
    writeFileSync(path, source);
  }
}

function run(tests: readonly string[]): string | null {
  const vitest = join(copy, "node_modules/vitest/vitest.mjs");
  const reportFile = join(copy, "report.json");
  const { status, stderr, error } = spawnSync(process.execPath, [vitest, "run", "--root", copy, "--project", "unit", "--bail", "1", "--reporter", "json", "--outputFile", reportFile, ...tests], { cwd: copy, encoding: "utf8", timeout: limitMs, killSignal: "SIGKILL" });
  if (status === 0) return null;
  if (error) return `the time limit: ${error.message}`;
  if (!existsSync(reportFile)) throw new Error(`vitest left no report: ${stderr}`);
  const report = JSON.parse(readFileSync(reportFile, "utf8")) as { testResults: { name: string; message: string; assertionResults: { status: string; fullName: string }[] }[] };
  const failed = report.testResults.flatMap((file) => file.assertionResults.filter((a) => a.status === "failed").map((a) => a.fullName));
  return failed[0] ?? report.testResults.find((file) => file.message)?.message.split("\n")[0] ?? "a failure without a name";
}
