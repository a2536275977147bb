import type { HandoffRecord } from "../../../src-shared/api/summary.ts";
import type { LadderMessage } from "../ladder.ts";
import { figure, html, type Markup } from "./markup.ts";

const columnWidth = 170;
const left = 70;
const top = 46;
const bodyHeight = 420;
const stepsWidth = 330;

interface Column {
  readonly host: string;
  readonly roles: readonly string[];
}

/** One column per host that takes part, in the order client, home agent, contact, donor, acceptor; a host with two roles has one column. */
function columnsOf(record: HandoffRecord, homeAgent: string, messages: readonly LadderMessage[]): Column[] {
  const roles: readonly (readonly [host: string, role: string])[] = [
    [record.client, "client"],
    ...(messages.some((m) => m.via) ? [[homeAgent, "home agent"] as const] : []),
    ...(record.mode === "full" || record.contact === record.donor ? [[record.contact, "contact"] as const] : []),
    [record.donor, "donor"],
    [record.acceptor, "acceptor"],
  ];
  const hosts = [...new Set(roles.map(([host]) => host))];
  return hosts.map((host) => ({ host, roles: roles.filter(([h]) => h === host).map(([, role]) => role) }));
}

/** The message ladder: time runs down on a true scale, an arrow per message, each step's share of the prediction beside what it took. */
export function ladderSvg(record: HandoffRecord, messages: readonly LadderMessage[], homeAgent: string): Markup {
  const columns = columnsOf(record, homeAgent, messages);
  const start = record.startAt ?? 0;
  const total = Math.max(1, record.measuredMs ?? 0, record.predictedMs, ...messages.map((m) => Math.max(m.sentAt ?? 0, m.receivedAt ?? 0)));
  const y = (ms: number) => top + (Math.max(0, ms) / total) * bodyHeight;
  const x = (host: string) => left + columns.findIndex((c) => c.host === host) * columnWidth + columnWidth / 2;
  const bodyWidth = left + columns.length * columnWidth;
  const width = bodyWidth + stepsWidth;
  const height = top + bodyHeight + 30;
  return html`<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Message ladder of handoff ${record.id}: ${figure(record.measuredMs)} ms">
${ticks(total).map((ms) => html`<line class="axis" x1="${left}" x2="${bodyWidth}" y1="${y(ms)}" y2="${y(ms)}"/><text class="soft" x="${left - 8}" y="${y(ms) + 4}" text-anchor="end">${figure(ms, 1)} ms</text>`)}
${columns.map((c) => html`<line class="column" x1="${x(c.host)}" x2="${x(c.host)}" y1="${top - 6}" y2="${top + bodyHeight}"/><text x="${x(c.host)}" y="${top - 26}" text-anchor="middle">${c.host}</text><text class="soft" x="${x(c.host)}" y="${top - 11}" text-anchor="middle">${c.roles.join(", ")}</text>`)}
${messages.map((message) => arrow(message, record, x, y))}
${stepBars(record, start, bodyWidth, y)}
</svg>`;
}

/** Where an end was not seen, the arrow is dashed and as long as the latency in force. */
function arrow(message: LadderMessage, record: HandoffRecord, x: (host: string) => number, y: (ms: number) => number): Markup {
  const latency = latencyOf(message, record);
  const sentAt = message.sentAt ?? (message.receivedAt !== null ? message.receivedAt - latency : null);
  if (sentAt === null) return html``;
  const receivedAt = message.receivedAt ?? sentAt + latency;
  const guess = message.sentAt === null || message.receivedAt === null ? "arrow guess" : "arrow";
  const [x1, x2, y1, y2] = [x(message.from), x(message.to), y(sentAt), y(receivedAt)];
  const middle = message.via ? { x: x(message.via), y: (y1 + y2) / 2 } : { x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
  const angle = (Math.atan2(y2 - middle.y, x2 - middle.x) * 180) / Math.PI;
  return html`<path class="${guess}" d="M${x1} ${y1}L${middle.x} ${middle.y}L${x2} ${y2}"/><path class="head" d="M0 0L-9 -3.5L-9 3.5Z" transform="translate(${x2} ${y2}) rotate(${angle})"/><text x="${(x1 + x2) / 2}" y="${(y1 + y2) / 2 - 5}" text-anchor="middle">${message.label}</text>`;
}

function latencyOf(message: LadderMessage, record: HandoffRecord): number {
  const { L_KH = 0, L_HC = 0, L_DA = 0, L_AC = 0 } = record.latencies;
  if (message.via) return L_KH + L_HC;
  return message.label === "state" ? L_DA : L_AC;
}

/** Beside the ladder: each step's share of the prediction, and what it took; the first overrun is marked. */
function stepBars(record: HandoffRecord, start: number, at: number, y: (ms: number) => number): Markup {
  const overrun = record.steps.find((step) => step.measuredMs !== null && step.measuredMs > step.predictedMs * 1.05 + 5);
  const bars = record.steps.map((step) => {
    const from = record.instants[step.from];
    const to = record.instants[step.to];
    if (from === undefined || to === undefined) return html``;
    const [y1, y2] = [y(from - start), y(to - start)];
    const text = `${step.name}: ${figure(step.measuredMs, 1)} of ${figure(step.predictedMs, 1)} ms`;
    return html`<rect class="${step === overrun ? "bar over" : "bar"}" x="${at + 12}" y="${y1}" width="10" height="${Math.max(1.5, y2 - y1)}"/><line class="column" x1="${at + 8}" x2="${at + 26}" y1="${y2}" y2="${y2}"/><text x="${at + 30}" y="${(y1 + y2) / 2 + 4}">${step === overrun ? `▲ ${text}` : text}</text>`;
  });
  return html`${bars}`;
}

/** Four to eight round times from 0 to the total. */
export function ticks(total: number): number[] {
  const rough = total / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => total / s <= 8) ?? power * 10;
  return Array.from({ length: Math.floor(total / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}
