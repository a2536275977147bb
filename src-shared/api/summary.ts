import { z } from "zod";
import { service } from "./events.ts";
import { handoffMode, handoffStep } from "./handoff.ts";

/**
 * `summary.json` of a run folder (docs/run-folder.md says how each figure is taken). Instants are milliseconds after `startedAt` on the
 * manager's monotonic clock; durations are milliseconds; a figure that could not be taken is null, never 0.
 */

const ms = z.number();
const name = z.string().min(1).max(64);
const count = z.number().int().nonnegative();

/** One share of a handoff's time. `from` and `to` are the instants it lies between. */
export const summaryStep = z.object({ name, from: handoffStep, to: handoffStep, predictedMs: ms, measuredMs: ms.nullable() });

/** The silence of one connection around a handoff, seen at the client: longest gap, the same without a handoff, and the workload's own period. */
export const connectionGap = z.object({ connection: z.string(), gapMs: ms, periodMs: ms, controlMs: ms.nullable() });

export const handoffRecord = z.object({
  id: z.string(),
  ok: z.boolean(),
  /** Why it failed; null when it did not. */
  reason: z.string().nullable(),
  /** False for a handoff that a scenario only uses to go back: in no statistic. */
  counts: z.boolean(),
  client: name,
  clientAddress: z.string(),
  connections: count,
  contact: name,
  donor: name,
  acceptor: name,
  mode: handoffMode,
  decidedAt: ms.nullable(),
  startAt: ms.nullable(),
  frozenAt: ms.nullable(),
  firstPacketAt: ms.nullable(),
  predictedMs: ms,
  measuredMs: ms.nullable(),
  decisionMs: ms.nullable(),
  drainMs: ms.nullable(),
  /** firstPacketAt − frozenAt: how long the client's connections belonged to nobody. */
  frozenMs: ms.nullable(),
  clientGapMs: ms.nullable(),
  predictedGapMs: ms,
  gaps: z.array(connectionGap),
  bytesLost: count.nullable(),
  bytesDuplicated: count.nullable(),
  /** Bytes of connection state on the member link. */
  stateBytes: count.nullable(),
  steps: z.array(summaryStep),
  /** Every told instant, for the ladder. */
  instants: z.partialRecord(handoffStep, ms),
  /** The clocks' error that differences between hosts carry, ±. */
  clockErrorMs: ms.nonnegative(),
  /** One-way latencies in force, by the names of docs/protocol.md (L_KH, L_HC, L_DA, L_AC, L_DC). */
  latencies: z.record(z.string(), ms),
  /** The experiment's point, and which repetition of it. */
  point: z.record(z.string(), z.union([z.number(), z.string()])),
  repetition: count,
  /** Share of its bytes (0..1) that each running transfer of the client had moved when the handoff was asked for. */
  progress: z.record(z.string(), z.number().min(0).max(1)),
});
export type HandoffRecord = z.infer<typeof handoffRecord>;

/** measuredMs of one mode fitted to latencies, all points: `terms`; and on the crossed points, to L_CS and L_SS alone. */
export const regressionRecord = z.object({
  mode: handoffMode,
  terms: z.record(z.string(), z.number()),
  coefCS: z.number().nullable(),
  coefSS: z.number().nullable(),
  interceptMs: z.number(),
  r2: z.number(),
  n: count,
});
export type RegressionRecord = z.infer<typeof regressionRecord>;

/** Measured against predicted at one point of an experiment. */
export const pointRecord = z.object({
  mode: handoffMode,
  point: z.record(z.string(), z.union([z.number(), z.string()])),
  n: count,
  predictedMs: ms,
  medianMs: ms,
  medianResidualMs: ms,
});
export type PointRecord = z.infer<typeof pointRecord>;

export const workloadRecord = z.object({
  name,
  kind: z.enum(["download", "upload", "echo"]),
  client: name,
  /** Ended by itself and exactly. */
  ok: z.boolean(),
  reason: z.string().nullable(),
  bytes: count,
  expectedBytes: count.nullable(),
  sha256: z.string().nullable(),
  expectedSha256: z.string().nullable(),
  /** Lines of an echo. */
  lost: count.nullable(),
  repeated: count.nullable(),
  startedAt: ms,
  endedAt: ms.nullable(),
});
export type WorkloadRecord = z.infer<typeof workloadRecord>;

export const thresholdRecord = z.object({
  name: z.string(),
  metric: z.string(),
  ok: z.boolean(),
  /** Null when it could not be computed, which is never ok. */
  value: z.number().nullable(),
  compare: z.enum(["atMost", "atLeast", "equals", "about"]),
  limit: z.number(),
  /** The ± of `about`. */
  within: z.number().nullable(),
  unit: z.string(),
  /** Why there is no value. */
  reason: z.string().nullable(),
  /** Why it does not count that this one is missed. */
  setAside: z.string().optional(),
});
export type ThresholdRecord = z.infer<typeof thresholdRecord>;

export const runSummary = z.object({
  schema: z.literal("anycast-lab/summary/1"),
  ok: z.boolean(),
  scenario: name,
  startedAt: z.iso.datetime(),
  durationMs: ms,
  versions: z.record(z.string(), z.string()),
  /** What stopped the run before its end; null when nothing did. */
  error: z.object({ code: z.string(), message: z.string(), step: z.string().nullable() }).nullable(),
  handoffs: z.array(handoffRecord),
  workloads: z.array(workloadRecord),
  regression: z.array(regressionRecord),
  points: z.array(pointRecord),
  /** Share of the clients' TCP payload bytes (both directions, seen at the clients) by its path: through the home agent, to or through the contact, straight to another member. Null without a capture. */
  byteShare: z.object({ homeAgent: z.number(), contact: z.number(), direct: z.number() }).nullable(),
  /** How each client that came was served in the end, and why so: by its last clientServed event. */
  clientsServed: z.array(z.object({ client: z.string(), member: name, how: service, why: z.string() })).default([]),
  /** RST segments from X that reached a client. Null without a capture. */
  resetsSeen: count.nullable(),
  /** Packets the kernel could not keep for a capture, per host. */
  captureDrops: z.record(z.string(), count),
  thresholds: z.array(thresholdRecord),
});
export type RunSummary = z.infer<typeof runSummary>;

/** Estimate of a host's clocks: add the offset to the manager's clock to get the host's. ± `errorMs`. */
export const clockSample = z.object({ at: ms, monoOffsetMs: ms, wallOffsetMs: ms, errorMs: ms.nonnegative() });
export type ClockSample = z.infer<typeof clockSample>;

const levels = z.record(z.string(), z.union([z.number(), z.string()]));

/** What the manager itself writes into `events.jsonl`, beside the agents' events. */
export const managerEventBody = z.discriminatedUnion("type", [
  z.object({ type: z.literal("stepStarted"), step: z.string(), index: count, point: levels, repetition: count }),
  z.object({
    type: z.literal("handoffRequested"),
    handoff: z.string(),
    client: name,
    clientAddress: z.string(),
    contact: name,
    donor: name,
    acceptor: name,
    mode: handoffMode,
    counts: z.boolean(),
    point: levels,
    repetition: count,
    progress: z.record(z.string(), z.number()),
    /** One-way latencies in force, for each member that might turn out to be the donor. */
    latencies: z.record(z.string(), z.record(z.string(), ms)),
  }),
  z.object({ type: z.literal("handoffAnswered"), handoff: z.string(), failure: z.string().nullable() }),
  z.object({ type: z.literal("workloadStarted"), workload: name, kind: z.enum(["download", "upload", "echo"]), client: name, log: z.string(), expectedBytes: count.nullable(), expectedSha256: z.string().nullable() }),
  z.object({ type: z.literal("workloadEnded"), workload: name, exit: z.number().nullable() }),
  z.object({ type: z.literal("linksSet"), links: z.array(z.unknown()) }),
  z.object({ type: z.literal("captureEnded"), host: name, packets: count, dropped: count.nullable(), truncated: z.boolean() }),
  z.object({ type: z.literal("runFailed"), code: z.string(), message: z.string(), step: z.string().nullable() }),
  z.object({ type: z.literal("runEnded") }),
]);
export type ManagerEventBody = z.infer<typeof managerEventBody>;

/** One line of `events.jsonl`. `at` is run time, ± `errorMs`; `mono` and `wall` are the host's own clocks. The manager's own have `host` "". */
export const eventLine = z.object({ at: ms, errorMs: ms.nullable(), host: z.string(), mono: ms, wall: ms, sequence: count, body: z.record(z.string(), z.unknown()) });
export type EventLine = z.infer<typeof eventLine>;

/** `run.json`: what ran, where, with which versions and seed; enough to run it again and to place every packet and event in time. */
export const runDescription = z.object({
  schema: z.literal("anycast-lab/run/1"),
  scenario: name,
  title: z.string(),
  command: z.string(),
  startedAt: z.iso.datetime(),
  /** The manager's clocks at the zero of all instants. */
  zero: z.object({ mono: ms, wall: ms }),
  seed: z.union([z.number(), z.string()]),
  versions: z.record(z.string(), z.string()),
  manager: z.object({ node: z.string(), platform: z.string(), kernel: z.string(), cpus: count, memoryMB: count }),
  lab: z.object({ name: z.string(), kind: z.string() }),
  group: z.object({ id: name, address: z.string(), homeAgent: name, contact: name, members: z.array(name), memberPort: count }),
  hosts: z.array(
    z.object({
      name,
      site: z.string().nullable(),
      address: z.string(),
      interface: z.string(),
      role: z.enum(["homeAgent", "member", "client", "other"]),
      kernel: z.string().nullable(),
      agent: z.string().nullable(),
      dataPlane: z.object({ kind: z.string(), reason: z.string() }).nullable(),
      /** In a virtual machine of the lab, whose processor is usually emulated: what takes time there takes longer. */
      virtualMachine: z.boolean().optional(),
      /** Samples over the run, `at` in run time. */
      clock: z.array(clockSample),
    }),
  ),
});
export type RunDescription = z.infer<typeof runDescription>;
