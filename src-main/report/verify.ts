import { existsSync } from "node:fs";
import type { HandoffRecord, RunDescription, RunSummary } from "../../src-shared/api/summary.ts";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import { exitCodes, Problem } from "../problem.ts";
import { addGaps, captureFigures } from "./capture-figures.ts";
import { hostClocks } from "./clock.ts";
import type { ConnectionFacts } from "./connection-facts.ts";
import { connectionKey, readFacts, type CaptureFacts } from "./facts.ts";
import { isRelayed, lastFreshDeparture, packetInstants, type PacketInstants } from "./packet-instants.ts";
import type { RunFolder } from "./run-folder.ts";
import { startStep } from "./steps.ts";
import { workloadLogs, type WorkloadLog } from "./workload-records.ts";

/** Times from packets and times told may differ by this much, bytes by nothing. */
export const toleranceMs = 1;

/** One figure of a run, as the summary has it and as the capture and the clients' logs give it. */
export interface Check {
  /** The handoff or workload that it belongs to. */
  readonly of: string;
  readonly figure: string;
  readonly unit: "ms" | "bytes" | "lines" | "segments" | "share";
  readonly claimed: number | null;
  readonly found: number | null;
  readonly ok: boolean;
  readonly why: string | null;
}

export interface Verification {
  readonly ok: boolean;
  readonly checks: readonly Check[];
  /** Largest difference among the times, ms. */
  readonly largestMs: number;
}

/**
 * Recomputes a run's handoff times, steps and bytes from its captures and its clients' own logs, and holds the summary against them. What
 * agents told is used only to know which handoffs there were and where in the capture to look.
 */
export async function verifyRun(folder: RunFolder): Promise<Verification> {
  const run = await folder.readRun();
  const summary = await folder.readSummary();
  if (!existsSync(folder.file("capture"))) {
    throw new Problem({ code: "verify.noCapture", what: `${folder.path} has no capture: there is nothing to verify its figures with`, remedy: "Run the scenario again without --no-capture.", exitCode: exitCodes.failed });
  }
  const facts = await readFacts(folder.file("capture"), run);
  const events = await folder.readEvents();
  const logs = await workloadLogs(folder, events, hostClocks(run));
  const addresses = new Map(run.hosts.map((host) => [host.name, parseAddress(host.address)]));
  const recomputed = addGaps(summary.handoffs, facts);
  const checks = [
    ...captureChecks(facts, summary),
    ...summary.handoffs.flatMap((record, i) => handoffChecks(record, recomputed[i] as HandoffRecord, facts, addresses)),
    ...logs.flatMap((log) => workloadChecks(log, summary, facts, run)),
  ];
  const times = checks.flatMap((check) => (check.unit === "ms" && check.claimed !== null && check.found !== null ? [Math.abs(check.claimed - check.found)] : []));
  return { ok: checks.length > 0 && checks.every((check) => check.ok), checks, largestMs: Math.max(0, ...times) };
}

function captureChecks(facts: CaptureFacts, summary: RunSummary): Check[] {
  const figures = captureFigures(facts);
  const lost = Object.values(facts.drops).reduce((sum, n) => sum + n, 0);
  return [
    compare("run", "packets that captures lost", "segments", 0, lost),
    compare("run", "signalling that can't be decoded", "segments", 0, facts.undecodable.length, facts.undecodable[0]?.reason),
    compare("run", "RSTs at clients", "segments", summary.resetsSeen, figures.resetsSeen),
    ...(["homeAgent", "contact", "direct"] as const).map((path) => compare("run", `share of bytes: ${path}`, "share", summary.byteShare?.[path] ?? null, figures.byteShare[path])),
  ];
}

/** A handoff that failed has no times to verify; one that succeeded must have all of them in its packets. */
function handoffChecks(record: HandoffRecord, recomputed: HandoffRecord, facts: CaptureFacts, addresses: ReadonlyMap<string, Address>): Check[] {
  if (!record.ok) return [];
  const client = parseAddress(record.clientAddress);
  const found = packetInstants(facts, { ...record, client, told: record.instants }, addresses);
  const at = (step: keyof PacketInstants) => found[step]?.at ?? null;
  const start = startStep(record.mode);
  const time = (figure: string, claimed: number | null, value: number | null) => compare(record.id, figure, "ms", claimed, value, value === null ? "no packet of it in the capture" : undefined);
  // Without a binding there are no tests and no updates, and nobody may claim the times of any: neither agents nor the capture.
  const missing = ({ claimed, found: value }: Check) => isRelayed(record.instants) && claimed === null && value === null;
  const times = [
    time("startAt", record.startAt, at(start)),
    time("frozenAt", record.frozenAt, at("frozen")),
    time("firstPacketAt", record.firstPacketAt, at("firstPacket")),
    time("measuredMs", record.measuredMs, difference(at(start), at("firstPacket"))),
    time("frozenMs", record.frozenMs, difference(at("frozen"), at("firstPacket"))),
    ...record.steps.map((step) => time(`step ${step.name}`, step.measuredMs, difference(at(step.from), at(step.to)))),
  ].filter((check) => !missing(check));
  return [
    ...times,
    ...(recomputed.clientGapMs === null && record.clientGapMs === null ? [] : [time("clientGapMs", record.clientGapMs, recomputed.clientGapMs)]),
    ...silenceOfDonor(record, client, facts),
  ];
}

/** Between the freeze and the acceptor's first packet the donor must have sent that client no new bytes. */
function silenceOfDonor(record: HandoffRecord, client: Address, facts: CaptureFacts): Check[] {
  const { frozenAt, firstPacketAt } = record;
  if (frozenAt === null || firstPacketAt === null) return [];
  const late = lastFreshDeparture(facts, record.donor, client, frozenAt + toleranceMs, firstPacketAt);
  return [{ of: record.id, figure: "donor's last new bytes after the freeze", unit: "ms", claimed: 0, found: late === null ? 0 : late - frozenAt, ok: late === null, why: late === null ? null : `${record.donor} still sent new bytes ${(late - frozenAt).toFixed(2)} ms after it froze` }];
}

/** What the client's program says it received and sent, against the TCP streams that its interface carried. */
function workloadChecks(log: WorkloadLog, summary: RunSummary, facts: CaptureFacts, run: RunDescription): Check[] {
  const { record, clientPort } = log;
  const host = run.hosts.find((h) => h.name === record.client);
  const claimed = summary.workloads.find((w) => w.name === record.name && Math.abs(w.startedAt - record.startedAt) < toleranceMs);
  const own = [
    compare(record.name, "bytes by the client's log", "bytes", claimed?.bytes ?? null, record.bytes),
    ...(record.kind === "echo" ? [compare(record.name, "lines lost by the client's log", "lines", claimed?.lost ?? null, record.lost), compare(record.name, "lines repeated by the client's log", "lines", claimed?.repeated ?? null, record.repeated)] : []),
  ];
  if (!host || clientPort === null || !record.ok) return own;
  const client = parseAddress(host.address);
  const connection = [...facts.connections.values()].find((c) => c.client === client && c.clientPort === clientPort);
  if (!connection) return [...own, { of: record.name, figure: "connection", unit: "bytes", claimed: log.received, found: null, ok: false, why: `port ${clientPort} of ${record.client} is not in the capture (${connectionKey(client, clientPort, 0)})` }];
  return [...own, ...streamChecks(log, connection)];
}

function streamChecks(log: WorkloadLog, connection: ConnectionFacts): Check[] {
  const { record, received, sent } = log;
  if (!connection.fromStart) return [{ of: record.name, figure: "connection", unit: "bytes", claimed: received, found: null, ok: false, why: "its beginning is not in the capture" }];
  const down = connection.downTo.last ?? 0;
  return [
    ...(received === null ? [] : [compare(record.name, "bytes that reached the client's program", "bytes", received, down)]),
    ...(sent === null ? [] : [compare(record.name, "bytes that the client's program sent", "bytes", sent, connection.sentTo)]),
  ];
}

function compare(of: string, figure: string, unit: Check["unit"], claimed: number | null, found: number | null, why?: string): Check {
  const limit = unit === "ms" ? toleranceMs : unit === "share" ? 1e-9 : 0;
  const ok = claimed !== null && found !== null && Math.abs(claimed - found) <= limit;
  return { of, figure, unit, claimed, found, ok, why: ok ? null : (why ?? null) };
}

function difference(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : to - from;
}

/** What `report --verify` prints: each disagreement, then a line with the outcome. */
export function describeVerification({ ok, checks, largestMs }: Verification): string {
  const show = (value: number | null) => (value === null ? "nothing" : Number.isInteger(value) ? String(value) : value.toFixed(3));
  const lines = checks.filter((check) => !check.ok).map((c) => `✗ ${c.of}: ${c.figure}: the summary says ${show(c.claimed)}, the capture ${show(c.found)} ${c.unit}${c.why ? ` (${c.why})` : ""}`);
  const outcome = ok
    ? `✓ ${checks.length} figures agree with the capture and the clients' logs; the largest difference in time is ${largestMs.toFixed(3)} ms`
    : `✗ ${lines.length} of ${checks.length} figures disagree`;
  return [...lines, outcome].join("\n");
}
