import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { mergeCaptureFiles, type MergedHost } from "../../capture/merge.ts";
import type { RunFolder } from "../../report/run-folder.ts";
import { Problem } from "../../problem.ts";
import type { LabSession, RemoteProcess, SessionHost } from "./session.ts";

/** Programs start and end within a second; on an emulated processor that has others to start, within half a minute. */
const startPatienceMs = 120_000;
const stopPatienceMs = 60_000;

interface Running {
  readonly host: SessionHost;
  readonly process: RemoteProcess;
  readonly file: string;
  readonly written: Promise<void>;
}

/** The captures of a run: one program per host, its stream kept in a file of its own until they are merged. */
export class Captures {
  readonly #session: LabSession;
  readonly #folder: RunFolder;
  readonly #running: Running[] = [];

  constructor(session: LabSession, folder: RunFolder) {
    this.#session = session;
    this.#folder = folder;
  }

  /** Resolves when every capture is live. Rejects with a Problem naming the host that can't. */
  async start(hosts: readonly SessionHost[]): Promise<void> {
    this.#running.push(...(await Promise.all(hosts.map((host) => this.#startOne(host)))));
  }

  async #startOne(host: SessionHost): Promise<Running> {
    const command = captureCommand(this.#session, host);
    const remote = await this.#session.spawn(host.name, command, { privileged: true });
    let complaint = "";
    remote.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2000)));
    const file = this.#folder.capturePart(host.name);
    // Its first bytes say that it is live.
    const first = Promise.race([
      once(remote.stdout, "readable").then(() => true),
      remote.exited.then(() => false),
      new Promise<boolean>((resolve) => setTimeout(() => resolve(false), startPatienceMs).unref()),
    ]);
    if (!(await first)) {
      remote.kill();
      throw new Problem({ code: "capture.failed", host: host.name, what: `the capture on ${host.interface} did not start${complaint ? `: ${complaint.trim()}` : ""}`, remedy: "Capturing needs CAP_NET_RAW on the host; run without captures by --no-capture." });
    }
    const written = pipeline(remote.stdout, createWriteStream(file, { mode: 0o600 })).catch(() => {}); // a broken stream shows as a truncated capture
    return { host, process: remote, file, written };
  }

  /** Ends all captures and merges them into the run's one file. `correctionMs` places a host's wall clock among the others. */
  async finish(correctionMs: (host: string) => number): Promise<MergedHost[]> {
    await Promise.all(this.#running.map(stopOne));
    if (this.#running.length === 0) return [];
    const files = this.#running.map(({ host, file }) => ({ host: host.name, file, correctionMs: correctionMs(host.name) }));
    const merged = await mergeCaptureFiles(files, this.#folder.file("capture"));
    await this.#folder.removeParts();
    return merged;
  }
}

async function stopOne({ process, written }: Running): Promise<void> {
  process.endInput();
  const late = setTimeout(() => process.kill(), stopPatienceMs);
  await written;
  clearTimeout(late);
}

/** The command that streams a host's capture: our program, headers only, without the SSH it runs over. */
export function captureCommand(session: Pick<LabSession, "agentCommand">, host: SessionHost, options: { readonly snaplen?: number; readonly filter?: "all" } = {}): string {
  const extra = [...(options.snaplen ? [`--snaplen ${options.snaplen}`] : []), ...(options.filter ? [`--filter ${options.filter}`] : [])];
  return [session.agentCommand(host.name), "capture", "--interface", host.interface, "--host", host.name, "--stop-with-stdin", ...extra].join(" ");
}
