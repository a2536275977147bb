import { copyFileSync, statSync, truncateSync } from "node:fs";

/**
 * Keeps a log file that our standard output is appended to within bounds: past `limitBytes` its content moves to `<path>.1`, so that at most
 * two such files exist. Looked at every `everyMs`. Answers the function that stops it. A file that is not there is left alone.
 */
export function keepLogBounded(path: string, { limitBytes = 4 << 20, everyMs = 10_000 } = {}): () => void {
  const timer = setInterval(() => turnOver(path, limitBytes), everyMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Copies and truncates, for the descriptor that is being appended to stays open. */
export function turnOver(path: string, limitBytes: number): void {
  try {
    if (statSync(path).size <= limitBytes) return;
    copyFileSync(path, `${path}.1`);
    truncateSync(path, 0);
  } catch {
    // No log file, or a full disk: the agent goes on without turning it over.
  }
}
