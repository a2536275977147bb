import type { HandoffRecord } from "../../../src-shared/api/summary.ts";
import { spreadLabels } from "../../../src-shared/drawing/spread-labels.ts";
import type { LadderMessage } from "../ladder.ts";
import { figure, html, type Markup } from "./markup.ts";

const columnWidth = 150;
const left = 66;
const top = 58;
const bodyHeight = 400;
const stepsWidth = 470;
const rowHeight = 17;

/** The drawing's labels are the protocol's abbreviations; the legend of the section spells them out. */
const shortNames: Readonly<Record<string, string>> = { "Home Test Init": "HoTI", "Home Test": "HoT", "Care-of Test Init": "CoTI", "Care-of Test": "CoT", "Binding Update": "BU", "Binding Acknowledgement": "BA" };

interface Column {
  readonly host: string;
  readonly roles: readonly string[];
}

interface Plane {
  readonly x: (host: string) => number;
  readonly y: (ms: number) => number;
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

/** The message ladder: time runs down on a true scale, an arrow per message, each step's share of the prediction beside what it took, the client's silence on its line. */
export function ladderSvg(record: HandoffRecord, messages: readonly LadderMessage[], homeAgent: string): Markup {
  const columns = columnsOf(record, homeAgent, messages);
  const start = record.startAt ?? 0;
  const silence = silenceOf(record, start);
  const first = Math.min(0, silence?.from ?? 0);
  const last = Math.max(1, record.measuredMs ?? 0, record.predictedMs, silence?.to ?? 0, ...messages.map((m) => Math.max(m.sentAt ?? 0, m.receivedAt ?? 0)));
  const y = (ms: number) => top + ((Math.max(first, ms) - first) / (last - first)) * bodyHeight;
  const x = (host: string) => left + columns.findIndex((c) => c.host === host) * columnWidth + columnWidth / 2;
  const bodyWidth = left + columns.length * columnWidth;
  const width = bodyWidth + stepsWidth;
  const height = top + bodyHeight + 30;
  const clientX = x(record.client);
  return html`<svg class="ladder" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Message ladder of handoff ${record.id}: ${figure(record.measuredMs)} ms">
<defs><pattern id="quiet-${record.id}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="quiet-line" d="M0 0V6"/></pattern><pattern id="over-${record.id}" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)"><path class="over-line" d="M0 0V5"/></pattern></defs>
${ticks(last).map((ms) => html`<line class="axis" x1="${left}" x2="${bodyWidth}" y1="${y(ms)}" y2="${y(ms)}"/><text class="soft" x="${left - 8}" y="${y(ms) + 4}" text-anchor="end">${figure(ms, 1)} ms</text>`)}
${columns.map((c) => html`<line class="column" x1="${x(c.host)}" x2="${x(c.host)}" y1="${top - 6}" y2="${top + bodyHeight}"/><text class="strong" x="${x(c.host)}" y="${top - 30}" text-anchor="middle">${c.host}</text><text class="soft" x="${x(c.host)}" y="${top - 15}" text-anchor="middle">${c.roles.join(", ")}</text>`)}
${silence && html`<rect class="quiet" fill="url(#quiet-${record.id})" x="${clientX - 6}" width="12" y="${y(silence.from)}" height="${Math.max(2, y(silence.to) - y(silence.from))}"/><text class="quiet-text" x="${clientX}" y="${top + bodyHeight + 20}" text-anchor="middle">silent ${figure(silence.to - silence.from, 1)} ms</text>`}
${arrows(messages, record, { x, y })}
${stepBars(record, start, bodyWidth, y)}
</svg>`;
}

/** The client's longest silence; where it lies follows from the acceptor's first packet and the path to the client. */
function silenceOf(record: HandoffRecord, start: number): { readonly from: number; readonly to: number } | null {
  const longest = Math.max(0, ...record.gaps.map((gap) => gap.gapMs));
  if (longest === 0 || record.firstPacketAt === null) return null;
  const to = record.firstPacketAt - start + (record.latencies["L_AC"] ?? 0);
  return { from: to - longest, to };
}

interface Arrow {
  readonly label: string;
  readonly path: string;
  readonly head: string;
  readonly guess: boolean;
  readonly labelX: number;
  readonly labelY: number;
}

function arrows(messages: readonly LadderMessage[], record: HandoffRecord, plane: Plane): Markup[] {
  const drawn = messages.flatMap((message) => arrow(message, record, plane)).sort((a, b) => a.labelY - b.labelY);
  const placed: { x: number; y: number; half: number }[] = [];
  return drawn.map((each) => {
    const half = each.label.length * 3.4 + 3;
    let at = each.labelY;
    while (placed.some((p) => Math.abs(p.y - at) < 13 && Math.abs(p.x - each.labelX) < half + p.half)) at += 4;
    placed.push({ x: each.labelX, y: at, half });
    return html`<path class="${each.guess ? "arrow guess" : "arrow"}" d="${each.path}"/><path class="head" d="M0 0L-9 -3.5L-9 3.5Z" transform="${each.head}"/>${at - each.labelY > 9 && html`<path class="leader" d="M${each.labelX} ${each.labelY + 3}V${at - 10}"/>`}<text class="on" x="${each.labelX}" y="${at}" text-anchor="middle">${each.label}</text>`;
  });
}

/** Where an end was not seen, the arrow is dashed and as long as the latency in force. */
function arrow(message: LadderMessage, record: HandoffRecord, { x, y }: Plane): Arrow[] {
  const latency = latencyOf(message, record);
  const sentAt = message.sentAt ?? (message.receivedAt !== null ? message.receivedAt - latency : null);
  if (sentAt === null) return [];
  const receivedAt = message.receivedAt ?? sentAt + latency;
  const [x1, x2, y1, y2] = [x(message.from), x(message.to), y(sentAt), y(receivedAt)];
  const bend = message.via === null ? null : { x: x(message.via), y: (y1 + y2) / 2 };
  const before = bend ?? { x: x1, y: y1 };
  const angle = (Math.atan2(y2 - before.y, x2 - before.x) * 180) / Math.PI;
  // Labels stand in the first column gap that the arrow crosses.
  const lean = columnWidth / 2 / Math.max(columnWidth, Math.abs(x2 - x1));
  return [
    {
      label: shortNames[message.label] ?? message.label,
      path: `M${x1} ${y1}${bend ? `L${bend.x} ${bend.y}` : ""}L${x2} ${y2}`,
      head: `translate(${x2} ${y2}) rotate(${angle})`,
      guess: message.sentAt === null || message.receivedAt === null,
      labelX: x1 + (x2 - x1) * lean,
      labelY: y1 + (y2 - y1) * lean - 5,
    },
  ];
}

function latencyOf(message: LadderMessage, record: HandoffRecord): number {
  const { L_KH = 0, L_HC = 0, L_DA = 0, L_AC = 0 } = record.latencies;
  if (message.via) return L_KH + L_HC;
  return message.label === "state" ? L_DA : L_AC;
}

/** Beside the ladder: a bracket for each step's share of the prediction, a bar for what it took, hatched beyond the bracket; ▲ is the first overrun, △ a later one. */
function stepBars(record: HandoffRecord, start: number, at: number, y: (ms: number) => number): Markup {
  const steps = record.steps.flatMap((step) => {
    const from = record.instants[step.from];
    const to = record.instants[step.to];
    if (from === undefined || to === undefined) return [];
    const over = step.measuredMs !== null && step.measuredMs > step.predictedMs * 1.05 + 5;
    return [{ step, over, y1: y(from - start), y2: y(to - start), predicted: y(from - start + step.predictedMs) }];
  });
  const rows = spreadLabels(steps.map(({ y1, y2 }) => (y1 + y2) / 2), rowHeight, top, top + bodyHeight);
  const firstOver = steps.findIndex(({ over }) => over);
  const [bar, text] = [at + 22, at + 56];
  return html`<text class="soft" x="${text}" y="${top - 15}">step</text><text class="soft" x="${at + stepsWidth - 96}" y="${top - 15}" text-anchor="end">took, ms</text><text class="soft" x="${at + stepsWidth - 8}" y="${top - 15}" text-anchor="end">predicted, ms</text>
${steps.map(({ step, over, y1, y2, predicted }, i) => {
    const row = rows[i] as number;
    const end = over ? Math.min(predicted, y2) : y2;
    const sign = over ? (i === firstOver ? "▲ " : "△ ") : "";
    return html`<rect class="bar" x="${bar}" y="${y1}" width="9" height="${Math.max(1, end - y1)}"/>${over && html`<rect class="over" fill="url(#over-${record.id})" x="${bar}" y="${end}" width="9" height="${Math.max(1, y2 - end)}"/>`}<path class="bracket" d="M${bar - 10} ${y1}h5V${Math.max(y1 + 1, predicted)}h-5"/><path class="leader" d="M${bar + 11} ${(y1 + y2) / 2}L${text - 10} ${row}H${text - 4}"/><text x="${text}" y="${row + 4}">${step.name}</text><text class="${over ? "bad" : ""}" x="${at + stepsWidth - 96}" y="${row + 4}" text-anchor="end">${sign}${figure(step.measuredMs, 1)}</text><text x="${at + stepsWidth - 8}" y="${row + 4}" text-anchor="end">${figure(step.predictedMs, 1)}</text>`;
  })}`;
}

/** Four to eight round times from 0 to the total. */
export function ticks(total: number): number[] {
  const rough = total / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => total / s <= 8) ?? power * 10;
  return Array.from({ length: Math.floor(total / step + 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}
