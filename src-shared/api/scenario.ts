import { z } from "zod";
import { handoffMode } from "./handoff.ts";
import { path } from "./lab.ts";
import { parseDuration } from "./units.ts";

/**
 * The scenario file (docs/scenario-file.md): a lab, a group, what clients do, and the steps of a run. With `factors` it is an experiment:
 * its `steps` are run once for each point and repetition, with the point's values put in for `${name}`.
 */

const name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,62})$/, "a name: lower-case letters, digits and hyphens, at most 63");
const address = z.string().min(2).max(45);
const port = z.number().int().min(1).max(65535);
const bytes = z.number().int().min(1).max(1_000_000_000_000);

/** A duration as people write it: `10 ms`, `2.5 s`, `1 min`. Parsed to milliseconds. */
export const duration = z
  .string()
  .transform((text, context) => {
    try {
      return parseDuration(text);
    } catch (error) {
      context.issues.push({ code: "custom", message: (error as Error).message, input: text });
      return z.NEVER;
    }
  })
  .meta({ description: "A duration with its unit", examples: ["10 ms", "2.5 s", "1 min"] });

/** A file that every member's HTTP server offers: its content follows from `seed`, so that all members hold the same bytes. */
export const servedFile = z.strictObject({ path: z.string().regex(/^\/[A-Za-z0-9._/-]+$/, "a path such as /film.bin"), bytes, seed: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "letters, digits, . _ -").default("anycast") });
export type ServedFile = z.infer<typeof servedFile>;

/** What X offers: `echo` answers each line, `udp-echo` each datagram, `http` is an unmodified HTTP server on each member behind the HTTP adapter, `upload` takes PUT requests and answers their SHA-256. */
export const scenarioService = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("echo"), name, port }),
  z.strictObject({ kind: z.literal("udp-echo"), name, port }),
  z.strictObject({ kind: z.literal("http"), name, port, files: z.array(servedFile).max(100).default([]) }),
  z.strictObject({ kind: z.literal("upload"), name, port }),
]);
export type ScenarioService = z.infer<typeof scenarioService>;

export const scenarioGroup = z.strictObject({
  id: name,
  address,
  homeAgent: name,
  members: z.array(name).min(1).max(64),
  contact: name,
  backups: z.array(name).max(63).default([]),
  services: z.array(scenarioService).max(16),
});
export type ScenarioGroup = z.infer<typeof scenarioGroup>;

/** What a client host does. Each runs as an ordinary process on that host, started and stopped by steps. */
export const workload = z.discriminatedUnion("kind", [
  /** An unmodified curl that downloads `path`. */
  z.strictObject({ kind: z.literal("download"), name, client: name, service: name, path: z.string().regex(/^\/[A-Za-z0-9._/-]+$/, "a path such as /film.bin") }),
  /** An unmodified curl -T that uploads `bytes` generated from `seed`. */
  z.strictObject({ kind: z.literal("upload"), name, client: name, service: name, bytes, seed: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "letters, digits, . _ -").default("upload") }),
  /** Our interactive client: a numbered line each `period`, logged when sent and when its echo came. */
  z.strictObject({ kind: z.literal("echo"), name, client: name, service: name, period: duration, padding: z.number().int().min(0).max(1000).default(0) }),
]);
export type Workload = z.infer<typeof workload>;

/** The moment of a step: when `workload` has moved that share of its bytes, or that long after the previous step. */
export const moment = z.union([
  z.strictObject({ workload: name, percent: z.number().min(0).max(100) }),
  z.strictObject({ after: duration }),
]);
export type Moment = z.infer<typeof moment>;

const handOver = z.strictObject({
  client: name,
  to: name,
  mode: handoffMode,
  at: moment.optional(),
  drain: z.boolean().default(false),
  /** False for a way back that only restores the start: carried out, listed, but in no statistic. */
  counts: z.boolean().default(true),
});

const stepShapes = {
  /** Starts a workload, or several at once. */
  start: z.union([name, z.array(name).min(1)]),
  /** Ends a workload now: an echo after its last answer, a download where it is. */
  stop: z.union([name, z.array(name).min(1)]),
  /** Waits for a while, or until a workload has ended by itself. */
  wait: z.union([duration, z.strictObject({ for: name, atMost: duration.prefault("10 min") })]),
  /** Route optimisation to the contact itself, without a handoff. */
  optimise: z.strictObject({ client: name }),
  /** The contact fetches the client's home token in advance. */
  prepare: z.strictObject({ client: name }),
  /** The contact throws the client's tokens away, so that the next `full` handoff is a first one. */
  discardTokens: z.strictObject({ client: name }),
  handOver,
  /** Changes links as the lab file's `paths` describe them, between sites or hosts; what is not named stays. */
  linkSet: z.array(path).min(1),
  /** Stops the whole host: nothing answers any more. */
  stopNode: name,
  /** Kills the agent's process; the host stays up. */
  killAgent: name,
  /** Waits until the client is served by that member in that way; an error when it does not happen in time. */
  expect: z.strictObject({ client: name, member: name, how: z.enum(["tunnel", "optimised", "relayed"]).optional(), within: duration.prefault("10 s") }),
} as const;
export type StepName = keyof typeof stepShapes;
const stepNames = Object.keys(stepShapes) as StepName[];

type StepFields = { [N in StepName]?: z.ZodOptional<(typeof stepShapes)[N]> };
const stepFields = Object.fromEntries(Object.entries(stepShapes).map(([key, shape]) => [key, shape.optional()])) as Required<StepFields>;

const level = z.union([z.number(), z.string().max(64)]);
export type Level = z.infer<typeof level>;

const when = z.record(z.string(), z.union([level, z.array(level)]));
const oneName = (step: object) => Object.keys(step).filter((key) => key !== "when").length === 1;

/** One step: an object with one key, the step's name; and `when`, which names the only levels of factors at which it is carried out. */
const simpleStep = z
  .strictObject({ ...stepFields, when: when.optional() })
  .refine(oneName, `exactly one of ${stepNames.join(", ")}`)
  .meta({ minProperties: 1, maxProperties: 2 });

/** A step, or `parallel`: lists of steps that run side by side, until the last has ended. */
export const scenarioStep = z
  .strictObject({ ...stepFields, parallel: z.array(z.array(simpleStep).min(1)).min(2).max(100).optional(), when: when.optional() })
  .refine(oneName, `exactly one of ${[...stepNames, "parallel"].join(", ")}`)
  .meta({ minProperties: 1, maxProperties: 2 });
export type ScenarioStep = z.infer<typeof scenarioStep>;

/** A bound on a metric (docs/scenario-file.md lists them). Exactly one of `atMost`, `atLeast`, `equals`, or `about` with `within`. */
export const threshold = z
  .strictObject({
    name: z.string().min(1).max(200),
    metric: z.string().regex(/^[a-zA-Z0-9]+\([\w, ]*\)$/, "a metric such as median(clientGapMs) or coef(full, L_KH)"),
    atMost: z.number().optional(),
    atLeast: z.number().optional(),
    equals: z.number().optional(),
    about: z.number().optional(),
    within: z.number().nonnegative().optional(),
    unit: z.string().max(16).default(""),
  })
  .refine((t) => [t.atMost, t.atLeast, t.equals, t.about].filter((x) => x !== undefined).length === 1, "exactly one of atMost, atLeast, equals, about")
  .refine((t) => (t.about === undefined) === (t.within === undefined), "about needs within, and within needs about");
export type Threshold = z.infer<typeof threshold>;

const factorName = z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,31}$/, "a factor's name: a letter, then letters, digits, _");

export const scenarioFile = z.strictObject({
  name,
  title: z.string().min(1).max(120).optional(),
  description: z.string().max(4000).default(""),
  /** A lab file's path (relative to this file), the name of a shipped lab, or the lab itself in the lab file's own form. */
  lab: z.union([z.string().min(1), z.record(z.string(), z.unknown())]),
  group: scenarioGroup,
  clients: z.array(name).min(1).max(1000),
  workloads: z.array(workload).max(1000).default([]),
  /** Names whose values are crossed; each point of the experiment runs `steps` once per repetition. */
  factors: z.record(factorName, z.array(level).min(1).max(100)).optional(),
  /** Further names, by default computed from the factors: `"${L_CS}"`. A point may give them another value. */
  derived: z.record(factorName, level).default({}),
  /** Points beside the crossed ones. A factor that a point does not name takes each of its values. */
  points: z.array(z.record(factorName, level)).max(1000).default([]),
  repetitions: z.number().int().min(1).max(10_000).default(1),
  /** Shuffle the points anew in each repetition, so that slow changes of the machine fall on all alike. */
  interleave: z.boolean().default(true),
  seed: z.union([z.number().int(), z.string().max(64)]).default(1),
  /** Steps once before and once after the points (or the steps). */
  before: z.array(scenarioStep).max(10_000).default([]),
  steps: z.array(scenarioStep).min(1).max(10_000),
  after: z.array(scenarioStep).max(10_000).default([]),
  thresholds: z.array(threshold).max(200).default([]),
});
export type ScenarioFile = z.infer<typeof scenarioFile>;
