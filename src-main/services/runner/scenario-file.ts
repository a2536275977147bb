import { readFile } from "node:fs/promises";
import { z } from "zod";
import { scenarioFile, scenarioStep, type Level, type ScenarioFile, type ScenarioStep } from "../../../src-shared/api/scenario.ts";
import { exitCodes, Problem } from "../../problem.ts";
import { misfits } from "./cross-check.ts";
import { changeScenario, type ScenarioChanges } from "./scenario-changes.ts";
import { experimentPoints, rawFactors, substitute, UnknownNameError, type ExperimentPoint } from "./points.ts";
import { issueText, YamlSource, type SourceIssue } from "./yaml-source.ts";
import { issuesAt } from "./zod-issues.ts";

/** A scenario that was read and checked, with the steps of each point of its experiment. */
export interface LoadedScenario {
  readonly file: string;
  /** The file's own words with the changes for this run, kept for the run folder. */
  readonly text: string;
  readonly scenario: ScenarioFile;
  readonly points: readonly (ExperimentPoint & { readonly steps: readonly ScenarioStep[] })[];
}

/** Reads a scenario file, with changes for this run. Every rejection is a Problem that names file, line, path and what was expected. */
export async function loadScenario(file: string, changes: ScenarioChanges = {}): Promise<LoadedScenario> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Problem({
      code: "scenario.unreadable",
      what: `${file}: the scenario file can't be read (${code ?? String(error)})`,
      remedy: "Give the path of a scenario file, or the name of a shipped one: quickstart, paper, plain-client.",
      exitCode: exitCodes.usage,
      cause: error,
    });
  }
  return parseScenario(file, changeScenario(text, changes));
}

/** The same for text at hand. Throws Problem (code `scenario.invalid`; `details.issues` lists every issue). */
export function parseScenario(file: string, text: string): LoadedScenario {
  const source = new YamlSource(file, text);
  if (source.syntax.length > 0) throw invalid(file, source.syntax);
  const raw = source.value;
  if (raw === null || typeof raw !== "object" || Array.isArray(raw)) throw invalid(file, [source.issue([], "a scenario is a mapping with name, lab, group, clients and steps; see docs/scenario-file.md")]);
  const points = pointsOf(raw, source);
  const stepsAt = (point: ExperimentPoint) => filledIn((raw as { steps?: unknown }).steps, point, source);
  const first = points[0] as ExperimentPoint;
  const parsed = scenarioFile.safeParse({ ...raw, steps: stepsAt(first) });
  if (!parsed.success) throw invalid(file, issuesAt(parsed.error, source));
  const scenario = parsed.data;
  const wrong = misfits(scenario, null).map(({ path, message }) => source.issue(path, message));
  if (wrong.length > 0) throw invalid(file, wrong);
  return { file, text, scenario, points: points.map((point) => ({ ...point, steps: parseSteps(stepsAt(point), point, source) })) };
}

/** Names of the scenario that are not hosts of its lab, as a Problem; for when the lab is known. */
export function checkHosts(loaded: LoadedScenario, hosts: readonly string[]): void {
  const source = new YamlSource(loaded.file, loaded.text);
  const wrong = misfits(loaded.scenario, hosts).map(({ path, message }) => source.issue(path, message));
  if (wrong.length > 0) throw invalid(loaded.file, wrong);
}

function pointsOf(raw: object, source: YamlSource): ExperimentPoint[] {
  const factors = rawFactors.parse(raw);
  try {
    return experimentPoints(factors);
  } catch (error) {
    if (error instanceof UnknownNameError) throw invalid(source.file, [source.issue(error.path, error.message)]);
    throw error;
  }
}

function filledIn(steps: unknown, point: ExperimentPoint, source: YamlSource): unknown {
  try {
    return substitute(steps, point.values, ["steps"]);
  } catch (error) {
    if (error instanceof UnknownNameError) throw invalid(source.file, [source.issue(error.path, error.message)]);
    throw error;
  }
}

function parseSteps(steps: unknown, point: ExperimentPoint, source: YamlSource): ScenarioStep[] {
  const parsed = z.array(scenarioStep).safeParse(steps);
  if (parsed.success) return meant(parsed.data, point);
  const where = Object.entries(point.levels).map(([name, level]) => `${name} = ${level}`);
  throw invalid(source.file, issuesAt(parsed.error, source, ["steps"]).map((issue) => ({ ...issue, message: `${issue.message} (with ${where.join(", ")})` })));
}

/** The steps that are carried out at a point, also inside parallel ones. */
function meant(steps: readonly ScenarioStep[], point: ExperimentPoint): ScenarioStep[] {
  return steps.filter((step) => isMeant(step, point.values)).map((step) => (step.parallel ? { ...step, parallel: step.parallel.map((lane) => meant(lane, point)) } : step));
}

/** Whether a step's `when` fits the point. */
function isMeant({ when }: ScenarioStep, values: ExperimentPoint["values"]): boolean {
  return Object.entries(when ?? {}).every(([name, level]) => (Array.isArray(level) ? level : [level]).includes(values[name] as Level));
}

function invalid(file: string, issues: readonly SourceIssue[]): Problem {
  const lines = issues.map((issue) => issueText(file, issue));
  return new Problem({
    code: "scenario.invalid",
    what: lines[0] as string,
    remedy: issues.length > 1 ? `${issues.length - 1} more below; docs/scenario-file.md describes every key.` : "docs/scenario-file.md describes every key.",
    details: { file, issues },
    ...(lines.length > 1 && { evidence: lines.slice(1).join("\n") }),
    exitCode: exitCodes.usage,
  });
}
