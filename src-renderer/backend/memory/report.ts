import type { Handoff } from "../../../src-shared/api/app/live.ts";
import type { Run } from "../../../src-shared/api/app/run.ts";

const escape = (text: string) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** A stand-in for the report: enough to be shown in its frame. Its script must not run there. */
export function memoryReport(run: Run, handoffs: readonly Handoff[]): string {
  const rows = handoffs.map((h) => `<tr><td>${escape(h.id)}<td>${escape(h.mode)}<td>${escape(h.donor)} → ${escape(h.acceptor)}<td>${h.measuredMs?.toFixed(1) ?? "–"} ms<td>${h.predictedMs?.toFixed(1) ?? "–"} ms`);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escape(run.title)}</title>
<style>body{font:14px/1.5 system-ui,sans-serif;margin:2rem;max-width:60rem;color:#1a1f26;background:#fff}td,th{padding:.2rem 1rem .2rem 0;text-align:left;font-variant-numeric:tabular-nums}</style>
<h1>${escape(run.title)}</h1><p>Simulated: nothing was measured.</p>
<table><tr><th>Handoff<th>Mode<th>From and to<th>Measured<th>Predicted</tr>${rows.join("")}</table>
<script>window.__pwned=1;parent.__pwned=1;</script></html>`;
}
