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

const width = 760;
const height = 330;
const margin = { left: 64, right: 20, top: 16, bottom: 44 };

/** Axes from 0 to round ends, with labels that carry the unit. */
function plane(xMax: number, yMax: number, xLabel: string, yLabel: string): Plane {
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

function svg(label: string, content: Markup): Markup {
  return html`<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${label}">${content}</svg>`;
}

/** Measured against predicted, a mark per handoff: circles and squares tell the modes apart, the line is where both are equal. */
export function predictionPlot(handoffs: readonly HandoffRecord[]): Markup {
  const shown = handoffs.flatMap((h) => (h.counts && h.measuredMs !== null ? [{ mode: h.mode, x: h.predictedMs, y: h.measuredMs }] : []));
  if (shown.length === 0) return html`<p>No handoff was measured.</p>`;
  const end = Math.max(...shown.map((s) => Math.max(s.x, s.y))) * 1.05;
  const { x, y, frame } = plane(end, end, "predicted, ms from start to first packet", "measured, ms");
  const modes = [...new Set(shown.map((s) => s.mode))];
  const mark = (mode: string, px: number, py: number) => {
    const i = modes.indexOf(mode as (typeof modes)[number]);
    const colour = colours[i % colours.length] as string;
    return i % 2 === 0 ? html`<circle class="${colour}" cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="3.5"/>` : html`<rect class="${colour}" x="${(px - 3).toFixed(1)}" y="${(py - 3).toFixed(1)}" width="6" height="6"/>`;
  };
  return svg(
    "Measured against predicted handoff time",
    html`${frame}<line class="mark" x1="${x(0)}" y1="${y(0)}" x2="${x(end)}" y2="${y(end)}"/>${shown.map((s) => mark(s.mode, x(s.x), y(s.y)))}${modes.map((mode, i) => html`${mark(mode, margin.left + 16, margin.top + 12 + i * 18)}<text x="${margin.left + 28}" y="${margin.top + 16 + i * 18}">${mode}</text>`)}`,
  );
}

/** The distribution of handoff times, a step line per mode. */
export function cdfPlot(handoffs: readonly HandoffRecord[]): Markup {
  const modes = [...new Set(handoffs.flatMap((h) => (h.counts && h.measuredMs !== null ? [h.mode] : [])))];
  if (modes.length === 0) return html``;
  const values = modes.map((mode) => handoffs.flatMap((h) => (h.mode === mode && h.counts && h.measuredMs !== null ? [h.measuredMs] : [])).sort((a, b) => a - b));
  const end = Math.max(...values.flat()) * 1.05;
  const { x, y, frame } = plane(end, 1, "handoff time, ms", "share of handoffs");
  const lines = values.map((sorted, i) => {
    const path = sorted.map((value, n) => `L${x(value).toFixed(1)} ${y(n / sorted.length).toFixed(1)}L${x(value).toFixed(1)} ${y((n + 1) / sorted.length).toFixed(1)}`).join("");
    return html`<path class="line ${colours[i % 3]} ${dashes[i % 3]}" d="M${x(0)} ${y(0)}${path}"/><line class="line ${colours[i % 3]} ${dashes[i % 3]}" x1="${margin.left + 8}" x2="${margin.left + 34}" y1="${margin.top + 12 + i * 18}" y2="${margin.top + 12 + i * 18}"/><text x="${margin.left + 40}" y="${margin.top + 16 + i * 18}">${modes[i]}</text>`;
  });
  return svg("Distribution of handoff times", html`${frame}${lines}`);
}

/** Goodput of each client over the run; a dotted line where a handoff's first packet left. */
export function goodputPlot(rows: readonly SeriesRow[], summary: RunSummary): Markup {
  const clients = [...new Set(rows.map((row) => row.client))];
  const most = Math.max(0, ...rows.map((row) => Math.max(row.downMbit, row.upMbit)));
  if (most === 0) return html`<p>No payload was seen at a client.</p>`;
  return html`${clients.map((client) => {
    const own = thinned(rows.filter((row) => row.client === client));
    const { x, y, frame } = plane(summary.durationMs / 1000, most * 1.05, "time in the run, s", "goodput, Mbit/s");
    const line = (value: (row: SeriesRow) => number) => own.map((row, i) => `${i === 0 ? "M" : "L"}${x(row.timeMs / 1000).toFixed(1)} ${y(value(row)).toFixed(1)}`).join("");
    const marks = summary.handoffs.filter((h) => h.client === client && h.firstPacketAt !== null).slice(0, 200);
    return html`<figure><figcaption>${client}: down (solid), up (dashed)</figcaption>${svg(
      `Goodput of ${client}`,
      html`${frame}${marks.map((h) => html`<line class="mark" x1="${x((h.firstPacketAt as number) / 1000).toFixed(1)}" x2="${x((h.firstPacketAt as number) / 1000).toFixed(1)}" y1="${margin.top}" y2="${height - margin.bottom}"/>${marks.length <= 20 && html`<text class="soft" x="${(x((h.firstPacketAt as number) / 1000) + 3).toFixed(1)}" y="${margin.top + 10}">${h.acceptor}</text>`}`)}<path class="line one" d="${line((row) => row.downMbit)}"/><path class="line two dash1" d="${line((row) => row.upMbit)}"/>`,
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
