/** The host's CLOCK_MONOTONIC in ms, the clock of the agent's events. */
export function mono(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** One line of a workload's log: JSON on standard output (docs/run-folder.md). The manager keeps them as the client's own log. */
export function logLine(line: { readonly type: string } & Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The first line of every log: both clocks at one moment, so that the log can be placed in time by itself. */
export function logStart(about: Readonly<Record<string, unknown>>): void {
  logLine({ type: "start", mono: mono(), wall: performance.timeOrigin + performance.now(), ...about });
}

/** Resolves when everything logged so far has left the process; to be awaited before exiting. */
export function flushed(): Promise<void> {
  return new Promise((resolve) => process.stdout.write("", () => resolve()));
}

/** Aborts when standard input ends (the manager closed it, or the connection died) or on a signal. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  process.stdin.resume().once("end", () => stop.abort()).once("error", () => stop.abort());
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}
