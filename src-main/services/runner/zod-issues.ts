import type { z } from "zod";
import type { SourceIssue, SourcePath } from "./yaml-source.ts";

/** Whoever knows where in a file a path stands. */
interface Source {
  issue(path: SourcePath, message: string): SourceIssue;
}

/** zod's issues at their lines, in words for people. Of a union the branch that came furthest speaks, because it is the one that was meant. */
export function issuesAt(error: z.ZodError, source: Source, prefix: SourcePath = []): SourceIssue[] {
  return error.issues.flatMap((issue) => flatten(issue, prefix).map(({ path, message }) => source.issue(path, message)));
}

interface Said {
  readonly path: (string | number)[];
  readonly message: string;
}

function flatten(issue: z.core.$ZodIssue, prefix: SourcePath): readonly Said[] {
  const path = [...prefix, ...issue.path.map((part) => (typeof part === "symbol" ? String(part) : part))];
  switch (issue.code) {
    case "invalid_union": {
      if (issue.errors.length === 0) return [{ path, message: issue.message }];
      const branches = issue.errors.map((branch) => branch.flatMap((inner) => flatten(inner, path)));
      const depth = (branch: readonly Said[]) => Math.max(0, ...branch.map((b) => b.path.length));
      const deepest = Math.max(...branches.map(depth));
      if (deepest > path.length) return branches.find((branch) => depth(branch) === deepest) ?? [];
      return [{ path, message: branches.map((branch) => branch.map((b) => b.message).join(", ")).join("; or ") }];
    }
    case "unrecognized_keys":
      return issue.keys.map((key) => ({ path: [...path, key], message: "this key is not known here" }));
    case "invalid_key":
      // For a bad name as a key: why it is bad.
      return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    case "invalid_type":
      return [{ path, message: typeMessage(issue) }];
    default:
      return [{ path, message: issue.message }];
  }
}

/** YAML's words for what was expected; what was there instead is only in zod's own message. A message of the schema's own says it better. */
function typeMessage(issue: z.core.$ZodIssueInvalidType): string {
  if (!issue.message.startsWith("Invalid input")) return issue.message;
  const expected = { record: "a mapping", object: "a mapping", array: "a list", string: "text" }[issue.expected as string] ?? `a ${issue.expected}`;
  const received = /received (\w+)/.exec(issue.message)?.[1];
  return received === "undefined" ? `missing: expected ${expected}` : `expected ${expected}${received ? `, found ${received}` : ""}`;
}
