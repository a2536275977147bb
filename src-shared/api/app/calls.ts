import { z } from "zod";
import { handoffMode } from "../handoff.ts";
import { deployPlan, sshConfigHost } from "./host.ts";
import { labState, labSummary, linkQuality } from "./lab.ts";
import { handoff, handoffDetail, labEvent } from "./live.ts";
import { preferences } from "./preferences.ts";
import { fileProblem, run, runDetail, runSeries, scenario } from "./run.ts";
import { columns, rows, terminal } from "./terminal.ts";
import { bytes, count, empty, id, line, longText } from "./text.ts";
import { logLine, question, task } from "./work.ts";

/** Raised whenever the two ends could misunderstand each other; `app.hello` refuses a window of another version. */
export const appProtocolVersion = 1;

const call = <A extends z.ZodType, V extends z.ZodType>(args: A, value: V) => ({ args, value });
const hosts = z.array(id).min(1).max(1000);
const hostTarget = z.strictObject({ target: z.string().min(1).max(300), name: z.string().min(1).max(64).nullable() });

/** Every call of the window to the manager, once: name to arguments and value. Both ends check both. */
export const appCalls = {
  /** First call of every window. `localLabs.reason` says why there are none here, e.g. "local labs need Linux". */
  "app.hello": call(
    z.strictObject({ protocol: z.number().int() }),
    z.object({ protocol: z.number().int(), version: line, shell: z.enum(["electron", "serve", "memory"]), platform: line, localLabs: z.object({ ok: z.boolean(), reason: line.nullable() }), preferences, openLab: id.nullable() }),
  ),
  "preferences.set": call(z.strictObject({ change: preferences.partial() }), preferences),
  /** Stops runs and captures, takes back every fault. The task's log says what was done. */
  "app.stopAll": call(empty, z.object({ task: id })),

  "task.list": call(empty, z.array(task).max(200)),
  "task.log": call(z.strictObject({ task: id, after: count }), z.array(logLine).max(5000)),
  "task.cancel": call(z.strictObject({ task: id }), empty),
  "question.list": call(empty, z.array(question).max(100)),
  /** `secret` null declines. */
  "question.answer": call(z.strictObject({ question: id, secret: z.string().max(4096).nullable() }), empty),

  "lab.list": call(empty, z.array(labSummary).max(200)),
  /** Brings a lab up (or reattaches to one that is) and opens it. */
  "lab.up": call(z.strictObject({ lab: id }), z.object({ task: id })),
  "lab.down": call(z.strictObject({ lab: id }), z.object({ task: id })),
  /** Makes this the lab whose events and patches are sent, and answers its state now. */
  "lab.open": call(z.strictObject({ lab: id }), labState),
  "lab.state": call(z.strictObject({ lab: id }), labState),

  "link.set": call(z.strictObject({ lab: id, link: id, there: linkQuality, back: linkQuality }), empty),
  "link.restore": call(z.strictObject({ lab: id, link: id }), empty),

  /** Adds hosts to the fleet. Names that are null are taken from the target. Nothing is connected to yet. */
  "host.add": call(z.strictObject({ hosts: z.array(hostTarget).min(1).max(500) }), z.object({ lab: id, hosts: z.array(id) })),
  "host.remove": call(z.strictObject({ lab: id, hosts }), empty),
  "host.connect": call(z.strictObject({ lab: id, hosts }), z.object({ task: id })),
  /** Accepts the offered key if it still has this fingerprint, writes it to known_hosts, and connects. */
  "host.acceptKey": call(z.strictObject({ lab: id, host: id, fingerprint: line }), empty),
  /** Replaces the keys on file. Only on purpose: `name` must be the host's name, typed by a person. */
  "host.replaceKey": call(z.strictObject({ lab: id, host: id, fingerprint: line, name: line }), empty),
  "host.preflight": call(z.strictObject({ lab: id, hosts }), z.object({ task: id })),
  "host.fix": call(z.strictObject({ lab: id, host: id, check: line }), z.object({ task: id })),
  "host.sshConfig": call(empty, z.object({ file: line, hosts: z.array(sshConfigHost).max(2000), problem: line.nullable() })),
  /** What an agent says about itself: bindings, clients, members. For people, as JSON text. */
  "host.inspect": call(z.strictObject({ lab: id, host: id }), z.object({ json: longText })),
  "host.log": call(z.strictObject({ lab: id, host: id, after: count }), z.array(logLine).max(5000)),
  "deploy.plan": call(z.strictObject({ lab: id, hosts }), z.array(deployPlan).max(1000)),
  "deploy.start": call(z.strictObject({ lab: id, hosts }), z.object({ task: id })),
  /** Removes what a deploy put on the hosts. */
  "deploy.undo": call(z.strictObject({ lab: id, hosts }), z.object({ task: id })),

  "handoff.start": call(z.strictObject({ lab: id, group: id, client: id, acceptor: id, mode: handoffMode, drain: z.boolean() }), z.object({ handoff: id })),
  "handoff.list": call(z.strictObject({ lab: id }), z.array(handoff).max(2000)),
  "handoff.get": call(z.strictObject({ lab: id, handoff: id }), handoffDetail),
  "events.recent": call(z.strictObject({ lab: id, limit: z.number().int().min(1).max(2000) }), z.array(labEvent).max(2000)),

  "capture.start": call(z.strictObject({ lab: id, hosts, headersOnly: z.boolean() }), z.object({ capture: id })),
  "capture.stop": call(z.strictObject({ lab: id, capture: id }), z.object({ file: line })),
  /** Opens the file in Wireshark where there is one; else answers why not and where the file is. */
  "capture.show": call(z.strictObject({ lab: id, capture: id }), z.object({ opened: z.boolean(), detail: line })),

  "scenario.list": call(empty, z.array(scenario).max(500)),
  "scenario.read": call(z.strictObject({ scenario: id }), z.object({ text: longText })),
  "scenario.check": call(z.strictObject({ text: longText }), z.array(fileProblem).max(100)),
  /** Keeps a scenario of the user's; refuses one with problems. */
  "scenario.save": call(z.strictObject({ name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/), text: longText }), scenario),
  /** `lab` null: the scenario brings its own lab up, which goes down with the run's end unless `keepLab`. */
  "run.start": call(z.strictObject({ scenario: id, lab: id.nullable(), keepLab: z.boolean().optional() }), z.object({ run: id })),
  "run.stop": call(z.strictObject({ run: id }), empty),
  "run.list": call(empty, z.array(run).max(2000)),
  "run.get": call(z.strictObject({ run: id }), runDetail),
  "run.log": call(z.strictObject({ run: id, after: count }), z.array(logLine).max(5000)),
  "run.series": call(z.strictObject({ run: id }), runSeries),
  /** One handoff of a run with its ladder. */
  "run.handoff": call(z.strictObject({ run: id, handoff: id }), handoffDetail),
  /** The self-contained HTML report. It is shown in a frame that may not run scripts. */
  "run.report": call(z.strictObject({ run: id }), z.object({ html: bytes, file: line })),

  "terminal.open": call(z.strictObject({ lab: id, host: id, columns, rows }), terminal),
  "terminal.list": call(empty, z.array(terminal).max(200)),
  /** Directs the terminal's output to this window, starting with its scrollback. */
  "terminal.attach": call(z.strictObject({ terminal: id, columns, rows }), z.object({ terminal, scrollback: bytes })),
  "terminal.write": call(z.strictObject({ terminal: id, data: bytes }), empty),
  "terminal.resize": call(z.strictObject({ terminal: id, columns, rows }), empty),
  /** Flow control: `bytes` of output were drawn. */
  "terminal.consumed": call(z.strictObject({ terminal: id, bytes: count }), empty),
  "terminal.close": call(z.strictObject({ terminal: id }), empty),
} as const;

export type AppCallName = keyof typeof appCalls;
export type AppArgs<N extends AppCallName> = z.input<(typeof appCalls)[N]["args"]>;
export type AppValue<N extends AppCallName> = z.output<(typeof appCalls)[N]["value"]>;

/** The names, for code that must not load the schemas (a sandboxed preload script has a copy of its own, checked against this). */
export const appCallNames = Object.keys(appCalls) as readonly AppCallName[];

/** Whether a name from outside is one of ours; inherited names such as "constructor" are not. */
export function isAppCall(name: unknown): name is AppCallName {
  return typeof name === "string" && Object.hasOwn(appCalls, name);
}
