import type { HandoffRecord, RunSummary } from "../../../src-shared/api/summary.ts";
import type { SeriesRow } from "../series.ts";
import { ticks } from "./ladder-svg.ts";
import { figure, html, type Markup } from "./markup.ts";

const colours = ["one", "two", "three"];
const dashes = ["", "dash1", "dash2"];

interface Plane {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly frame: Markup;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Two of these stand side by side; a wide one takes the whole page. */
const half: Size = { width: 560, height: 320 };
const wide: Size = { width: 1150, height: 260 };
const margin = { left: 58, right: 14, top: 30, bottom: 44 };

/** Axes from 0 to round ends, with labels that carry the unit. The legend stands above the plot. */
function plane({ width, height }: Size, xMax: number, yMax: number, xLabel: string, yLabel: string): Plane {
  const xTicks = ticks(xMax || 1);
  const yTicks = ticks(yMax || 1);
  const right = width - margin.right;
  const bottom = height - margin.bottom;
  const x = (value: number) => margin.left + (value / (xMax || 1)) * (right - margin.left);
  const y = (value: number) => bottom - (value / (yMax || 1)) * (bottom - margin.top);
  return {
    x,
    y,
    frame: html`${yTicks.map((t) => html`<line class="axis" x1="${margin.left}" x2="${right}" y1="${y(t)}" y2="${y(t)}"/><text class="soft" x="${margin.left - 8}" y="${y(t) + 4}" text-anchor="end">${figure(t, 1)}</text>`)}
${xTicks.map((t) => html`<text class="soft" x="${x(t)}" y="${bottom + 17}" text-anchor="middle">${figure(t, 1)}</text>`)}
<text class="soft" x="${(margin.left + right) / 2}" y="${height - 6}" text-anchor="middle">${xLabel}</text>
<text class="soft" x="14" y="${(margin.top + bottom) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(margin.top + bottom) / 2})">${yLabel}</text>`,
  };
}

function svg({ width, height }: Size, label: string, content: Markup): Markup {
  return html`<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${label}">${content}</svg>`;
}

/** Measured against predicted, a mark per handoff: circles and squares tell the modes apart, the line is where both are equal. */
export function predictionPlot(handoffs: readonly HandoffRecord[]): Markup {
  const shown = handoffs.flatMap((h) => (h.counts && h.measuredMs !== null ? [{ mode: h.mode, x: h.predictedMs, y: h.measuredMs }] : []));
  if (shown.length === 0) return html`<p>No handoff was measured.</p>`;
  const [xEnd, yEnd] = [Math.max(...shown.map((s) => s.x), 1) * 1.08, Math.max(...shown.map((s) => Math.max(s.x, s.y)), 1) * 1.08];
  const { x, y, frame } = plane(half, xEnd, yEnd, "predicted, ms from start to first packet", "measured, ms");
  const modes = [...new Set(shown.map((s) => s.mode))];
  const mark = (mode: string, px: number, py: number) => {
    const i = modes.indexOf(mode as (typeof modes)[number]);
    const colour = colours[i % colours.length] as string;
    return i % 2 === 0 ? html`<circle class="${colour}" cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="3.5"/>` : html`<rect class="${colour}" x="${(px - 3).toFixed(1)}" y="${(py - 3).toFixed(1)}" width="6" height="6"/>`;
  };
  return svg(
    half,
    "Measured against predicted handoff time",
    html`${frame}<line class="mark" x1="${x(0)}" y1="${y(0)}" x2="${x(xEnd)}" y2="${y(xEnd)}"/>${shown.map((s) => mark(s.mode, x(s.x), y(s.y)))}${modes.map((mode, i) => html`${mark(mode, margin.left + 8 + i * 96, 12)}<text x="${margin.left + 18 + i * 96}" y="16">${mode}</text>`)}<line class="mark" x1="${margin.left + 206}" x2="${margin.left + 234}" y1="12" y2="12"/><text x="${margin.left + 240}" y="16">measured = predicted</text>`,
  );
}

/** The distribution of handoff times, a step line per mode. */
export function cdfPlot(handoffs: readonly HandoffRecord[]): Markup {
  const modes = [...new Set(handoffs.flatMap((h) => (h.counts && h.measuredMs !== null ? [h.mode] : [])))];
  if (modes.length === 0) return html``;
  const values = modes.map((mode) => handoffs.flatMap((h) => (h.mode === mode && h.counts && h.measuredMs !== null ? [h.measuredMs] : [])).sort((a, b) => a - b));
  const end = Math.max(...values.flat()) * 1.05;
  const { x, y, frame } = plane(half, end, 1, "handoff time, ms from start to first packet", "share of handoffs");
  const lines = values.map((sorted, i) => {
    const path = sorted.map((value, n) => `L${x(value).toFixed(1)} ${y(n / sorted.length).toFixed(1)}L${x(value).toFixed(1)} ${y((n + 1) / sorted.length).toFixed(1)}`).join("");
    return html`<path class="line ${colours[i % 3]} ${dashes[i % 3]}" d="M${x(0)} ${y(0)}${path}"/><line class="line ${colours[i % 3]} ${dashes[i % 3]}" x1="${margin.left + 8 + i * 116}" x2="${margin.left + 34 + i * 116}" y1="12" y2="12"/><text x="${margin.left + 40 + i * 116}" y="16">${modes[i]}</text>`;
  });
  return svg(half, "Distribution of handoff times", html`${frame}${lines}`);
}

/** Goodput of each client over the run; a dotted line where a handoff's first packet left. */
export function goodputPlot(rows: readonly SeriesRow[], summary: RunSummary): Markup {
  const clients = [...new Set(rows.map((row) => row.client))];
  const most = Math.max(0, ...rows.map((row) => Math.max(row.downMbit, row.upMbit)));
  if (most === 0) return html`<p>No payload was seen at a client.</p>`;
  return html`${clients.map((client) => {
    const own = thinned(rows.filter((row) => row.client === client));
    const { x, y, frame } = plane(wide, summary.durationMs / 1000, most * 1.05, "time in the run, s", "goodput, Mbit/s");
    const line = (value: (row: SeriesRow) => number) => own.map((row, i) => `${i === 0 ? "M" : "L"}${x(row.timeMs / 1000).toFixed(1)} ${y(value(row)).toFixed(1)}`).join("");
    const marks = summary.handoffs.filter((h) => h.client === client && h.firstPacketAt !== null).slice(0, 200);
    return html`<figure>${svg(
      wide,
      `Goodput of ${client}`,
      html`${frame}${marks.map((h) => html`<line class="mark" x1="${x((h.firstPacketAt as number) / 1000).toFixed(1)}" x2="${x((h.firstPacketAt as number) / 1000).toFixed(1)}" y1="${margin.top}" y2="${wide.height - margin.bottom}"/>${marks.length <= 20 && html`<text class="soft" x="${(x((h.firstPacketAt as number) / 1000) + 3).toFixed(1)}" y="${margin.top + 10}">→ ${h.acceptor}</text>`}`)}<text class="strong" x="${margin.left}" y="16">${client}</text><line class="line one" x1="${margin.left + 90}" x2="${margin.left + 118}" y1="12" y2="12"/><text x="${margin.left + 124}" y="16">down</text><line class="line two dash1" x1="${margin.left + 176}" x2="${margin.left + 204}" y1="12" y2="12"/><text x="${margin.left + 210}" y="16">up</text><line class="mark" x1="${margin.left + 248}" x2="${margin.left + 276}" y1="12" y2="12"/><text x="${margin.left + 282}" y="16">first packet after a handoff</text><path class="line one" d="${line((row) => row.downMbit)}"/><path class="line two dash1" d="${line((row) => row.upMbit)}"/>`,
    )}</figure>`;
  })}`;
}

const mostPoints = 2000;

/** At most about two thousand points: means over neighbouring bins. */
function thinned(rows: readonly SeriesRow[]): SeriesRow[] {
  const each = Math.ceil(rows.length / mostPoints);
  if (each <= 1) return [...rows];
  const mean = (group: readonly SeriesRow[], value: (row: SeriesRow) => number) => group.reduce((sum, row) => sum + value(row), 0) / group.length;
  return Array.from({ length: Math.ceil(rows.length / each) }, (_, i) => rows.slice(i * each, (i + 1) * each)).map((group) => ({ ...(group[0] as SeriesRow), downMbit: mean(group, (r) => r.downMbit), upMbit: mean(group, (r) => r.upMbit) }));
}
