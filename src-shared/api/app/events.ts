import { z } from "zod";
import { labPatch, labSummary } from "./lab.ts";
import { handoff, labEvent, liveSample } from "./live.ts";
import { preferences } from "./preferences.ts";
import { run } from "./run.ts";
import { terminal } from "./terminal.ts";
import { bytes, count, id } from "./text.ts";
import { logLine, question, task } from "./work.ts";

/**
 * Every event of the manager to its windows, once. All but `terminal.data` go to every window.
 * `sheddable` ones may be left out for a window that cannot keep up; `events.lost` then says how many.
 */
export const appEvents = {
  "lab.list": { payload: z.array(labSummary).max(200), sheddable: false },
  "lab.patch": { payload: labPatch, sheddable: false },
  "task.changed": { payload: task, sheddable: false },
  "task.log": { payload: z.object({ task: id, lines: z.array(logLine).max(1000) }), sheddable: true },
  "question.asked": { payload: question, sheddable: false },
  "question.settled": { payload: z.object({ question: id }), sheddable: false },
  "preferences.changed": { payload: preferences, sheddable: false },
  /** What agents tell, gathered for 50 to 100 ms. `lost` counts events that an agent told and the manager did not get. */
  "agent.events": { payload: z.object({ lab: id, lost: count, events: z.array(labEvent).max(1000) }), sheddable: true },
  "events.lost": { payload: z.object({ count }), sheddable: false },
  "handoff.changed": { payload: z.object({ lab: id, handoffs: z.array(handoff).max(1000) }), sheddable: false },
  "live.sample": { payload: z.object({ lab: id, sample: liveSample }), sheddable: true },
  "host.log": { payload: z.object({ lab: id, host: id, lines: z.array(logLine).max(1000) }), sheddable: true },
  "run.changed": { payload: run, sheddable: false },
  "run.log": { payload: z.object({ run: id, lines: z.array(logLine).max(1000) }), sheddable: true },
  "terminal.data": { payload: z.object({ terminal: id, data: bytes }), sheddable: false },
  "terminal.changed": { payload: terminal, sheddable: false },
} as const;

export type AppEventName = keyof typeof appEvents;
export type AppEvent<N extends AppEventName> = z.output<(typeof appEvents)[N]["payload"]>;

export function isAppEvent(name: unknown): name is AppEventName {
  return typeof name === "string" && Object.hasOwn(appEvents, name);
}
