import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { once } from "node:events";
import { delimiter, join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { AppHandlers } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import type { Capture } from "../../../src-shared/api/app/lab.ts";
import { parseAddress } from "../../../src-shared/net/address.ts";
import { mergeCaptureFiles } from "../../capture/merge.ts";
import { asProblem, Problem } from "../../problem.ts";
import type { AgentHost } from "../lab-session.ts";
import { captureCommand } from "../runner/captures.ts";
import type { RemoteProcess } from "../runner/session.ts";
import type { Labs } from "./labs.ts";
import type { OpenLab } from "./open-lab.ts";
import { stateFolder } from "./places.ts";
import { exists } from "./run-view.ts";
import type { LabStore } from "./store.ts";

const lookEveryMs = 1000;
const startPatienceMs = 15_000;
const stopPatienceMs = 5000;
/** What a capture "of headers" keeps of each packet, bytes. */
const headerBytes = 192;

interface Part {
  readonly host: string;
  readonly process: RemoteProcess;
  readonly file: string;
  readonly written: Promise<void>;
  readonly correctionMs: number;
}

interface Running {
  readonly lab: string;
  readonly folder: string;
  readonly parts: readonly Part[];
  readonly timer: NodeJS.Timeout;
}

/** Captures that a person starts from the window: one program per host, merged into one file when they end. */
export class CaptureService {
  readonly #labs: Labs;
  readonly #store: LabStore;
  readonly #running = new Map<string, Running>();
  #next = 1;

  constructor(labs: Labs, store: LabStore) {
    this.#labs = labs;
    this.#store = store;
  }

  readonly handlers = {
    "capture.start": async ({ lab, hosts, headersOnly }) => ({ capture: await this.#start(this.#labs.get(lab), hosts, headersOnly) }),
    "capture.stop": async ({ lab, capture }) => ({ file: await this.stop(lab, capture) }),
    "capture.show": ({ lab, capture }) => this.#show(this.#store.item(lab, "captures", capture)),
  } satisfies Partial<AppHandlers>;

  /** Captures that go on in a lab. */
  running(lab: string): string[] {
    return [...this.#running].flatMap(([id, running]) => (running.lab === lab ? [id] : []));
  }

  /** Ends a capture; resolves with its file. */
  async stop(lab: string, id: string): Promise<string> {
    const shown = this.#store.item(lab, "captures", id);
    const running = this.#running.get(id);
    this.#running.delete(id);
    if (!running) return shown.file;
    clearInterval(running.timer);
    try {
      await Promise.all(running.parts.map(endPart));
      const merged = await mergeCaptureFiles(running.parts, shown.file);
      const packets = merged.reduce((sum, host) => sum + host.packets, 0);
      this.#change(lab, id, { state: "stopped", packets, bytes: await sizeOf(shown.file) });
      return shown.file;
    } catch (error) {
      this.#change(lab, id, { state: "failed", detail: asProblem(error).message });
      throw error;
    } finally {
      await rm(running.folder, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map(([id, { lab }]) => this.stop(lab, id).catch(() => {})));
  }

  async #start(open: OpenLab, hosts: readonly string[], headersOnly: boolean): Promise<string> {
    const agents = hosts.map((host) => open.agent(host));
    const base = join(stateFolder(), "captures");
    await mkdir(base, { recursive: true, mode: 0o700 });
    const folder = await mkdtemp(join(base, ".parts-"));
    const results = await Promise.allSettled(agents.map((agent) => startPart(agent, folder, headersOnly, -(open.host(agent.handle.name).clock?.current.wallOffsetMs ?? 0))));
    const parts = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const failed = results.find((result) => result.status === "rejected");
    if (failed) {
      await Promise.all(parts.map(endPart));
      await rm(folder, { recursive: true, force: true });
      throw failed.reason;
    }
    const id = `capture-${this.#next++}`;
    const stamp = new Date().toISOString().replaceAll(/[-:]/g, "").replace("T", "-").slice(0, 15);
    const capture: Capture = { id, hosts: [...hosts], file: join(base, `${open.testbed.name}-${stamp}-${id}.pcapng`), since: Date.now(), packets: 0, bytes: 0, state: "running", detail: null };
    const timer = setInterval(() => void this.#look(open.id, id), lookEveryMs);
    timer.unref();
    this.#running.set(id, { lab: open.id, folder, parts, timer });
    this.#store.change(open.id, { captures: [capture] });
    return id;
  }

  async #look(lab: string, id: string): Promise<void> {
    const running = this.#running.get(id);
    if (!running) return;
    const sizes = await Promise.all(running.parts.map((part) => sizeOf(part.file)));
    if (this.#running.has(id)) this.#change(lab, id, { bytes: sizes.reduce((sum, size) => sum + size, 0) });
  }

  #change(lab: string, id: string, change: Partial<Capture>): void {
    const before = this.#store.has(lab) ? this.#store.get(lab).captures.find((capture) => capture.id === id) : undefined;
    if (before) this.#store.change(lab, { captures: [{ ...before, ...change }] });
  }

  async #show({ file, state }: Capture): Promise<{ opened: boolean; detail: string }> {
    if (state === "running") throw new AppError("busy", "the capture is still running", { remedy: "Stop it first; its file is whole then." });
    const wireshark = await onPath("wireshark");
    if (!wireshark) return { opened: false, detail: `There is no Wireshark here. The file is ${file}` };
    if (!process.env["DISPLAY"] && !process.env["WAYLAND_DISPLAY"]) return { opened: false, detail: `There is no display to open Wireshark on. The file is ${file}` };
    spawn(wireshark, [file], { detached: true, stdio: "ignore" }).unref();
    return { opened: true, detail: file };
  }
}

async function startPart(agent: AgentHost, folder: string, headersOnly: boolean, correctionMs: number): Promise<Part> {
  const { handle, hello, command } = agent;
  const host = { name: handle.name, site: handle.site, address: parseAddress(hello.address), interface: hello.interface, kernel: hello.kernel, agent: hello.version, dataPlane: hello.dataPlane };
  const process = await agent.privileged(captureCommand({ agentCommand: () => command }, host, { snaplen: headersOnly ? headerBytes : 65_535, filter: "all" }));
  let complaint = "";
  process.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + String(chunk)).slice(-2000)));
  // Its first bytes say that it is live.
  const live = await Promise.race([once(process.stdout, "readable").then(() => true), process.exited.then(() => false), new Promise<boolean>((resolve) => setTimeout(() => resolve(false), startPatienceMs).unref())]);
  if (!live) {
    process.kill();
    throw new Problem({ code: "capture.failed", host: handle.name, what: `the capture on ${hello.interface} did not start${complaint ? `: ${complaint.trim()}` : ""}`, remedy: "Capturing needs CAP_NET_RAW on the host; preflight says whether it can be had." });
  }
  const file = join(folder, `${handle.name}.pcapng`);
  const written = pipeline(process.stdout, createWriteStream(file, { mode: 0o600 })).catch(() => {}); // a broken stream shows as a truncated capture
  return { host: handle.name, process, file, written, correctionMs };
}

async function endPart({ process, written }: Part): Promise<void> {
  process.endInput();
  const late = setTimeout(() => process.kill(), stopPatienceMs);
  await written;
  clearTimeout(late);
}

const sizeOf = (file: string): Promise<number> => stat(file).then((found) => found.size, () => 0);

async function onPath(program: string): Promise<string | undefined> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) if (folder && (await exists(join(folder, program)))) return join(folder, program);
  return undefined;
}
