import { parseArgs } from "node:util";
import { runCapture } from "./capture.ts";
import type { CaptureFilter } from "./filter.ts";

const usage = "usage: capture --interface NAME [--host NAME] [--snaplen BYTES] [--filter signalling-and-tcp|all] [--without-port PORT]... [--stop-with-stdin]";

/** `agent capture …`: pcapng on standard output until a signal, or with --stop-with-stdin until standard input ends. Returns the exit code. */
export async function captureCommand(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      interface: { type: "string" },
      host: { type: "string" },
      snaplen: { type: "string", default: "256" },
      filter: { type: "string", default: "signalling-and-tcp" },
      "without-port": { type: "string", multiple: true, default: ["22"] },
      "stop-with-stdin": { type: "boolean", default: false },
    },
  });
  const snaplen = Number(values.snaplen);
  const ports = values["without-port"].map(Number);
  if (!values.interface || !Number.isInteger(snaplen) || snaplen < 64 || snaplen > 65535 || !["signalling-and-tcp", "all"].includes(values.filter) || ports.some((p) => !(p > 0 && p < 65536))) {
    process.stderr.write(`${usage}\n`);
    return 2;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stop.abort());
  process.stdout.once("close", () => stop.abort()).once("error", () => stop.abort());
  if (values["stop-with-stdin"]) process.stdin.resume().once("end", () => stop.abort()).once("error", () => stop.abort());
  try {
    const result = await runCapture(
      { interface: values.interface, snaplen, filter: values.filter as CaptureFilter, withoutPorts: ports, ...(values.host && { host: values.host }) },
      process.stdout,
      stop.signal,
    );
    // The last packets must have left before the process ends.
    await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
    process.stderr.write(`${JSON.stringify(result)}\n`);
    process.stdin.destroy();
    return 0;
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.stdin.destroy();
    return 1;
  }
}
