import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseShare } from "../../../src-shared/api/units.ts";
import { exitCodes, Problem } from "../../problem.ts";
import { runExperiment } from "../../services/experiment.ts";
import { findLabFile } from "../../testbeds/labFile.ts";
import type { ScenarioChanges } from "../../services/runner/scenario-changes.ts";
import type { RunProgress } from "../../services/runner/runner.ts";
import { describeBound, markOf } from "../../report/thresholds.ts";
import { note, print, printJson, progressLine, table, type CommonOptions } from "./output.ts";

export interface RunCommandOptions extends CommonOptions {
  readonly out?: string;
  readonly capture?: boolean;
  readonly dataPlane?: string;
  readonly rootless?: boolean;
  readonly keep?: boolean;
  readonly lab?: string;
  readonly bytes?: string;
  readonly period?: string;
}

const dataPlanes = ["auto", "kernel", "ebpf", "userspace"] as const;

/** `run FILE`: from nothing to the report. Exit code 0 when every threshold holds. The first Ctrl-C ends the run cleanly. */
export async function runCommand(file: string, options: RunCommandOptions): Promise<number> {
  const dataPlane = (options.dataPlane ?? "auto") as (typeof dataPlanes)[number];
  if (!dataPlanes.includes(dataPlane)) throw new Problem({ code: "usage", what: `there is no data plane "${dataPlane}"`, remedy: `Use one of ${dataPlanes.join(", ")}.`, exitCode: exitCodes.usage });
  const changes = changesOf(options);
  const abort = new AbortController();
  const interrupt = (): void => {
    note("ending the run …");
    abort.abort();
  };
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  const line = progressLine();
  const onProgress = (p: RunProgress): void => line.show(`[${p.done}/${p.total}] ${p.step}${p.remainingSeconds === null ? "" : ` (about ${p.remainingSeconds} s left)`}`);
  try {
    const { summary, folder } = await runExperiment(file, {
      command: `npm start -- run ${file}${options.lab ? ` --lab ${options.lab}` : ""}${options.bytes ? ` --bytes ${options.bytes}` : ""}${options.period ? ` --period ${options.period}` : ""}${options.dataPlane ? ` --data-plane ${dataPlane}` : ""}`,
      changes,
      capture: options.capture ?? true,
      dataPlane,
      onProgress,
      onNote: (text) => line.show(text),
      abort: abort.signal,
      ...(options.out && { out: options.out }),
      ...(options.rootless && { rootless: true }),
      ...(options.keep && { keep: true }),
    });
    line.end();
    if (options.json) {
      printJson({ ok: summary.ok, out: folder.path, summary });
    } else {
      const cell = (value: number | null): string => (value === null ? "–" : Number.isInteger(value) ? String(value) : value.toPrecision(4));
      print(table(summary.thresholds.map((t) => [markOf(t), t.name, `${cell(t.value)}${t.unit ? ` ${t.unit}` : ""}`, describeBound(t)])));
      const aside = summary.thresholds.find((t) => t.setAside !== undefined)?.setAside;
      if (aside) print(`○ set aside: ${aside}`);
      print(`${summary.ok ? "✓ passed" : "✗ failed"}  ${folder.file("report")}`);
    }
    return summary.ok ? exitCodes.ok : exitCodes.failed;
  } finally {
    line.end();
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
}

function changesOf({ lab, bytes, period }: RunCommandOptions): ScenarioChanges {
  return { ...(lab !== undefined && { lab: existsSync(lab) ? resolve(lab) : nameOfShipped(lab) }), ...(bytes !== undefined && { bytes: shareOf(bytes) }), ...(period !== undefined && { period }) };
}

/** Throws Problem `lab.fileMissing` where there is none of that name. */
function nameOfShipped(lab: string): string {
  findLabFile(lab);
  return lab;
}

function shareOf(text: string): number {
  try {
    const share = parseShare(text);
    if (share > 0) return share;
  } catch {
    // told below
  }
  throw new Problem({ code: "usage", what: `--bytes ${text} is no share of the sizes`, remedy: "Write a percentage above 0, such as --bytes 10%.", exitCode: exitCodes.usage });
}
