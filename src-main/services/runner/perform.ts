import type { Moment, ScenarioFile, ScenarioStep } from "../../../src-shared/api/scenario.ts";
import { Problem } from "../../problem.ts";
import { settingOf } from "../../testbeds/links.ts";
import type { EventLog } from "./event-log.ts";
import type { Handoffs } from "./handoffs.ts";
import type { ExperimentPoint } from "./points.ts";
import type { LabSession } from "./session.ts";
import type { Workloads } from "./workloads.ts";

/** What steps act on. */
export interface Stage {
  readonly session: LabSession;
  readonly scenario: ScenarioFile;
  readonly events: EventLog;
  readonly workloads: Workloads;
  readonly handoffs: Handoffs;
  readonly abort: AbortSignal;
}

/** A step's name and target in one line, for logs and progress. */
export function describeStep(step: ScenarioStep): string {
  if (step.parallel) return `parallel: ${step.parallel.map((lane) => lane.length).join(" and ")} steps`;
  const [name, value] = Object.entries(step).find(([key]) => key !== "when") as [string, unknown];
  return `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`;
}

/** Carries out one step. Rejects with a Problem when it can't be done; a refused handoff is recorded instead. */
export async function perform(step: ScenarioStep, point: ExperimentPoint, repetition: number, stage: Stage): Promise<void> {
  if (step.parallel) return sideBySide(step.parallel, point, repetition, stage);
  const { session, scenario, events, workloads, handoffs } = stage;
  const { contact, address } = scenario.group;
  const about = (client: string) => ({ home: address, client: addressOf(session, client) });
  if (step.start !== undefined) await Promise.all(several(step.start).map((name) => workloads.start(name)));
  if (step.stop !== undefined) await Promise.all(several(step.stop).map((name) => workloads.stop(name)));
  if (step.wait !== undefined) await (typeof step.wait === "number" ? pause(step.wait, stage.abort) : workloads.wait(step.wait.for, step.wait.atMost));
  if (step.optimise) await optimise(step.optimise.client, stage);
  if (step.prepare) await session.call(contact, "prepare", about(step.prepare.client));
  if (step.discardTokens) await session.call(contact, "discardTokens", about(step.discardTokens.client));
  if (step.handOver) {
    if (step.handOver.at) await reached(step.handOver.at, stage);
    await handoffs.handOver(step.handOver, point, repetition);
  }
  if (step.linkSet) {
    const links = step.linkSet.map(settingOf);
    await session.linkSet(links);
    events.manager({ type: "linksSet", links });
  }
  if (step.stopNode !== undefined) await session.stopNode(step.stopNode);
  if (step.killAgent !== undefined) await session.killAgent(step.killAgent);
  if (step.expect) await handoffs.expect(step.expect);
}

/** Runs lists of steps at once. The first failure is what the whole step fails with, after every list has come to its end. */
async function sideBySide(lanes: NonNullable<ScenarioStep["parallel"]>, point: ExperimentPoint, repetition: number, stage: Stage): Promise<void> {
  const outcomes = await Promise.allSettled(
    lanes.map(async (steps) => {
      for (const step of steps) await perform(step, point, repetition, stage);
    }),
  );
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed) throw failed.reason;
}

const optimisePatienceMs = 30_000;

/** The contact may be at it already, by its own choice: what counts is that the client is served that way in the end. */
async function optimise(client: string, { session, scenario, handoffs }: Stage): Promise<void> {
  const { contact, address } = scenario.group;
  try {
    await session.call(contact, "optimise", { home: address, client: addressOf(session, client) });
  } catch (error) {
    await handoffs.expect({ client, member: contact, how: "optimised", within: optimisePatienceMs }).catch(() => {
      throw error;
    });
  }
}

const lookEveryMs = 20;

/** Waits for a moment. A transfer that ends before it rejects: the handoff would move nothing. */
async function reached(moment: Moment, stage: Stage): Promise<void> {
  if ("after" in moment) return pause(moment.after, stage.abort);
  const { workload, percent } = moment;
  while ((stage.workloads.progress(workload) ?? 0) * 100 < percent) {
    if (stage.workloads.isOver(workload)) {
      throw new Problem({ code: "scenario.moment", what: `workload ${workload} ended before it had moved ${percent} % of its bytes`, remedy: "Make the file larger, the link slower, or the percentage smaller." });
    }
    await pause(lookEveryMs, stage.abort);
  }
}

/** Rejects at once when the run is to end. */
export function pause(ms: number, abort: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (abort.aborted) return reject(interrupted());
    const done = () => {
      abort.removeEventListener("abort", stop);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const stop = () => {
      clearTimeout(timer);
      reject(interrupted());
    };
    abort.addEventListener("abort", stop, { once: true });
  });
}

export function interrupted(): Problem {
  return new Problem({ code: "run.interrupted", what: "the run was stopped", remedy: "The run folder holds what had been measured until then.", exitCode: 130 });
}

function several(names: string | readonly string[]): readonly string[] {
  return typeof names === "string" ? [names] : names;
}

function addressOf(session: LabSession, host: string): string {
  const found = session.hosts.find((h) => h.name === host);
  if (!found) throw new Error(`no host ${host} in the lab`);
  return found.address;
}
