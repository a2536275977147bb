import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { makeFile } from "./content.ts";
import { runEcho } from "./echo.ts";
import { flushed, logLine } from "./log.ts";
import { runDownload, runUpload } from "./transfer.ts";

const usage = `usage: workload echo --to ADDRESS --port PORT --period MS [--padding BYTES] [--patience MS]
       workload download --url URL
       workload upload --url URL --bytes N [--seed TEXT]
       workload file --path FILE --bytes N [--seed TEXT]`;

/**
 * `agent workload …`: what client hosts run, and `file`, which makes a served file on a member. Logs JSON lines on standard output, ends
 * when standard input ends. Returns the exit code: 0 when the work was done exactly.
 */
export async function workloadCommand([kind, ...rest]: readonly string[]): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ args: [...rest], options: { to: text, port: text, period: text, padding: text, patience: text, url: text, bytes: text, seed: text, path: text } });
  const number = (value: string | undefined, low: number, high: number) => (value !== undefined && /^\d+(\.\d+)?$/.test(value) && Number(value) >= low && Number(value) <= high ? Number(value) : null);
  const port = number(values.port, 1, 65535);
  const period = number(values.period, 1, 3_600_000);
  const bytes = number(values.bytes, 0, 1e12);
  const padding = number(values.padding ?? "0", 0, 10_000);
  const patienceMs = number(values.patience ?? "10000", 0, 3_600_000);
  if (kind === "echo" && values.to && port !== null && period !== null && padding !== null && patienceMs !== null) return runEcho({ to: values.to, port, periodMs: period, padding, patienceMs });
  if (kind === "download" && values.url) return runDownload({ url: values.url });
  if (kind === "upload" && values.url && bytes !== null) return runUpload({ url: values.url, bytes, seed: values.seed ?? "upload" });
  if (kind === "file" && values.path && bytes !== null) {
    await mkdir(dirname(values.path), { recursive: true });
    logLine({ type: "file", path: values.path, bytes, sha256: await makeFile(values.path, values.seed ?? "anycast", bytes) });
    await flushed();
    return 0;
  }
  process.stderr.write(`${usage}\n`);
  return 2;
}
