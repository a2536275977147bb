import type { Handoff, HandoffDetail, LadderMessage, LadderStep } from "../../../src-shared/api/app/live.ts";
import type { AgentEventBody } from "../../../src-shared/api/events.ts";
import type { HandoffStepName } from "../../../src-shared/api/handoff.ts";
import { handoffStep } from "../../../src-shared/api/handoff.ts";
import type { HandoffRecord } from "../../../src-shared/api/summary.ts";

/** Who takes part besides those the record names, and how windows call them. */
export interface HandoffScene {
  /** The wall clock, ms since 1970, at the zero of the record's instants. */
  readonly zeroWall: number;
  readonly group: string;
  readonly home: string;
  readonly homeAgent: string;
  /** Id of the client's column, which may be another than its host's. */
  readonly clientId: string;
  /** Host by address, the client's column included. */
  readonly columnOf: ReadonlyMap<string, string>;
}

/** A Mobility Header message that an agent told, in the record's time. */
export interface ToldMessage {
  readonly host: string;
  readonly at: number;
  readonly body: Extract<AgentEventBody, { type: "message" }>;
}

/** A handoff in one row. `running` until it is over. */
export function handoffRow(record: HandoffRecord, scene: HandoffScene, running = false): Handoff {
  const { measuredMs, clockErrorMs } = record;
  return {
    id: record.id,
    group: scene.group,
    home: scene.home,
    client: scene.clientId,
    clientName: record.client,
    donor: record.donor,
    acceptor: record.acceptor,
    mode: record.mode,
    state: running ? "running" : record.ok ? "done" : "failed",
    reason: running ? null : record.reason,
    startedAt: scene.zeroWall + (record.startAt ?? record.decidedAt ?? 0),
    predictedMs: record.predictedMs,
    // What the clocks' error could have made up is no figure.
    measuredMs: measuredMs !== null && measuredMs >= clockErrorMs ? measuredMs : null,
    errorMs: clockErrorMs,
    clientGapMs: record.clientGapMs,
    connections: record.connections,
    bytes: record.stateBytes ?? 0,
  };
}

/** The handoff with its ladder, from the told instants and messages. */
export function handoffDetailOf(record: HandoffRecord, scene: HandoffScene, told: readonly ToldMessage[], running = false): HandoffDetail {
  const start = record.startAt ?? record.decidedAt ?? 0;
  return {
    handoff: handoffRow(record, scene, running),
    decisionMs: positive(record.decisionMs),
    drainMs: positive(record.drainMs),
    frozenMs: positive(record.frozenMs),
    columns: columnsOf(record, scene),
    steps: stepsOf(record, start),
    messages: messagesOf(record, scene, told, start),
    silence: silenceOf(record, start),
  };
}

const positive = (value: number | null): number | null => (value === null ? null : Math.max(0, value));

const roles = ["homeAgent", "contact", "donor", "acceptor", "client"] as const;

function columnsOf(record: HandoffRecord, scene: HandoffScene): HandoffDetail["columns"] {
  const ids = { homeAgent: scene.homeAgent, contact: record.contact, donor: record.donor, acceptor: record.acceptor, client: scene.clientId };
  const columns = new Map<string, HandoffDetail["columns"][number]>();
  for (const role of roles) {
    const id = ids[role];
    columns.set(id, { id, name: role === "client" ? record.client : id, roles: [...(columns.get(id)?.roles ?? []), role] });
  }
  return [...columns.values()];
}

const atContact: readonly HandoffStepName[] = ["decided", "homeTestInit", "homeTest", "done"];
const atDonor: readonly HandoffStepName[] = ["frozen", "stateSent"];

function stepsOf(record: HandoffRecord, start: number): LadderStep[] {
  const shares = new Map(record.steps.map((step) => [step.to, step]));
  return handoffStep.options
    .flatMap((name): LadderStep[] => {
      const at = record.instants[name];
      if (at === undefined) return [];
      const share = shares.get(name);
      const column = atContact.includes(name) ? record.contact : atDonor.includes(name) ? record.donor : record.acceptor;
      return [{ name, column, at: at - start, errorMs: record.clockErrorMs / 2, predictedMs: share ? Math.max(0, share.predictedMs) : null, measuredMs: share?.measuredMs ?? null }];
    })
    .sort((a, b) => a.at - b.at);
}

/** Messages of this handoff are told within this time around its first and last instant, ms. */
const marginMs = 5;
const mostMessages = 400;

function messagesOf(record: HandoffRecord, scene: HandoffScene, told: readonly ToldMessage[], start: number): LadderMessage[] {
  const instants = Object.values(record.instants);
  const from = Math.min(start, ...instants) - marginMs;
  const to = Math.max(start, ...instants) + marginMs;
  const about = told.filter(({ at, body }) => at >= from && at <= to && (body.source === record.clientAddress || body.destination === record.clientAddress));
  const { stateSent, stateReceived, firstPacket } = record.instants;
  return [
    ...paired(about, scene, record, start).slice(0, mostMessages),
    ...(stateSent === undefined ? [] : [{ from: record.donor, to: record.acceptor, via: null, sentAt: stateSent - start, receivedAt: stateReceived === undefined ? null : stateReceived - start, arrivalWatched: true, label: "state, tokens", summary: `connections and tokens, ${record.stateBytes ?? "?"} bytes` }]),
    ...(firstPacket === undefined ? [] : [{ from: record.acceptor, to: scene.clientId, via: null, sentAt: firstPacket - start, receivedAt: null, arrivalWatched: false, label: "first packet", summary: "first packet of a moved connection" }]),
  ].sort((a, b) => (a.sentAt ?? a.receivedAt ?? 0) - (b.sentAt ?? b.receivedAt ?? 0));
}

/** What both ends told of one message; its words are the same at both, but for the tunnel that one of them is in. */
function paired(told: readonly ToldMessage[], scene: HandoffScene, record: HandoffRecord, start: number): LadderMessage[] {
  const waiting = new Map<string, ToldMessage[]>();
  for (const each of told) if (each.body.direction === "received") waiting.set(keyOf(each), [...(waiting.get(keyOf(each)) ?? []), each]);
  const toColumn = (host: string) => (host === record.client ? scene.clientId : host);
  const message = (sent: ToldMessage | undefined, received: ToldMessage | undefined): LadderMessage[] => {
    const { body } = (sent ?? received) as ToldMessage;
    const from = sent ? toColumn(sent.host) : scene.columnOf.get(body.source);
    const to = received ? toColumn(received.host) : scene.columnOf.get(body.destination);
    if (from === undefined || to === undefined || from === to) return [];
    const tunnelled = sent?.body.tunnelled || received?.body.tunnelled;
    return [{ from, to, via: tunnelled && from !== scene.homeAgent && to !== scene.homeAgent ? scene.homeAgent : null, sentAt: sent ? sent.at - start : null, receivedAt: received ? received.at - start : null, arrivalWatched: true, label: body.summary.split(" ")[0] ?? "", summary: body.summary }];
  };
  const sent = told.filter(({ body }) => body.direction === "sent").flatMap((each) => message(each, waiting.get(keyOf(each))?.shift()));
  return [...sent, ...[...waiting.values()].flat().flatMap((each) => message(undefined, each))];
}

function keyOf({ body }: ToldMessage): string {
  return body.summary.replace(/, tunnel .*$/, "");
}

/** The client's silence is measured; where it lies follows from the acceptor's first packet and the path to the client. */
function silenceOf(record: HandoffRecord, start: number): HandoffDetail["silence"] {
  const longest = [...record.gaps].sort((a, b) => b.gapMs - a.gapMs)[0];
  if (!longest || record.firstPacketAt === null) return null;
  const to = record.firstPacketAt - start + (record.latencies["L_AC"] ?? 0);
  return { from: to - longest.gapMs, to, usualMs: longest.controlMs };
}
