import type { HandoffRecord } from "../../src-shared/api/summary.ts";
import type { Address } from "../../src-shared/net/address.ts";
import type { Column } from "./columns.ts";
import type { ConnectionFacts } from "./connection-facts.ts";
import { csv } from "./csv.ts";
import type { CaptureFacts } from "./facts.ts";

export const binMs = 100;

/** One client in one bin. Nulls where nothing was measured. */
export interface SeriesRow {
  readonly timeMs: number;
  readonly client: string;
  readonly downMbit: number;
  readonly upMbit: number;
  readonly rttMs: number | null;
  readonly retransmits: number;
  readonly servingNode: string | null;
}

/** When which member served a client, ascending; from clientServed events. */
export interface Serving {
  readonly client: string;
  readonly at: number;
  readonly member: string;
}

/** Goodput is payload that was new to its receiver: arriving at the client, and acknowledged to the client. */
export function seriesRows(facts: CaptureFacts, clients: readonly { readonly name: string; readonly address: Address }[], serving: readonly Serving[], durationMs: number): SeriesRow[] {
  const bins = Math.max(0, Math.ceil(durationMs / binMs));
  return clients.flatMap(({ name, address }) => {
    const connections = [...facts.connections.values()].filter((connection) => connection.client === address);
    const down = new Float64Array(bins);
    const up = new Float64Array(bins);
    const retransmits = new Float64Array(bins);
    const rtt: number[][] = Array.from({ length: bins }, () => []);
    for (const connection of connections) addConnection(connection, { down, up, retransmits, rtt });
    const toMbit = (bytes: number) => (bytes * 8) / (binMs * 1000);
    return Array.from({ length: bins }, (_, bin) => ({
      timeMs: bin * binMs,
      client: name,
      downMbit: toMbit(down[bin] as number),
      upMbit: toMbit(up[bin] as number),
      rttMs: mean(rtt[bin] as number[]),
      retransmits: retransmits[bin] as number,
      servingNode: serving.findLast((s) => s.client === name && s.at < (bin + 1) * binMs)?.member ?? null,
    }));
  });
}

interface Bins {
  readonly down: Float64Array;
  readonly up: Float64Array;
  readonly retransmits: Float64Array;
  readonly rtt: readonly number[][];
}

function addConnection(connection: ConnectionFacts, bins: Bins): void {
  addAdvance(connection.downAt, connection.downTo, bins.down);
  addAdvance(connection.upAt, connection.upTo, bins.up);
  for (let i = 0; i < connection.retransmitAt.length; i++) increase(bins.retransmits, connection.retransmitAt.at(i), 1);
  for (let i = 0; i < connection.rttAt.length; i++) bins.rtt[Math.floor(connection.rttAt.at(i) / binMs)]?.push(connection.rttMs.at(i));
}

function addAdvance(at: Column, to: Column, bins: Float64Array): void {
  let before = 0;
  for (let i = 0; i < at.length; i++) {
    increase(bins, at.at(i), to.at(i) - before);
    before = to.at(i);
  }
}

function increase(bins: Float64Array, at: number, by: number): void {
  const bin = Math.floor(at / binMs);
  if (bin >= 0 && bin < bins.length) bins[bin] = (bins[bin] as number) + by;
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** `series.csv`: one row per client and bin. */
export function seriesCsv(rows: readonly SeriesRow[]): string {
  return csv(
    ["time_ms", "client", "goodput_down_mbit_per_s", "goodput_up_mbit_per_s", "rtt_ms", "retransmits", "serving_node"],
    rows.map((r) => [r.timeMs, r.client, round(r.downMbit, 6), round(r.upMbit, 6), round(r.rttMs, 3), r.retransmits, r.servingNode]),
  );
}

/** `handoffs.csv`: one row per handoff; durations and instants in ms. */
export function handoffsCsv(records: readonly HandoffRecord[]): string {
  const factors = [...new Set(records.flatMap((record) => Object.keys(record.point)))].sort();
  const latencies = [...new Set(records.flatMap((record) => Object.keys(record.latencies)))];
  const about = (r: HandoffRecord) => [r.id, r.ok, r.counts, r.client, r.connections, r.contact, r.donor, r.acceptor, r.mode, r.repetition];
  const instants = (r: HandoffRecord) => [r.decidedAt, r.startAt, r.frozenAt, r.firstPacketAt].map((x) => round(x, 4));
  const durations = (r: HandoffRecord) => [r.predictedMs, r.measuredMs, r.clockErrorMs, r.decisionMs, r.drainMs, r.frozenMs, r.clientGapMs, r.predictedGapMs].map((x) => round(x, 4));
  const header = [
    "id,ok,counts,client,connections,contact,donor,acceptor,mode,repetition".split(","),
    factors.map((name) => `factor_${name}`),
    latencies.map((name) => `${name}_ms`),
    "decided_at_ms,start_at_ms,frozen_at_ms,first_packet_at_ms".split(","),
    "predicted_ms,measured_ms,clock_error_ms,decision_ms,drain_ms,frozen_ms,client_gap_ms,predicted_gap_ms".split(","),
    "bytes_lost,bytes_duplicated,state_bytes,reason".split(","),
  ];
  const rows = records.map((r) => [
    about(r),
    factors.map((name) => r.point[name] ?? null),
    latencies.map((name) => r.latencies[name] ?? null),
    instants(r),
    durations(r),
    [r.bytesLost, r.bytesDuplicated, r.stateBytes, r.reason],
  ]);
  return csv(header.flat(), rows.map((row) => row.flat()));
}

function round(value: number | null, digits: number): number | null {
  return value === null ? null : Number(value.toFixed(digits));
}
