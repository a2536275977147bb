import { z } from "zod";
import { agentEvent } from "../events.ts";
import { handoffMode } from "../handoff.ts";
import { address, count, durationMs, id, line, wallMs } from "./text.ts";

/** An agent's event with its time on the manager's clock, known to within ± `errorMs`. */
export const labEvent = z.object({ host: id, at: wallMs, errorMs: durationMs.nullable(), event: agentEvent });
export type LabEvent = z.infer<typeof labEvent>;

/** A handoff in one row. Durations as defined in docs/report.md; null until known. */
export const handoff = z.object({
  id,
  group: id,
  home: address,
  client: address,
  clientName: line,
  donor: id,
  acceptor: id,
  mode: handoffMode,
  state: z.enum(["running", "done", "failed"]),
  reason: line.nullable(),
  /** Manager's wall clock at `startAt`. */
  startedAt: wallMs,
  predictedMs: durationMs.nullable(),
  measuredMs: z.number().nullable(),
  /** The clocks' error that `measuredMs` carries; a figure smaller than it is withheld. */
  errorMs: durationMs.nullable(),
  clientGapMs: durationMs.nullable(),
  connections: count,
  bytes: count,
});
export type Handoff = z.infer<typeof handoff>;

export const ladderRole = z.enum(["client", "homeAgent", "contact", "donor", "acceptor"]);

/** Times in a ladder are milliseconds after `startAt`, on the manager's clock; before it they are negative. */
export const ladderStep = z.object({
  name: line,
  column: id,
  at: z.number(),
  errorMs: durationMs.nullable(),
  /** This step's share of the predicted time, and what it took; null for an instant that has no share. */
  predictedMs: durationMs.nullable(),
  measuredMs: z.number().nullable(),
});
export type LadderStep = z.infer<typeof ladderStep>;

/**
 * One message between two columns. An end that was not seen is null; `arrivalWatched` false where nobody tells of arrivals of its kind, so that null says
 * nothing. `via` names the column that tunnelled it.
 */
export const ladderMessage = z.object({
  from: id,
  to: id,
  via: id.nullable(),
  sentAt: z.number().nullable(),
  receivedAt: z.number().nullable(),
  arrivalWatched: z.boolean(),
  label: line,
  summary: line,
});
export type LadderMessage = z.infer<typeof ladderMessage>;

/** A handoff with all its messages. `silence` is the client's longest stretch without a byte from X, `usualMs` the same without a handoff. */
export const handoffDetail = z.object({
  handoff,
  decisionMs: durationMs.nullable(),
  drainMs: durationMs.nullable(),
  frozenMs: durationMs.nullable(),
  columns: z.array(z.object({ id, name: line, roles: z.array(ladderRole).max(5) })).min(2).max(8),
  steps: z.array(ladderStep).max(100),
  messages: z.array(ladderMessage).max(500),
  silence: z.object({ from: z.number(), to: z.number(), usualMs: durationMs.nullable() }).nullable(),
});
export type HandoffDetail = z.infer<typeof handoffDetail>;

/** Half-second samples: goodput from X at each client that moved bytes, and clients per member. */
export const liveSample = z.object({
  at: wallMs,
  clients: z.array(z.object({ id, mbit: z.number().nonnegative() })).max(20_000),
  members: z.array(z.object({ name: id, clients: count, mbit: z.number().nonnegative() })).max(64),
});
export type LiveSample = z.infer<typeof liveSample>;
