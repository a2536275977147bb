import { parseDocument, visit } from "yaml";

/** What a person changes about a scenario for one run of it: where it runs, and how much there is to do. */
export interface ScenarioChanges {
  /** Another lab, with hosts of the same names: a shipped lab's name or an absolute path. */
  readonly lab?: string;
  /** Share of the stated sizes of all files and uploads, above 0: for slow machines. */
  readonly bytes?: number;
}

/** The scenario's text with the changes made in it, comments kept: what runs is what the run folder says. A file with mistakes stays as it is, for its reader to tell them. */
export function changeScenario(text: string, { lab, bytes }: ScenarioChanges): string {
  if (lab === undefined && bytes === undefined) return text;
  const document = parseDocument(text, { strict: true });
  if (document.errors.length > 0) return text;
  if (lab !== undefined) document.set("lab", lab);
  if (bytes !== undefined) {
    // Only files and uploads have a size in bytes (`disk` and `queue` of a lab are words).
    visit(document, {
      Pair: (_, { key, value }) => {
        const size = value as { value?: unknown };
        if (String(key) === "bytes" && typeof size.value === "number") size.value = Math.max(1, Math.round(size.value * bytes));
      },
    });
  }
  return document.toString({ lineWidth: 0 });
}
