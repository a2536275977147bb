import type { HandoffDetail, LadderMessage, LadderStep } from "../../src-shared/api/app/live.ts";
import { duration } from "./format.ts";
import { spreadLabels } from "../../src-shared/drawing/spread-labels.ts";

/** Where things lie in a ladder, in its own pixels. */
export const ladderSizes = { axis: 58, leastGap: 70, mostGap: 190, columnInset: 38, budget: 50, labels: 282, header: 64, footer: 30, labelHeight: 19, minHeight: 330 } as const;

export interface LadderColumn {
  readonly id: string;
  readonly name: string;
  /** One or two lines. */
  readonly roles: readonly string[];
  readonly x: number;
}
export interface LadderArrow {
  readonly label: string;
  readonly summary: string;
  /** From the sender, by way of a tunnel where there is one, to the receiver. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
  readonly labelX: number;
  readonly labelY: number;
  /** From the label to its arrow, where the label had to move away; else null. */
  readonly leader: { readonly x: number; readonly y: number } | null;
  /** An end was not seen: drawn dashed, from or to halfway. `assumed`: nobody watches for its arrival, so it is drawn as late as others on this path were. */
  readonly seen: "both" | "sent" | "received" | "assumed";
  readonly bent: boolean;
}
export interface LadderMark {
  readonly name: string;
  readonly at: number;
  readonly x: number;
  readonly y: number;
  readonly labelY: number;
  readonly time: string;
  readonly budget: LadderBudget | null;
}
/** A step's share of the predicted time beside what it took, drawn on the time axis. */
export interface LadderBudget {
  readonly top: number;
  readonly predictedBottom: number;
  readonly measuredBottom: number;
  readonly predicted: string;
  readonly measured: string;
  /** How much longer than predicted; null when within what clocks and a millisecond of work explain. */
  readonly overrun: string | null;
  readonly first: boolean;
}
export interface LadderModel {
  readonly width: number;
  readonly height: number;
  readonly columns: readonly LadderColumn[];
  readonly ticks: readonly { readonly y: number; readonly label: string }[];
  readonly zeroY: number;
  readonly arrows: readonly LadderArrow[];
  readonly marks: readonly LadderMark[];
  readonly silence: { readonly x: number; readonly top: number; readonly bottom: number; readonly label: string } | null;
  readonly budgetX: number;
  /** How many letters of a column's name fit. */
  readonly nameLength: number;
  readonly labelX: number;
}

const roleNames: Readonly<Record<string, string>> = { client: "client", homeAgent: "home agent", contact: "contact", donor: "donor", acceptor: "acceptor" };

/** Names of protocol messages are shorter, and better known, as their abbreviations. */
const stepNames: Readonly<Record<string, string>> = {
  homeTestInit: "HoTI sent",
  homeTest: "HoT received",
  careOfTestInit: "CoTI sent",
  careOfTest: "CoT received",
  bindingUpdate: "BU sent",
  bindingAcknowledgement: "BA received",
};

/** The name of a step as people read it: "stateSent" becomes "state sent". */
export function stepName(name: string): string {
  if (Object.hasOwn(stepNames, name)) return stepNames[name] as string;
  return name.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
}

/** Beyond this a step took longer than predicted for a reason: more than a millisecond, a tenth of its share, and the clocks' error. */
export function overrunMs(step: LadderStep): number | null {
  if (step.predictedMs === null || step.measuredMs === null) return null;
  const over = step.measuredMs - step.predictedMs;
  return over > Math.max(1, step.predictedMs / 10, step.errorMs ?? 0) ? over : null;
}

/** Lays a handoff out on a true time axis: `height` pixels for the whole of it, more where it would be too small to read; as wide as `width` where columns allow. */
export function ladderModel(detail: HandoffDetail, height: number, width = 960): LadderModel {
  const s = ladderSizes;
  const times = timesOf(detail);
  const from = Math.min(0, ...times);
  const to = Math.max(1, ...times);
  const body = Math.max(s.minHeight, height - s.header - s.footer, detail.steps.length * s.labelHeight);
  const y = (at: number) => s.header + ((at - from) / (to - from)) * body;
  const gap = Math.min(s.mostGap, Math.max(s.leastGap, (width - s.axis - 2 * s.columnInset - s.budget - s.labels) / Math.max(1, detail.columns.length - 1)));
  const columns = detail.columns.map((column, i): LadderColumn => ({ id: column.id, name: column.name, roles: twoLines(column.roles.map((role) => roleNames[role] ?? role)), x: s.axis + s.columnInset + i * gap }));
  const x = new Map(columns.map((column) => [column.id, column.x]));
  const budgetX = s.axis + 2 * s.columnInset + (columns.length - 1) * gap;
  const marks = marksOf(detail.steps, x, y, s.header + body);
  return {
    width: budgetX + s.budget + s.labels,
    height: s.header + body + s.footer,
    columns,
    ticks: ticksOf(from, to, body).map((at) => ({ y: y(at), label: tickLabel(at) })),
    zeroY: y(0),
    arrows: placeLabels(detail.messages.flatMap((message) => arrowOf(message, x, y, usualDelay(detail.messages, message)))),
    marks,
    silence: silenceOf(detail, x, y),
    budgetX,
    nameLength: Math.floor(gap / 7.6),
    labelX: budgetX + s.budget,
  };
}

/** Roles in at most two lines of about the same length. */
function twoLines(roles: readonly string[]): string[] {
  if (roles.length < 2) return [...roles];
  const half = Math.ceil(roles.length / 2);
  return [`${roles.slice(0, half).join(", ")},`, roles.slice(half).join(", ")];
}

function timesOf(detail: HandoffDetail): number[] {
  const ends = detail.messages.flatMap((m) => [m.sentAt, m.receivedAt]);
  return [...detail.steps.map((step) => step.at), ...ends, detail.silence?.from, detail.silence?.to].filter((at): at is number => typeof at === "number" && Number.isFinite(at));
}

function marksOf(steps: readonly LadderStep[], x: ReadonlyMap<string, number>, y: (at: number) => number, bottom: number): LadderMark[] {
  const ordered = [...steps].sort((a, b) => a.at - b.at);
  const firstOver = ordered.find((step) => overrunMs(step) !== null);
  const labels = spreadLabels(ordered.map((step) => y(step.at)), ladderSizes.labelHeight, ladderSizes.header, bottom);
  return ordered.map((step, i) => ({
    name: stepName(step.name),
    at: step.at,
    x: x.get(step.column) ?? 0,
    y: y(step.at),
    labelY: labels[i] ?? y(step.at),
    time: duration(step.at),
    budget: budgetOf(step, y, step === firstOver),
  }));
}

function budgetOf(step: LadderStep, y: (at: number) => number, first: boolean): LadderBudget | null {
  if (step.predictedMs === null || step.measuredMs === null) return null;
  const begin = step.at - step.measuredMs;
  const over = overrunMs(step);
  return {
    top: y(begin),
    predictedBottom: y(begin + step.predictedMs),
    measuredBottom: y(step.at),
    predicted: duration(step.predictedMs),
    measured: duration(step.measuredMs),
    overrun: over === null ? null : duration(over),
    first,
  };
}

/** How long messages took between the two ends of this one, either way: their median, ms; null where none was seen at both. */
function usualDelay(messages: readonly LadderMessage[], { from, to }: LadderMessage): number | null {
  const delays = messages
    .filter((m) => m.via === null && ((m.from === from && m.to === to) || (m.from === to && m.to === from)))
    .flatMap((m) => (m.sentAt === null || m.receivedAt === null ? [] : [m.receivedAt - m.sentAt]))
    .sort((a, b) => a - b);
  return delays[delays.length >> 1] ?? null;
}

function arrowOf(message: LadderMessage, x: ReadonlyMap<string, number>, y: (at: number) => number, usual: number | null): LadderArrow[] {
  const [fromX, toX] = [x.get(message.from), x.get(message.to)];
  if (fromX === undefined || toX === undefined || (message.sentAt === null && message.receivedAt === null)) return [];
  const assumed = message.sentAt !== null && message.receivedAt === null && !message.arrivalWatched ? message.sentAt + Math.max(0, usual ?? 0) : null;
  const seen = message.sentAt === null ? "received" : assumed !== null ? "assumed" : message.receivedAt === null ? "sent" : "both";
  const startY = y(message.sentAt ?? (message.receivedAt as number)) - (seen === "received" ? 14 : 0);
  const endY = y(message.receivedAt ?? assumed ?? (message.sentAt as number)) + (seen === "sent" ? 14 : 0);
  const middle = { x: (fromX + toX) / 2, y: (startY + endY) / 2 };
  const viaX = message.via === null ? undefined : x.get(message.via);
  const bend = viaX === undefined ? [] : [{ x: viaX, y: middle.y }];
  const start = seen === "received" ? middle : { x: fromX, y: startY };
  const end = seen === "sent" ? middle : { x: toX, y: endY };
  const points = [start, ...(seen === "both" || seen === "assumed" ? bend : []), end];
  const lead = points[1] ?? end;
  return [{ label: message.label, summary: message.summary, points, labelX: start.x + (lead.x - start.x) * 0.42, labelY: start.y + (lead.y - start.y) * 0.42 - 4, leader: null, seen, bent: points.length > 2 }];
}

/** Moves labels that would cover one another down, the later one; a leader then says which arrow they belong to. */
function placeLabels(arrows: readonly LadderArrow[]): LadderArrow[] {
  const placed: LadderArrow[] = [];
  for (const arrow of [...arrows].sort((a, b) => a.labelY - b.labelY)) {
    let labelY = arrow.labelY;
    const half = 4 + arrow.label.length * 3.4;
    while (placed.some((p) => Math.abs(p.labelY - labelY) < 13 && Math.abs(p.labelX - arrow.labelX) < half + 4 + p.label.length * 3.4)) labelY += 6;
    placed.push({ ...arrow, labelY, leader: labelY - arrow.labelY > 8 ? { x: arrow.labelX, y: arrow.labelY + 4 } : null });
  }
  return placed;
}

function silenceOf(detail: HandoffDetail, x: ReadonlyMap<string, number>, y: (at: number) => number): LadderModel["silence"] {
  const client = detail.columns.find((column) => column.roles.includes("client"));
  if (!detail.silence || !client) return null;
  const { from, to, usualMs } = detail.silence;
  const usual = usualMs === null ? "" : `, usually ${duration(usualMs)}`;
  return { x: x.get(client.id) ?? 0, top: y(from), bottom: y(to), label: `silent for ${duration(to - from)}${usual}` };
}

/** Round times, about one for every 60 pixels. */
function ticksOf(from: number, to: number, pixels: number): number[] {
  const rough = (to - from) / Math.max(2, pixels / 60);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((candidate) => candidate >= rough) ?? 10 * power;
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step) + 1 }, (_, i) => Math.round((first + i * step) / step) * step);
}

function tickLabel(at: number): string {
  const text = Number(at.toPrecision(6)).toString().replace("-", "\u2212");
  return `${text}\u202fms`;
}
