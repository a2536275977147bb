import type { HandoffRecord, RunSummary } from "../../src-shared/api/summary.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import type { CaptureFacts } from "./facts.ts";
import { aftermathMs, connectionGap, type HandoffWindow } from "./gaps.ts";

/** The figures of a run that only its capture gives. */
export interface CaptureFigures {
  readonly byteShare: NonNullable<RunSummary["byteShare"]>;
  readonly resetsSeen: number;
}

/** Adds to each record what its client saw: the silence of each connection, and the worst of them less its period. */
export function addGaps(records: readonly HandoffRecord[], facts: CaptureFacts): HandoffRecord[] {
  const windows = records.map((record) => windowOf(record, records));
  return records.map((record, index) => {
    const window = windows[index];
    if (!window) return record;
    const client = parseAddress(record.clientAddress);
    const others = windows.filter((other, i): other is HandoffWindow => other !== null && records[i]?.client === record.client);
    const gaps = [...facts.connections.values()].flatMap((connection) => (connection.client === client ? (connectionGap(connection, window, others) ?? []) : []));
    const clientGapMs = gaps.length === 0 ? null : Math.max(...gaps.map((gap) => Math.max(0, gap.gapMs - gap.periodMs)));
    return { ...record, gaps, clientGapMs };
  });
}

/** From the freeze to a while after the acceptor's first packet, but not into the client's next handoff: that has a silence of its own. */
function windowOf(record: HandoffRecord, all: readonly HandoffRecord[]): HandoffWindow | null {
  const from = startOfSilence(record);
  if (from === null || record.firstPacketAt === null) return null;
  const next = all.flatMap((other) => (other.client === record.client ? (startOfSilence(other) ?? []) : [])).filter((at) => at > from);
  return { from, to: Math.max(record.firstPacketAt, Math.min(record.firstPacketAt + aftermathMs, ...next)) };
}

function startOfSilence(record: HandoffRecord): number | null {
  return record.frozenAt ?? record.startAt;
}

export function captureFigures(facts: CaptureFacts): CaptureFigures {
  const sum = { homeAgent: 0, contact: 0, direct: 0 };
  let resetsSeen = 0;
  for (const connection of facts.connections.values()) {
    sum.homeAgent += connection.pathBytes.homeAgent;
    sum.contact += connection.pathBytes.contact;
    sum.direct += connection.pathBytes.direct;
    resetsSeen += connection.resetAt.length;
  }
  const all = sum.homeAgent + sum.contact + sum.direct;
  const share = (bytes: number) => (all === 0 ? 0 : bytes / all);
  return { byteShare: { homeAgent: share(sum.homeAgent), contact: share(sum.contact), direct: share(sum.direct) }, resetsSeen };
}
