import type { EventLine, HandoffRecord, WorkloadRecord } from "../../src-shared/api/summary.ts";
import type { HostClock } from "./clock.ts";
import type { RunFolder } from "./run-folder.ts";

/** One start of a workload with what its client logged. */
export interface WorkloadLog {
  readonly record: WorkloadRecord;
  readonly clientPort: number | null;
  /** Bytes of payload that the client's program received and sent on its connection, protocol headers included; null where it can't tell. */
  readonly received: number | null;
  readonly sent: number | null;
  /** Echo lines that never came back: when they were sent, run time. */
  readonly lostAt: readonly number[];
  /** Length of an echo line, bytes. */
  readonly lineBytes: number;
}

type Started = { readonly workload: string; readonly kind: WorkloadRecord["kind"]; readonly client: string; readonly log: string; readonly expectedBytes: number | null; readonly expectedSha256: string | null };

/** Reads the clients' logs of a run, in the order in which the workloads were started. */
export async function workloadLogs(folder: RunFolder, events: readonly EventLine[], clocks: ReadonlyMap<string, HostClock>): Promise<WorkloadLog[]> {
  const started = events.filter((line) => line.host === "" && line.body.type === "workloadStarted");
  return Promise.all(started.map(async ({ at, body }) => readLog(body as unknown as Started, at, await folder.readClientLog((body as unknown as Started).log), clocks)));
}

function readLog(started: Started, startedAt: number, lines: readonly Record<string, unknown>[], clocks: ReadonlyMap<string, HostClock>): WorkloadLog {
  const clock = clocks.get(started.client);
  const end = lines.find((line) => line.type === "end");
  const start = lines.find((line) => line.type === "start");
  const curl = (end?.curl ?? {}) as Record<string, unknown>;
  const time = (line: Record<string, unknown> | undefined) => (clock && typeof line?.mono === "number" ? clock.fromMono(line.mono) : null);
  const verdict = judge(started, end);
  const bytes = number(end?.bytes) ?? 0;
  const lastLine = lines.findLast((line) => line.type === "stderr");
  return {
    record: {
      name: started.workload,
      kind: started.kind,
      client: started.client,
      ok: verdict === null,
      reason: verdict === null ? null : lastLine ? `${verdict}: ${String(lastLine.text).trim().slice(0, 300)}` : verdict,
      bytes,
      expectedBytes: started.expectedBytes,
      sha256: text(end?.sha256),
      expectedSha256: started.kind === "upload" ? answeredHash(end) : started.expectedSha256,
      lost: started.kind === "echo" ? number(end?.lost) : null,
      repeated: started.kind === "echo" && end ? (number(end.repeated) ?? 0) + (number(end.corrupted) ?? 0) : null,
      startedAt: time(start) ?? startedAt,
      endedAt: time(end),
    },
    clientPort: number(start?.localPort) ?? number(curl.local_port),
    received: started.kind === "echo" ? number(end?.bytes) : sum(curl.size_download, curl.size_header),
    sent: started.kind === "echo" ? null : sum(curl.size_upload, curl.size_request),
    lostAt: clock ? ((end?.missing ?? []) as [number, number][]).map(([, mono]) => clock.fromMono(mono)) : [],
    lineBytes: end && (number(end.received) ?? 0) > 0 ? Math.ceil((number(end.bytes) ?? 0) / (number(end.received) ?? 1)) : 0,
  };
}

/** What is wrong with a workload's outcome; null when it is exact. */
function judge(started: Started, end: Record<string, unknown> | undefined): string | null {
  if (!end) return "the client left no end in its log";
  if (end.ok !== true) return text(end.reason) ?? "the exchange was not exact";
  if (started.kind === "echo") return null;
  if (started.expectedBytes !== null && end.bytes !== started.expectedBytes) return `${String(end.bytes)} bytes instead of ${started.expectedBytes}`;
  if (started.kind === "download" && started.expectedSha256 !== null && end.sha256 !== started.expectedSha256) return "the file's SHA-256 differs";
  if (started.kind === "upload") {
    const answered = answeredHash(end);
    if (answered === null) return "the server's answer names no SHA-256";
    if (answered !== end.sha256) return "the SHA-256 of what the server got differs";
  }
  return null;
}

/** The SHA-256 that the server of an upload says it got. */
function answeredHash(end: Record<string, unknown> | undefined): string | null {
  return /\b[0-9a-f]{64}\b/.exec(text(end?.answer) ?? "")?.[0] ?? null;
}

/**
 * Application bytes that a handoff lost or repeated. A transfer that came out exact lost none. One that did not is charged to the last handoff
 * before its end when the lengths tell how many bytes are wrong, and makes the figure unknown when they don't.
 */
export function addByteLosses(records: readonly HandoffRecord[], logs: readonly WorkloadLog[]): HandoffRecord[] {
  return records.map((record) => {
    const from = record.startAt ?? record.decidedAt;
    if (from === null) return record;
    const to = record.firstPacketAt ?? from;
    const own = logs.filter(({ record: w }) => w.client === record.client && w.startedAt <= to && (w.endedAt ?? Infinity) >= from);
    if (own.length === 0) return record;
    const losses = own.map((log) => lossesOf(log, record, records));
    if (losses.includes(null)) return record;
    const known = losses as { readonly lost: number; readonly duplicated: number }[];
    return { ...record, bytesLost: known.reduce((total, l) => total + l.lost, 0), bytesDuplicated: known.reduce((total, l) => total + l.duplicated, 0) };
  });
}

const margin = 2000;

function lossesOf(log: WorkloadLog, handoff: HandoffRecord, all: readonly HandoffRecord[]): { readonly lost: number; readonly duplicated: number } | null {
  const { record } = log;
  if (record.ok) return { lost: 0, duplicated: 0 };
  if (record.kind === "echo") {
    if (record.lost === null || record.repeated !== 0) return null;
    const from = (handoff.startAt ?? 0) - margin;
    const to = (handoff.firstPacketAt ?? handoff.startAt ?? 0) + margin;
    return { lost: log.lostAt.filter((at) => at >= from && at <= to).length * log.lineBytes, duplicated: 0 };
  }
  if (record.expectedBytes === null || record.bytes === record.expectedBytes) return null;
  const last = all.filter((other) => other.client === record.client && (other.startAt ?? Infinity) <= (record.endedAt ?? Infinity)).at(-1);
  if (last?.id !== handoff.id) return { lost: 0, duplicated: 0 };
  return { lost: Math.max(0, record.expectedBytes - record.bytes), duplicated: Math.max(0, record.bytes - record.expectedBytes) };
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function sum(a: unknown, b: unknown): number | null {
  return typeof a === "number" && typeof b === "number" ? a + b : null;
}
