import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { FileProblem, Scenario } from "../../../src-shared/api/app/run.ts";
import { Problem } from "../../problem.ts";
import { type LoadedScenario, parseScenario } from "../runner/scenario-file.ts";
import type { SourceIssue } from "../runner/yaml-source.ts";
import { planFor } from "../experiment.ts";
import { configFolder, writeOwn } from "./places.ts";

const shippedFolder = resolve(import.meta.dirname, "../../../assets/scenarios");
const ownFolder = (): string => join(configFolder(), "scenarios");
const ownPrefix = "own-";

/** About how long the shipped ones take from nothing to the report, s; measured on two cores. */
const secondsOf: Readonly<Record<string, number>> = { quickstart: 60 };

export const usualSeconds = (id: string): number | null => (Object.hasOwn(secondsOf, id) ? (secondsOf[id] as number) : null);

/** Scenarios that ship with the app, and a person's own. */
export class Scenarios {
  readonly handlers = {
    "scenario.list": async () => [...(await listIn(shippedFolder, "")), ...(await listIn(ownFolder(), ownPrefix))],
    "scenario.read": async ({ scenario }) => ({ text: await readText(scenario) }),
    "scenario.check": ({ text }) => problemsOf(text),
    "scenario.save": async ({ name, text }) => {
      const [problem] = problemsOf(text);
      if (problem) throw new AppError("bad-file", `line ${problem.line}: ${problem.message}`, { remedy: "Correct the scenario; it was not saved." });
      const file = join(ownFolder(), `${name}.yaml`);
      await writeOwn(file, text);
      return describe(ownPrefix + name, file, text);
    },
  } satisfies Partial<AppHandlers>;
}

/** Where a scenario's file is. Throws AppError `not-found` for an id that names none. */
export function scenarioPath(id: string): string {
  const own = id.startsWith(ownPrefix);
  const name = own ? id.slice(ownPrefix.length) : id;
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) throw new AppError("not-found", `there is no scenario "${id}"`);
  return join(own ? ownFolder() : shippedFolder, `${name}.yaml`);
}

/** Reads a scenario by its id. */
export async function loadById(id: string): Promise<LoadedScenario> {
  return parseScenario(scenarioPath(id), await readText(id));
}

async function readText(id: string): Promise<string> {
  const path = scenarioPath(id);
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new AppError("not-found", `the scenario ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, { remedy: "Choose another scenario." });
  }
}

async function listIn(folder: string, prefix: string): Promise<Scenario[]> {
  const files = (await readdir(folder).catch(() => [])).filter((file) => /^[a-z0-9][a-z0-9-]{0,62}\.yaml$/.test(file)).sort();
  if (files.includes("quickstart.yaml")) files.sort((a, b) => Number(b === "quickstart.yaml") - Number(a === "quickstart.yaml"));
  return Promise.all(files.map(async (file) => describe(prefix + file.slice(0, -".yaml".length), join(folder, file), await readFile(join(folder, file), "utf8").catch(() => ""))));
}

async function describe(id: string, file: string, text: string): Promise<Scenario> {
  const own = id.startsWith(ownPrefix);
  const empty = { id, title: id, own, file, hosts: 0, seconds: null };
  try {
    const loaded = parseScenario(file, text);
    const { title, name, description } = loaded.scenario;
    const plan = await planFor(loaded);
    return { ...empty, title: title ?? name, description: (description ?? "").trim().slice(0, 2000), hosts: plan.hosts.length, seconds: usualSeconds(id) };
  } catch (error) {
    return { ...empty, description: `It cannot be run: ${(error as Error).message}`.slice(0, 2000) };
  }
}

/** Every problem of a scenario's text; none when it can be run. */
function problemsOf(text: string): FileProblem[] {
  try {
    parseScenario("scenario", text);
    return [];
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "scenario.invalid") throw error;
    return ((error.details["issues"] ?? []) as SourceIssue[]).slice(0, 100).map(({ line, column, path, message }) => ({ line: line ?? 1, column: column ?? 1, path: path ?? "", message }));
  }
}
