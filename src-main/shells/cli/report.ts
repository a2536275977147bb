import { RunFolder } from "../../report/run-folder.ts";
import { verifyRun } from "../../report/verify.ts";
import { finishRun } from "../../report/finish.ts";
import { exitCodes } from "../../problem.ts";
import { print, printJson, table, type CommonOptions } from "./output.ts";

export interface ReportOptions extends CommonOptions {
  readonly verify?: boolean;
  readonly all?: boolean;
}

/** `report RUN` writes summary and report anew from the run's files; `report --verify RUN` holds its figures against capture and clients' logs. */
export async function reportCommand(path: string, options: ReportOptions): Promise<number> {
  const folder = new RunFolder(path);
  if (!options.verify) {
    const summary = await finishRun(folder);
    if (options.json) printJson({ ok: summary.ok, report: folder.file("report") });
    else print(folder.file("report"));
    return exitCodes.ok;
  }
  const verification = await verifyRun(folder);
  if (options.json) {
    printJson(verification);
  } else {
    const shown = verification.checks.filter((check) => options.all || !check.ok);
    const cell = (value: number | null): string => (value === null ? "–" : Number.isInteger(value) ? String(value) : value.toFixed(3));
    if (shown.length > 0) print(table([["", "of", "figure", "claimed", "found", "unit", "why"], ...shown.map((c) => [c.ok ? "✓" : "✗", c.of, c.figure, cell(c.claimed), cell(c.found), c.unit, c.why ?? ""])]));
    const wrong = verification.checks.filter((check) => !check.ok).length;
    print(`${verification.ok ? "✓" : "✗"} ${verification.checks.length} figures checked, ${wrong} disagree; largest difference in time ${verification.largestMs.toFixed(3)} ms`);
  }
  return verification.ok ? exitCodes.ok : exitCodes.failed;
}
