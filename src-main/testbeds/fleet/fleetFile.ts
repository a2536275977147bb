import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { fleetFile, type FleetFile } from "../../../src-shared/api/fleet.ts";
import { exitCodes, Problem } from "../../problem.ts";
import { issueText, type SourceIssue, YamlSource } from "../../services/runner/yaml-source.ts";
import { issuesAt } from "../../services/runner/zod-issues.ts";

/** Reads a fleet file; paths in it become absolute. Throws Problem `fleet.unreadable` or `fleet.invalid`, the latter with every error's file, line, path and what was expected. */
export async function readFleet(path: string): Promise<FleetFile> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new Problem({ code: "fleet.unreadable", what: `${path} cannot be read (${reason})`, remedy: "Check the path and its permissions.", exitCode: exitCodes.usage, cause: error });
  }
  return parseFleet(text, path);
}

/** The same for a text; `file` names it in errors, and relative paths start from its folder. */
export function parseFleet(text: string, file: string): FleetFile {
  const source = new YamlSource(file, text);
  if (source.syntax.length > 0) throw invalid(file, source.syntax);
  const read = fleetFile.safeParse(source.value);
  if (!read.success) throw invalid(file, issuesAt(read.error, source));
  const fleet = read.data;
  const issues: SourceIssue[] = [];
  if (Object.keys(fleet.hosts).length === 0) issues.push(source.issue(["hosts"], "expected at least one host"));
  if (fleet.home && !fleet.hosts[fleet.home.host]) issues.push(source.issue(["home", "host"], `there is no host ${fleet.home.host}; hosts are ${Object.keys(fleet.hosts).join(", ")}`));
  if (issues.length > 0) throw invalid(file, issues);
  const place = <T extends { readonly identityFile?: string | undefined; readonly knownHosts?: string | undefined }>(of: T): T => ({ ...of, ...absolute("identityFile", of, file), ...absolute("knownHosts", of, file) });
  return { ...fleet, ...absolute("sshConfig", fleet, file), defaults: place(fleet.defaults), hosts: Object.fromEntries(Object.entries(fleet.hosts).map(([name, host]) => [name, place(host)])) };
}

function absolute<K extends string>(key: K, of: { readonly [P in K]?: string | undefined }, file: string): { [P in K]?: string } {
  const path = of[key];
  if (path === undefined) return {};
  const full = path.startsWith("~/") ? join(homedir(), path.slice(2)) : isAbsolute(path) ? path : resolve(dirname(file), path);
  return { [key]: full } as { [P in K]?: string };
}

function invalid(file: string, issues: readonly SourceIssue[]): Problem {
  const [first, ...more] = issues.map((issue) => issueText(file, issue));
  return new Problem({
    code: "fleet.invalid",
    what: `${first}${more.length > 0 ? ` (and ${more.length} more)` : ""}`,
    remedy: "Correct the file; docs/fleet-file.md describes it.",
    details: { file, issues },
    ...(more.length > 0 && { evidence: more.join("\n") }),
    exitCode: exitCodes.usage,
  });
}
