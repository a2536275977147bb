import { existsSync } from "node:fs";
import { agentEvent, service, type AgentEvent } from "../../src-shared/api/events.ts";
import type { EventLine, HandoffRecord, ManagerEventBody, RunDescription, RunSummary } from "../../src-shared/api/summary.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import { annotateCapture } from "../capture/merge.ts";
import { parseScenario } from "../services/runner/scenario-file.ts";
import { addGaps, captureFigures } from "./capture-figures.ts";
import { hostClocks } from "./clock.ts";
import { readFacts, type CaptureFacts } from "./facts.ts";
import { ladderMessages } from "./ladder.ts";
import type { Measured } from "./metrics.ts";
import { packetInstants } from "./packet-instants.ts";
import { assembleRecords, type HandoffAttempt, type HostEvent } from "./records.ts";
import { points, regressions } from "./regression.ts";
import type { RunFolder } from "./run-folder.ts";
import { handoffsCsv, seriesCsv, seriesRows, type Serving } from "./series.ts";
import type { Latencies } from "./steps.ts";
import { counts, judge } from "./thresholds.ts";
import { reportHtml } from "./html/report.ts";
import { addByteLosses, workloadLogs } from "./workload-records.ts";

/**
 * Makes everything in a run folder that follows from what was recorded: summary, tables, series, report, and the comments in the capture.
 * Needs `run.json`, `scenario.yaml`, `events.jsonl`, the clients' logs and, when there is one, the capture; so it can be repeated at any time.
 */
export async function finishRun(folder: RunFolder): Promise<RunSummary> {
  const run = await folder.readRun();
  const events = await folder.readEvents();
  const { scenario } = parseScenario(folder.file("scenario"), await folder.readScenario());
  const clocks = hostClocks(run);
  const logs = await workloadLogs(folder, events, clocks);
  const facts = existsSync(folder.file("capture")) ? await readFacts(folder.file("capture"), run) : null;
  const told = assembleRecords(attempts(events), hostEvents(events), clocks);
  const handoffs = addByteLosses(facts ? addGaps(told, facts) : told, logs);
  const durationMs = Math.max(0, ...events.map((line) => line.at));
  const failure = managerEvents(events).find((body) => body.type === "runFailed");
  const captureEnds = managerEvents(events).filter((body) => body.type === "captureEnded");
  const figures = facts ? captureFigures(facts) : null;
  const measured: Measured = {
    schema: "anycast-lab/summary/1",
    scenario: run.scenario,
    startedAt: run.startedAt,
    durationMs,
    versions: run.versions,
    error: failure ? { code: failure.code, message: failure.message, step: failure.step } : null,
    handoffs,
    workloads: logs.map((log) => log.record),
    regression: regressions(handoffs),
    points: points(handoffs),
    byteShare: figures?.byteShare ?? null,
    clientsServed: clientsServed(events, run),
    resetsSeen: figures?.resetsSeen ?? null,
    captureDrops: Object.fromEntries(captureEnds.map((end) => [end.host, end.dropped ?? 0])),
  };
  const thresholds = judge(scenario.thresholds, measured, run.hosts.filter((host) => host.virtualMachine).map((host) => host.name));
  const ok = measured.error === null && thresholds.every(counts) && handoffs.every((h) => h.ok);
  const summary: RunSummary = { ...measured, ok, thresholds };
  await folder.writeSummary(summary);
  await folder.write("handoffs", handoffsCsv(handoffs));
  const clients = run.hosts.filter((host) => host.role === "client").map((host) => ({ name: host.name, address: parseAddress(host.address) }));
  const rows = facts ? seriesRows(facts, clients, serving(events, run), durationMs) : [];
  await folder.write("series", seriesCsv(rows));
  if (facts) await annotateCapture(folder.file("capture"), packetComments(facts, run, handoffs));
  const ladders = new Map(handoffs.map((record) => [record.id, ladderMessages(record, facts, run)]));
  await folder.write("report", reportHtml({ run, summary, rows, ladders, scenarioText: await folder.readScenario() }));
  await folder.release();
  return summary;
}

function managerEvents(events: readonly EventLine[]): ManagerEventBody[] {
  return events.filter((line) => line.host === "").map((line) => line.body as unknown as ManagerEventBody);
}

/** The agents' events as they were told. Lines that are none any more (another version wrote them) are left out. */
export function hostEvents(events: readonly EventLine[]): HostEvent[] {
  return events.flatMap(({ host, mono, wall, sequence, body }) => {
    const parsed = agentEvent.safeParse({ sequence, mono, wall, body });
    return host !== "" && parsed.success ? [{ host, event: parsed.data as AgentEvent }] : [];
  });
}

/** The handoffs that the runner asked for. */
export function attempts(events: readonly EventLine[]): HandoffAttempt[] {
  const bodies = managerEvents(events);
  const answers = new Map(bodies.flatMap((body) => (body.type === "handoffAnswered" ? [[body.handoff, body.failure] as const] : [])));
  return bodies.flatMap((body) => {
    if (body.type !== "handoffRequested") return [];
    const { handoff, latencies, type: _, ...rest } = body;
    const failure = answers.has(handoff) ? (answers.get(handoff) ?? null) : "the run ended before it was answered";
    return [{ ...rest, id: handoff, failure, latencies: (donor: string) => (latencies[donor] ?? latencies[body.donor]) as unknown as Latencies }];
  });
}

function serving(events: readonly EventLine[], run: RunDescription): Serving[] {
  const names = new Map(run.hosts.map((host) => [host.address, host.name]));
  return events.flatMap(({ at, body }) => (body.type === "clientServed" ? [{ at, client: names.get(String(body.client)) ?? String(body.client), member: String(body.member) }] : [])).sort((a, b) => a.at - b.at);
}

/** The last word about each client, in the order of their names. */
function clientsServed(events: readonly EventLine[], run: RunDescription): RunSummary["clientsServed"] {
  const names = new Map(run.hosts.map((host) => [host.address, host.name]));
  const last = new Map<string, { readonly at: number; readonly served: RunSummary["clientsServed"][number] }>();
  for (const { at, body } of events) {
    if (body.type !== "clientServed") continue;
    const client = names.get(String(body.client)) ?? String(body.client);
    if (at < (last.get(client)?.at ?? -Infinity)) continue;
    last.set(client, { at, served: { client, member: String(body.member), how: service.parse(body.how), why: String(body.why) } });
  }
  return [...last.values()].map(({ served }) => served).sort((a, b) => a.client.localeCompare(b.client));
}

/** Which packets of the capture mark which step of which handoff. */
function packetComments(facts: CaptureFacts, run: RunDescription, handoffs: readonly HandoffRecord[]): Map<number, string> {
  const addresses = new Map(run.hosts.map((host) => [host.name, parseAddress(host.address)]));
  const comments = new Map<number, string>();
  for (const record of handoffs) {
    const found = packetInstants(facts, { ...record, client: parseAddress(record.clientAddress), told: record.instants }, addresses);
    for (const [step, { packet }] of Object.entries(found)) {
      const text = `handoff ${record.id} (${record.mode}, ${record.client}: ${record.donor} -> ${record.acceptor}): ${step}`;
      comments.set(packet, comments.has(packet) ? `${comments.get(packet)}; ${text}` : text);
    }
  }
  return comments;
}
