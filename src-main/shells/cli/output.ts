import { asProblem, exitCodes, type Problem } from "../../problem.ts";

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** Results go to standard output, everything else to standard error, so that output can be piped. */
export function print(text: string): void {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** One line that is written over while things go on; plain lines where standard error is no terminal. */
export function progressLine(): { readonly show: (text: string) => void; readonly end: () => void } {
  let last = "";
  if (!process.stderr.isTTY) {
    return {
      show: (text) => {
        if (text !== last) note(text);
        last = text;
      },
      end: () => {},
    };
  }
  return {
    show: (text) => {
      process.stderr.write(`\r\u001B[K${text.slice(0, Math.max(20, process.stderr.columns - 1))}`);
      last = text;
    },
    end: () => {
      if (last) process.stderr.write("\r\u001B[K");
      last = "";
    },
  };
}

/** Says what went wrong and what to do, one line each; returns the exit code. */
export function fail(thrown: unknown, options: CommonOptions): number {
  const problem: Problem = asProblem(thrown);
  if (options.json) printJson({ ok: false, error: problem.toJSON() });
  else {
    note(problem.message);
    if (problem.evidence) note(problem.evidence.replaceAll(/^/gm, "  | "));
    note(`→ ${problem.remedy}`);
  }
  if (options.debug) note(String((thrown as Error)?.stack ?? thrown));
  return problem.exitCode ?? exitCodes.failed;
}

/** Columns as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n");
}
