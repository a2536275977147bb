import { parseDocument, visit } from "yaml";

/** What a person changes about a scenario for one run of it: where it runs, and how much there is to do. */
export interface ScenarioChanges {
  /** Another lab, with hosts of the same names: a shipped lab's name or an absolute path. */
  readonly lab?: string;
  /** Share of the stated sizes of all files and uploads, above 0: for slow machines. */
  readonly bytes?: number;
  /** The period of all echoes in place of the stated ones, as it is written in a file. */
  readonly period?: string;
}

/** The scenario's text with the changes made in it, comments kept: what runs is what the run folder says. A file with mistakes stays as it is, for its reader to tell them. */
export function changeScenario(text: string, { lab, bytes, period }: ScenarioChanges): string {
  if (lab === undefined && bytes === undefined && period === undefined) return text;
  const document = parseDocument(text, { strict: true });
  if (document.errors.length > 0) return text;
  if (lab !== undefined) document.set("lab", lab);
  // Only files and uploads have a size in bytes (`disk` and `queue` of a lab are words), and only echoes a period.
  visit(document, {
    Pair: (_, { key, value }) => {
      const scalar = value as { value?: unknown };
      if (String(key) === "bytes" && bytes !== undefined && typeof scalar.value === "number") scalar.value = Math.max(1, Math.round(scalar.value * bytes));
      if (String(key) === "period" && period !== undefined && typeof scalar.value === "string") scalar.value = period;
    },
  });
  return document.toString({ lineWidth: 0 });
}
