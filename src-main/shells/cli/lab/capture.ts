import { createWriteStream } from "node:fs";
import { once } from "node:events";
import type { Writable } from "node:stream";
import { mergeCaptures } from "../../../capture/merge.ts";
import { exitCodes, Problem } from "../../../problem.ts";
import { quote } from "../../../ssh/quote.ts";
import { attachAgents } from "../../../services/lab-agents.ts";
import type { AgentHost } from "../../../services/lab-session.ts";
import { measureClock } from "../../../services/clock.ts";
import type { RemoteProcess } from "../../../services/runner/session.ts";
import { askSecret } from "../ask.ts";
import { note } from "../output.ts";
import { hostOf, openTestbed, usage, type WhichOptions } from "./which.ts";

export interface CaptureOptions extends WhichOptions {
  readonly write?: string;
  readonly snaplen: string;
  readonly filter: string;
}

/** Packets of a host that has been quiet for this long are not waited for. */
const patienceMs = 250;

/**
 * `lab capture HOST…`: pcapng with one interface per host, merged in the order of the hosts' clocks as the manager sees them, on standard output
 * (for `wireshark -k -i -`) or into a file. Ends by Ctrl-C or when the reader goes away.
 */
export async function captureCommand(names: readonly string[], options: CaptureOptions): Promise<number> {
  if (!options.write && process.stdout.isTTY) throw usage("a capture is binary and this is a terminal", "Pipe it (… | wireshark -k -i -) or write a file: -w FILE");
  const snaplen = Number(options.snaplen);
  if (!Number.isInteger(snaplen) || snaplen < 64 || snaplen > 65535) throw usage(`--snaplen ${options.snaplen}: expected 64 to 65535 bytes`, "--snaplen 65535 keeps whole packets.");
  if (!["all", "signalling-and-tcp"].includes(options.filter)) throw usage(`--filter ${options.filter}: expected all or signalling-and-tcp`, "Leave it out for all packets.");
  const testbed = await openTestbed(options);
  for (const name of names) hostOf(testbed, name);
  const agents = await attachAgents(testbed, { ask: askSecret, only: names });
  const out: Writable = options.write ? createWriteStream(options.write, { mode: 0o600 }) : process.stdout;
  const running: RemoteProcess[] = [];
  const stop = (): void => {
    for (const process of running) process.endInput();
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  out.once("error", stop).once("close", stop);
  try {
    const captures = await Promise.all(agents.hosts.map((host) => start(host, snaplen, options.filter, running)));
    note(`capturing on ${names.join(", ")}; Ctrl-C ends`);
    const merged = await mergeCaptures(captures, out, { patienceMs });
    for (const { host, packets, dropped } of merged) note(`${host}: ${packets} packets${dropped ? `, ${dropped} lost by its kernel` : ""}`);
  } catch (error) {
    if (!out.destroyed && !out.errored) throw error;
  } finally {
    stop();
    process.off("SIGINT", stop).off("SIGTERM", stop);
    if (options.write && !out.errored) {
      out.end();
      await once(out, "close");
    }
    await agents.close();
  }
  return exitCodes.ok;
}

async function start(host: AgentHost, snaplen: number, filter: string, running: RemoteProcess[]): Promise<{ host: string; stream: AsyncIterable<Uint8Array>; correctionMs: number }> {
  const { handle, hello, client } = host;
  const clock = await measureClock(client);
  const process = await host.privileged(`${host.command} capture --interface ${quote(hello.interface)} --host ${quote(handle.name)} --snaplen ${snaplen} --filter ${filter} --stop-with-stdin`);
  let complaint = "";
  process.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + String(chunk)).slice(-2000)));
  running.push(process);
  // Its first bytes say that it is live.
  const live = once(process.stdout, "readable");
  const ended = process.exited.then((code) => {
    if (code) throw new Problem({ code: "capture.failed", host: handle.name, what: `the capture ended: ${complaint.trim().split("\n").at(-1) ?? `exit code ${code}`}`, remedy: "Capturing needs CAP_NET_RAW on the host; `lab preflight` says whether it can be had." });
  });
  await Promise.race([live, ended]);
  return { host: handle.name, stream: untilFailure(process.stdout, ended), correctionMs: -clock.wallOffsetMs };
}

/** A stream that ends with its program's failure, if there was one. */
async function* untilFailure(stream: AsyncIterable<Uint8Array>, ended: Promise<void>): AsyncGenerator<Uint8Array> {
  ended.catch(() => {});
  yield* stream;
  await ended;
}
