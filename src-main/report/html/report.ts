import type { HandoffRecord, RunDescription, RunSummary, ThresholdRecord } from "../../../src-shared/api/summary.ts";
import { bootstrapInterval, FEWEST_FOR_INTERVAL } from "../../../src-shared/stats/bootstrap.ts";
import { median } from "../../../src-shared/stats/quantile.ts";
import type { LadderMessage } from "../ladder.ts";
import { expectedTerms } from "../regression.ts";
import type { SeriesRow } from "../series.ts";
import { describeBound, markOf } from "../thresholds.ts";
import { cdfPlot, goodputPlot, predictionPlot } from "./charts.ts";
import { ladderSvg } from "./ladder-svg.ts";
import { figure, html, type Markup } from "./markup.ts";
import { style } from "./style.ts";

export interface ReportInput {
  readonly run: RunDescription;
  readonly summary: RunSummary;
  readonly rows: readonly SeriesRow[];
  readonly ladders: ReadonlyMap<string, readonly LadderMessage[]>;
  readonly scenarioText: string;
}

/** Ladders beyond this many are left to the window: the page would be too large to read. */
const mostLadders = 1000;

/** The whole report as one page without scripts or anything from elsewhere. Text from hosts and files is escaped. */
export function reportHtml(input: ReportInput): string {
  const { run, summary } = input;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${run.title}: report</title><style>${trustedStyle()}</style></head><body>
<header><h1>${run.title}</h1><span class="verdict ${summary.ok ? "good" : "bad"}">${summary.ok ? "✓ passed" : "✗ failed"}</span></header>
<p class="lead">Scenario ${run.scenario}, ${run.startedAt.slice(0, 10)} ${run.startedAt.slice(11, 19)} UTC, ${figure(summary.durationMs / 1000, 1)} s on the ${run.lab.kind} lab ${run.lab.name}. Anycast address ${run.group.address}; home agent ${run.group.homeAgent}; members ${run.group.members.join(", ")}; contact ${run.group.contact}.</p>
${summary.error && html`<p class="bad">✗ The run ended early${summary.error.step ? ` at the step “${summary.error.step}”` : ""}: ${summary.error.message} (${summary.error.code})</p>`}
${thresholdTable(summary.thresholds)}
${overview(summary)}
${handoffTable(summary.handoffs)}
${regressionSection(summary)}
<h2>Goodput at the clients</h2>${goodputPlot(input.rows, summary)}
<p class="note">In bins of 100 ms, read from the captures; the figures are in series.csv.</p>
${workloadTable(summary)}
${ladderSection(input)}
${environment(run, summary)}
<h2>Scenario</h2><details><summary>${run.scenario}.yaml</summary><pre>${input.scenarioText}</pre></details>
</body></html>
`;
  return page.text;
}

function trustedStyle(): Markup {
  return html([style] as unknown as TemplateStringsArray);
}

function table(caption: string, heads: readonly (readonly [text: string, number?: boolean])[], rows: readonly (readonly (Markup | string | number)[])[]): Markup {
  return html`<div class="scroll"><table><caption>${caption}</caption><thead><tr>${heads.map(([text, number]) => html`<th scope="col" class="${number ? "n" : ""}">${text}</th>`)}</tr></thead><tbody>
${rows.map((row) => html`<tr>${row.map((cell, i) => html`<td class="${heads[i]?.[1] ? "n" : typeof cell === "string" && cell.length > 30 ? "wrap" : ""}">${cell}</td>`)}</tr>
`)}</tbody></table></div>`;
}

function mark(ok: boolean): Markup {
  return ok ? html`<span class="good">✓</span>` : html`<span class="bad">✗</span>`;
}

function thresholdTable(thresholds: readonly ThresholdRecord[]): Markup {
  if (thresholds.length === 0) return html`<h2>Thresholds</h2><p>The scenario states none.</p>`;
  const aside = thresholds.find((t) => t.setAside !== undefined)?.setAside;
  const value = (t: ThresholdRecord) => (t.value === null ? html`<span class="bad">no value: ${t.reason}</span>` : `${figure(t.value, 3)} ${t.unit}`);
  return html`<h2>Thresholds</h2>${table(`${thresholds.filter((t) => t.ok).length} of ${thresholds.length} met`, [[""], ["Threshold"], ["Measured", true], ["Limit", true], ["Metric"]], thresholds.map((t) => [t.setAside === undefined ? mark(t.ok) : markOf(t), t.name, value(t), describeBound(t), t.metric]))}${aside === undefined ? "" : html`<p>○ set aside: ${aside}</p>`}`;
}

/** n, median and its bootstrap interval for the figures that matter most. */
function overview(summary: RunSummary): Markup {
  const counted = summary.handoffs.filter((h) => h.counts && h.ok);
  const line = (name: string, values: readonly number[]) => {
    if (values.length === 0) return [name, 0, "–", "–", "–"];
    const few = values.length < FEWEST_FOR_INTERVAL;
    const interval = few ? null : bootstrapInterval(values, median, { seed: name });
    return [name, values.length, figure(median(values)), interval ? `${figure(interval.low)} to ${figure(interval.high)}` : "too few runs", figure(Math.max(...values))];
  };
  const modes = [...new Set(counted.map((h) => h.mode))];
  const present = (values: readonly (number | null)[]) => values.filter((v): v is number => v !== null);
  const rows = modes.flatMap((mode) => {
    const own = counted.filter((h) => h.mode === mode);
    return [
      line(`${mode}: measured, ms`, present(own.map((h) => h.measuredMs))),
      line(`${mode}: measured − predicted, ms`, present(own.map((h) => (h.measuredMs === null ? null : h.measuredMs - h.predictedMs)))),
      line(`${mode}: client gap, ms`, present(own.map((h) => h.clientGapMs))),
    ];
  });
  const share = summary.byteShare;
  return html`<h2>In short</h2>${table("Handoffs that count, all points together", [["Figure"], ["n", true], ["Median", true], ["95 % interval of the median", true], ["Largest", true]], rows)}
<dl><dt>Clients' bytes</dt><dd>${share ? `${figure(share.homeAgent * 100)} % through the home agent, ${figure(share.contact * 100)} % at the contact, ${figure(share.direct * 100)} % straight to another member` : "not captured"}</dd>
<dt>Clients at the end</dt><dd>${servedText(summary.clientsServed)}</dd>
<dt>RSTs at clients</dt><dd>${summary.resetsSeen ?? "not captured"}</dd>
<dt>Packets that captures lost</dt><dd>${Object.entries(summary.captureDrops).map(([host, n]) => `${host} ${n}`).join(", ") || "no captures"}</dd></dl>`;
}

const serviceText = { optimised: "route optimised", tunnel: "through the home agent's tunnel", relayed: "relayed by the contact" } as const;

/** How many clients each way, and why those that are not served directly are not. */
function servedText(served: RunSummary["clientsServed"]): string {
  if (served.length === 0) return "none came";
  const ways = (["optimised", "relayed", "tunnel"] as const).map((how) => ({ how, clients: served.filter((each) => each.how === how) })).filter(({ clients }) => clients.length > 0);
  return ways
    .map(({ how, clients }) => {
      const who = how === "optimised" ? "" : ` (${clients.slice(0, 5).map(({ client, why }) => `${client}: ${why}`).join("; ")}${clients.length > 5 ? "; …" : ""})`;
      return `${clients.length} ${serviceText[how]}${who}`;
    })
    .join(", ");
}

function handoffTable(handoffs: readonly HandoffRecord[]): Markup {
  const notes = handoffs.some((h) => h.reason !== null || !h.counts);
  const heads = [[""], ["Id"], ["Client"], ["From → to"], ["Mode"], ["Conns", true], ["Start, s", true], ["Predicted", true], ["Measured", true], ["± clocks", true], ["Frozen", true], ["Client gap", true], ["Gap predicted", true], ["Lost + doubled, B", true], ...(notes ? [["Note"] as const] : [])] as const;
  const rows = handoffs.map((h) => [
    mark(h.ok),
    h.id,
    h.client,
    `${h.donor} → ${h.acceptor}`,
    h.mode,
    h.connections,
    figure(h.startAt === null ? null : h.startAt / 1000),
    figure(h.predictedMs),
    figure(h.measuredMs),
    figure(h.clockErrorMs),
    figure(h.frozenMs),
    figure(h.clientGapMs),
    figure(h.predictedGapMs),
    `${figure(h.bytesLost)} + ${figure(h.bytesDuplicated)}`,
    ...(notes ? [h.reason ?? (h.counts ? "" : "way back, not counted")] : []),
  ]);
  return html`<h2>Handoffs</h2>${table("Milliseconds where no unit stands. Measured is from start to the acceptor's first packet; the gap is the client's, beyond its own rhythm. Latencies in force are in handoffs.csv.", heads, rows)}`;
}

function regressionSection(summary: RunSummary): Markup {
  const fits = summary.regression.map((r) => {
    const expected = expectedTerms(r.mode);
    const terms = Object.entries(r.terms).map(([term, value]) => `${term} ${figure(value, 3)} (${expected[term] ?? "?"})`);
    return [r.mode, terms.join(", "), figure(r.coefCS, 3), figure(r.coefSS, 3), figure(r.interceptMs), figure(r.r2, 4), r.n];
  });
  const pointRows = summary.points.map((p) => [p.mode, Object.entries(p.point).map(([name, value]) => `${name} ${value}`).join(", "), p.n, figure(p.predictedMs), figure(p.medianMs), figure(p.medianResidualMs)]);
  return html`<h2>Predicted and measured</h2><div class="pair"><figure>${predictionPlot(summary.handoffs)}<figcaption>Each handoff against its prediction.</figcaption></figure><figure>${cdfPlot(summary.handoffs)}<figcaption>Distribution of the measured times. The values of both are in the table above.</figcaption></figure></div>
${fits.length > 0 && table("Least squares over all counted handoffs; in brackets what theory says", [["Mode"], ["Terms"], ["L_CS", true], ["L_SS", true], ["Intercept, ms", true], ["R²", true], ["n", true]], fits)}
${summary.points.some((p) => Object.keys(p.point).length > 0) && html`<details ${summary.points.length <= 12 && html`open`}><summary>${summary.points.length} ${summary.points.length === 1 ? "point" : "points"}</summary>${table("Median of each point", [["Mode"], ["Point, ms one-way"], ["n", true], ["Predicted, ms", true], ["Median, ms", true], ["Median − predicted, ms", true]], pointRows)}</details>`}`;
}

function workloadTable(summary: RunSummary): Markup {
  const rows = summary.workloads.map((w) => [mark(w.ok), w.name, w.kind, w.client, figure(w.bytes), figure(w.expectedBytes), w.sha256?.slice(0, 16) ?? "–", w.expectedSha256?.slice(0, 16) ?? "–", w.lost ?? "–", w.repeated ?? "–", w.reason ?? ""]);
  return html`<h2>What clients did</h2>${table("SHA-256 shortened", [[""], ["Workload"], ["Kind"], ["Client"], ["Bytes", true], ["Expected", true], ["SHA-256"], ["Expected"], ["Lines lost", true], ["Repeated", true], ["Note"]], rows)}`;
}

/** The ladders of the median and the worst handoff are open, the others a click away. */
function ladderSection({ summary, ladders, run }: ReportInput): Markup {
  const shown = summary.handoffs.filter((h) => h.startAt !== null).slice(0, mostLadders);
  const byExcess = shown.filter((h) => h.measuredMs !== null).sort((a, b) => excess(a) - excess(b));
  const open = new Set([byExcess[byExcess.length >> 1]?.id, byExcess.at(-1)?.id]);
  const label = (h: HandoffRecord) => (h.id === byExcess.at(-1)?.id ? " · worst against its prediction" : h.id === byExcess[byExcess.length >> 1]?.id ? " · median" : "");
  return html`<h2>Message ladders</h2>
<p class="note">Time runs down on a true scale. Arrows are messages, dashed where an end was not seen: HoTI and HoT are Home Test Init and Home Test, CoTI and CoT Care-of Test Init and Care-of Test, BU and BA Binding Update and Acknowledgement. Beside them a bracket for each step's predicted share and a bar for what it took; ▲ marks the first overrun, △ later ones, hatched beyond the bracket. The hatched bar on the client's line is its longest silence.</p>
${shown.map((h) => html`<details ${open.has(h.id) && html`open`}><summary>${h.id}: ${h.client} from ${h.donor} to ${h.acceptor}, ${h.mode}, ${figure(h.measuredMs)} ms (predicted ${figure(h.predictedMs)} ms)${label(h)}</summary>
${ladderSvg(h, ladders.get(h.id) ?? [], run.group.homeAgent)}
<p class="lead">The client was silent for ${figure(h.clientGapMs)} ms (predicted ${figure(h.predictedGapMs)} ms) beyond its own rhythm.</p></details>
`)}
${summary.handoffs.length > shown.length && html`<p>${summary.handoffs.length - shown.length} more are in summary.json.</p>`}`;
}

function excess(record: HandoffRecord): number {
  return (record.measuredMs as number) - record.predictedMs;
}

function environment(run: RunDescription, summary: RunSummary): Markup {
  const hosts = run.hosts.map((h) => [h.name, h.role, h.site ?? "", h.address, h.interface, h.kernel ?? "", h.agent ?? "", h.dataPlane ? `${h.dataPlane.kind}: ${h.dataPlane.reason}` : "", figure(Math.min(...h.clock.map((c) => c.errorMs)), 3)]);
  const about: readonly (readonly [string, string])[] = [
    ["Command", run.command],
    ["Seed", String(run.seed)],
    ["Manager", `${run.manager.platform} ${run.manager.kernel}, Node ${run.manager.node}, ${run.manager.cpus} CPUs, ${run.manager.memoryMB} MB`],
    ...Object.entries(summary.versions),
  ];
  return html`<h2>Where it ran</h2><dl>${about.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
${table("Hosts", [["Host"], ["Role"], ["Site"], ["Address"], ["Interface"], ["Kernel"], ["Agent"], ["Data plane"], ["Clock ±, ms", true]], hosts)}`;
}
