import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { labFile, type LabFile } from "../../src-shared/api/lab.ts";
import { planLab, type LabPlan } from "../../src-shared/api/labPlan.ts";
import { exitCodes, Problem } from "../problem.ts";
import { issueText, YamlSource, type SourceIssue } from "../services/runner/yaml-source.ts";
import { issuesAt } from "../services/runner/zod-issues.ts";

const shipped = resolve(import.meta.dirname, "../../assets/labs");

/** The file that a person means: a path, or the name of a lab that ships with the app. Throws Problem `lab.fileMissing`. */
export function findLabFile(pathOrName: string, from = process.cwd()): string {
  const candidates = [resolve(from, pathOrName), resolve(shipped, `${pathOrName}.yaml`)];
  const found = candidates.find((path) => existsSync(path));
  if (found) return found;
  throw new Problem({ code: "lab.fileMissing", what: `there is no lab file ${pathOrName}`, remedy: `Give the path of a lab file, or the name of a shipped lab (in ${shipped}).`, exitCode: exitCodes.usage });
}

/** Reads a lab file and fills everything in. Throws Problem `lab.unreadable` or `lab.invalid`; the latter lists every error with file, line, path and what was expected. */
export async function readLab(path: string): Promise<LabPlan> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new Problem({ code: "lab.unreadable", what: `${path} cannot be read (${reason})`, remedy: "Check the path and its permissions.", exitCode: exitCodes.usage, cause: error });
  }
  return parseLab(text, path);
}

/** The same for a text; `file` names it in errors. */
export function parseLab(text: string, file: string): LabPlan {
  const source = new YamlSource(file, text);
  if (source.syntax.length > 0) throw invalid(file, source.syntax);
  return planOf(source.value, file, (path, message) => source.issue(path, message));
}

/** The same for a lab that is part of another file, as a value. `place` says where in that file something stands. */
export function planOf(value: unknown, file: string, place: (path: readonly (string | number)[], message: string) => SourceIssue): LabPlan {
  const read = labFile.safeParse(value);
  if (!read.success) throw invalid(file, issuesAt(read.error, { issue: place }));
  const planned = planLab(read.data as LabFile);
  if ("issues" in planned) throw invalid(file, planned.issues.map((issue) => place(issue.path, issue.message)));
  return planned.plan;
}

function invalid(file: string, issues: readonly SourceIssue[]): Problem {
  const [first, ...more] = issues.map((issue) => issueText(file, issue));
  return new Problem({
    code: "lab.invalid",
    what: `${first}${more.length > 0 ? ` (and ${more.length} more)` : ""}`,
    remedy: "Correct the file; docs/lab-file.md describes it.",
    details: { file, issues },
    ...(more.length > 0 && { evidence: more.join("\n") }),
    exitCode: exitCodes.usage,
  });
}
