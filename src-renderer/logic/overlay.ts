import type { RunSeries } from "../../src-shared/api/app/run.ts";

export interface OverlaidSeries {
  readonly name: string;
  /** Which of the runs it is of, and which of that run's clients. */
  readonly run: number;
  readonly client: number;
}

/** Lays time series of runs over one another, both from their own start: one row of seconds, then one row per run and client. Unequal bins are put on the finer grid. */
export function overlay(runs: readonly { readonly label: string; readonly series: RunSeries }[]): { readonly series: OverlaidSeries[]; readonly data: (number | null)[][] } {
  const binMs = Math.min(...runs.map(({ series }) => series.binMs), Number.POSITIVE_INFINITY);
  const longest = Math.max(0, ...runs.map(({ series }) => series.binMs * Math.max(0, ...series.clients.map((client) => client.mbit.length))));
  const bins = Number.isFinite(binMs) && binMs > 0 ? Math.ceil(longest / binMs) : 0;
  const rows = runs.flatMap(({ label, series }, run) =>
    series.clients.map((client, index) => ({
      name: label ? `${label}: ${client.name}` : client.name,
      run,
      client: index,
      row: Array.from({ length: bins }, (_, bin) => client.mbit[Math.floor((bin * binMs) / series.binMs)] ?? null),
    })),
  );
  return { series: rows.map(({ name, run, client }) => ({ name, run, client })), data: [Array.from({ length: bins }, (_, bin) => (bin * binMs) / 1000), ...rows.map(({ row }) => row)] };
}
