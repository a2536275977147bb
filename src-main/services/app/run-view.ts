import { readFile, stat } from "node:fs/promises";
import { basename } from "node:path";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { HandoffDetail } from "../../../src-shared/api/app/live.ts";
import type { Run, RunDetail, RunSeries } from "../../../src-shared/api/app/run.ts";
import { agentEvent } from "../../../src-shared/api/events.ts";
import type { HandoffRecord, RunDescription, RunSummary } from "../../../src-shared/api/summary.ts";
import { median } from "../../../src-shared/stats/quantile.ts";
import { hostClocks } from "../../report/clock.ts";
import { type RunFolder, runFiles } from "../../report/run-folder.ts";
import { counts, describeBound } from "../../report/thresholds.ts";
import { handoffDetailOf, handoffRow, type HandoffScene, type ToldMessage } from "./handoff-view.ts";

/** A run as its folder tells it; without a summary it is `broken`, or `running` while another process fills it. `scenarioId` finds the scenario of that name. */
export async function runOf(folder: RunFolder, scenarioId: (name: string) => string): Promise<Run> {
  const id = basename(folder.path);
  const startedAt = await stat(folder.path).then((found) => found.birthtimeMs || found.mtimeMs);
  const begun = emptyRun(id, scenarioId(id.replace(/^\d{8}-\d{6}-/, "")), id, folder.path, startedAt);
  const pid = await folder.filledBy();
  if (pid !== null) return { ...begun, state: "running", detail: `Another process runs it (${pid}).`, progress: { ...begun.progress, step: "elsewhere" } };
  try {
    const [description, summary] = await Promise.all([folder.readRun(), folder.readSummary()]);
    const startedAt = Date.parse(summary.startedAt);
    const missed = summary.thresholds.filter((threshold) => !counts(threshold)).map((threshold) => threshold.name);
    const interrupted = summary.error?.code === "run.interrupted";
    return {
      ...emptyRun(id, scenarioId(description.scenario), description.title, folder.path, startedAt),
      state: summary.ok ? "passed" : interrupted ? "stopped" : "failed",
      detail: summary.error?.message ?? (missed.length > 0 ? `missed: ${missed.join("; ")}` : null),
      endedAt: startedAt + summary.durationMs,
      progress: { done: 1, total: 1, step: "done", remainingSeconds: 0 },
      ...figures(summary.handoffs),
      hasReport: await exists(folder.file("report")),
    };
  } catch {
    return {
      ...begun,
      state: "broken",
      detail: "It has no summary: the manager ended before the run did, or its files were changed.",
      remedy: `What it recorded is in ${folder.path}.`,
      endedAt: startedAt,
    };
  }
}

export function emptyRun(id: string, scenario: string, title: string, folder: string, startedAt: number): Run {
  return { id, scenario, title, lab: null, state: "starting", detail: null, remedy: null, startedAt, endedAt: null, folder, progress: { done: 0, total: 1, step: "starting", remainingSeconds: null }, handoffs: 0, medianMs: null, medianGapMs: null, hasReport: false };
}

function figures(handoffs: readonly HandoffRecord[]): Pick<Run, "handoffs" | "medianMs" | "medianGapMs"> {
  const counted = handoffs.filter((handoff) => handoff.counts && handoff.ok);
  return { handoffs: handoffs.length, medianMs: medianOf(counted.map((h) => h.measuredMs)), medianGapMs: medianOf(counted.map((h) => h.clientGapMs)) };
}

export function medianOf(values: readonly (number | null)[]): number | null {
  const present = values.filter((value) => value !== null);
  return present.length > 0 ? Math.max(0, median(present)) : null;
}

/** What a finished run found. */
export async function detailOf(run: Run, folder: RunFolder): Promise<RunDetail> {
  const [description, summary] = await Promise.all([folder.readRun(), folder.readSummary()]);
  return {
    run,
    seed: String(description.seed),
    versions: { ...summary.versions, node: description.manager.node, kernel: description.manager.kernel },
    members: [...description.group.members].sort(),
    thresholds: summary.thresholds.map((threshold) => ({ name: threshold.name, ok: threshold.ok, value: threshold.value, unit: threshold.unit, bound: describeBound(threshold), ...(threshold.setAside !== undefined && { setAside: threshold.setAside }) })),
    handoffs: summary.handoffs.slice(0, 5000).map((record) => handoffRow(record, sceneOf(description, record))),
  };
}

/** One handoff of a finished run with its ladder, from the agents' own words in `events.jsonl`. Throws AppError `not-found`. */
export async function handoffOfRun(folder: RunFolder, id: string): Promise<HandoffDetail> {
  const [description, summary, events] = await Promise.all([folder.readRun(), folder.readSummary(), folder.readEvents()]);
  const record = summary.handoffs.find((handoff) => handoff.id === id);
  if (!record) throw new AppError("not-found", `this run has no handoff ${id}`);
  const clocks = hostClocks(description);
  const messages = events.flatMap(({ host, mono, wall, sequence, body }): ToldMessage[] => {
    const clock = clocks.get(host);
    if (body["type"] !== "message" || !clock) return [];
    const read = agentEvent.safeParse({ mono, wall, sequence, body });
    return read.success && read.data.body.type === "message" ? [{ host, at: clock.fromMono(read.data.body.at), body: read.data.body }] : [];
  });
  return handoffDetailOf(record, sceneOf(description, record), messages);
}

function sceneOf(run: RunDescription, record: HandoffRecord): HandoffScene {
  const clientId = `client-${record.client}`;
  const columnOf = new Map(run.hosts.map((host) => [host.address, host.name === record.client ? clientId : host.name]));
  return { zeroWall: run.zero.wall, group: run.group.id, home: run.group.address, homeAgent: run.group.homeAgent, clientId, columnOf };
}

const binMs = 100;
const mostBins = 100_000;

/** Goodput towards each client, from `series.csv`. */
export async function seriesOf(id: string, folder: RunFolder, summary: RunSummary): Promise<RunSeries> {
  const [header = "", ...rows] = (await readFile(folder.file("series"), "utf8").catch(() => "")).trim().split("\n");
  const names = header.split(",");
  const [time, client, down] = ["time_ms", "client", "goodput_down_mbit_per_s"].map((name) => names.indexOf(name)) as [number, number, number];
  const clients = new Map<string, (number | null)[]>();
  for (const row of rows) {
    const cells = row.split(",");
    const bin = Math.round(Number(cells[time]) / binMs);
    const name = cells[client];
    if (name === undefined || !(bin >= 0 && bin < mostBins)) continue;
    const series = clients.get(name) ?? [];
    clients.set(name, series);
    while (series.length < bin) series.push(null);
    const mbit = cells[down];
    series[bin] = mbit === undefined || mbit === "" ? null : Math.max(0, Number(mbit));
  }
  return {
    run: id,
    binMs,
    clients: [...clients].slice(0, 100).map(([name, mbit]) => ({ name, mbit })),
    handoffs: summary.handoffs.flatMap((handoff) => (handoff.startAt === null ? [] : [{ atMs: handoff.startAt, client: handoff.client, acceptor: handoff.acceptor }])),
  };
}

/** Whether a folder holds a run, or the remains of one. */
export async function isRunFolder(path: string): Promise<boolean> {
  return (await exists(`${path}/${runFiles.scenario}`)) || exists(`${path}/${runFiles.run}`);
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
