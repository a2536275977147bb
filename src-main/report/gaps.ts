import { median } from "../../src-shared/stats/quantile.ts";
import type { Column } from "./columns.ts";
import type { ConnectionFacts } from "./connection-facts.ts";

/** Silences of a connection at the client, ms. */
export interface Gap {
  readonly connection: string;
  /** Longest silence that touches the handoff. */
  readonly gapMs: number;
  /** Usual time between two arrivals: the median in the control windows, or over the whole connection when there is none. */
  readonly periodMs: number;
  /** Longest silence in as long a window without a handoff, median over the windows; null when there was none. */
  readonly controlMs: number | null;
}

/** From the freeze to a while after the acceptor's first packet: a stall right behind the handoff belongs to it. */
export interface HandoffWindow {
  readonly from: number;
  readonly to: number;
}

/** A stall that starts this long after the acceptor's first packet is still the handoff's. */
export const aftermathMs = 1000;
const controlWindows = 5;
/** A transfer that moved less than this often around the handoff has no rhythm to be silent in. */
const fewestArrivals = 3;

/**
 * The connection's silence around `window`, or null when it was not moving anything then. `others` are the windows of all of the client's handoffs:
 * control windows keep clear of them.
 */
export function connectionGap(connection: ConnectionFacts, window: HandoffWindow, others: readonly HandoffWindow[]): Gap | null {
  const arrivals = busier(connection, window);
  const gapMs = longestSilence(arrivals, window.from, window.to);
  if (gapMs === null) return null;
  const controls = controlsBefore(arrivals, window, others);
  // Where handoffs follow each other too closely for a control window, the whole connection tells its usual rhythm.
  const calm = controls.length > 0 ? controls : [{ from: -Infinity, to: Infinity }];
  const intervals = calm.flatMap((control) => intervalsIn(arrivals, control));
  const silences = controls.flatMap((control) => longestSilence(arrivals, control.from, control.to) ?? []);
  return {
    connection: `${connection.client} port ${connection.clientPort} to ${connection.port}`,
    gapMs,
    periodMs: intervals.length > 0 ? median(intervals) : 0,
    controlMs: silences.length > 0 ? median(silences) : null,
  };
}

/** The direction that the connection is about: payload arriving, or for an upload acknowledgements arriving. */
function busier(connection: ConnectionFacts, window: HandoffWindow): Column {
  const around = (column: Column) => column.lowerBound(window.to + 2000) - column.lowerBound(window.from - 2000);
  return around(connection.downAt) >= around(connection.upAt) / 2 ? connection.downAt : connection.upAt;
}

/**
 * The longest time between two arrivals that overlaps [from, to]. The silence before a connection's first arrival and behind its last is none.
 * Null when fewer than a few arrivals lie around it.
 */
export function longestSilence(arrivals: Column, from: number, to: number): number | null {
  const first = Math.max(0, arrivals.lowerBound(from) - 1);
  const last = Math.min(arrivals.length - 1, arrivals.lowerBound(to));
  if (arrivals.length < fewestArrivals || last - first < 1) return null;
  // A connection that ended before the window, or began after it, says nothing about it.
  if (arrivals.at(last) < from || arrivals.at(first) > to) return null;
  let longest = 0;
  for (let i = first; i < last; i++) longest = Math.max(longest, arrivals.at(i + 1) - arrivals.at(i));
  return longest;
}

function controlsBefore(arrivals: Column, window: HandoffWindow, others: readonly HandoffWindow[]): HandoffWindow[] {
  const length = window.to - window.from;
  const begin = arrivals.length > 0 ? arrivals.at(0) : window.from;
  const end = arrivals.last ?? window.to;
  const clear = (candidate: HandoffWindow) => candidate.from >= begin && candidate.to <= end && others.every((other) => candidate.to <= other.from || candidate.from >= other.to);
  const found: HandoffWindow[] = [];
  for (let i = 1; i <= 40 && found.length < controlWindows; i++) {
    const before = { from: window.from - i * length, to: window.to - i * length };
    const after = { from: window.from + i * length, to: window.to + i * length };
    for (const candidate of [before, after]) if (clear(candidate) && found.length < controlWindows) found.push(candidate);
  }
  return found;
}

function intervalsIn(arrivals: Column, window: HandoffWindow): number[] {
  const values = arrivals.slice(arrivals.lowerBound(window.from), arrivals.lowerBound(window.to));
  const out: number[] = [];
  for (let i = 1; i < values.length; i++) out.push((values[i] as number) - (values[i - 1] as number));
  return out;
}
