import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, describe, expect, it } from "vitest";
import type { AgentEvent, AgentEventBody } from "../../../src-shared/api/events.ts";
import type { EventLine, RunSummary } from "../../../src-shared/api/summary.ts";
import type { Address } from "../../../src-shared/net/address.ts";
import { RunFolder } from "../../report/run-folder.ts";
import { runScenario, type RunOptions } from "./runner.ts";
import { parseScenario } from "./scenario-file.ts";
import { managerMono, type LabSession, type RemoteProcess } from "./session.ts";

const base = mkdtempSync(join(tmpdir(), "runner-spec-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let runs = 0;

const home = "2001:db8:f::1";
const client = "2001:db8:4::10";

/** A lab without hosts: calls are written down, echo programs answer at once, handoffs tell their steps as agents do. */
class PaperLab implements LabSession {
  readonly name = "paper-lab";
  readonly kind = "simulated";
  readonly versions = { "anycast-lab": "0" };
  readonly hosts = (["h", "k", "a", "c"] as const).map((name, i) => ({ name, site: null, address: (name === "c" ? client : `2001:db8:${i + 1}::10`) as Address, interface: "eth0", kernel: "6", agent: "0", dataPlane: null }));
  readonly done: string[] = [];
  readonly #listeners = new Set<(host: string, event: AgentEvent) => void>();
  refuse: string | null = null;
  #sequence = 0;

  agentCommand(): string {
    return "agent";
  }

  spawn(host: string, command: string): Promise<RemoteProcess> {
    this.done.push(`spawn ${host}: ${command}`);
    const stdout = new PassThrough();
    let finish: (code: number | null) => void = () => {};
    const exited = new Promise<number | null>((resolve) => (finish = resolve));
    const line = (value: object) => stdout.write(`${JSON.stringify(value)}\n`);
    const end = (ok: boolean) => {
      line({ type: "end", mono: managerMono(), ok, reason: null, sent: 1, received: 1, repeated: 0, corrupted: 0, lost: 0, missing: [], bytes: 2 });
      stdout.end();
      finish(0);
    };
    line({ type: "start", mono: managerMono(), wall: Date.now(), localPort: 4000 });
    setTimeout(() => {
      this.tell("k", { type: "clientServed", home, client, member: "k", how: "optimised", why: "test" });
      line({ type: "lines", lines: [[0, 1, 2]] });
    }, 10);
    return Promise.resolve({ stdout, stderr: new PassThrough(), endInput: () => end(true), kill: () => end(false), exited });
  }

  async call(host: string, name: string, args: unknown): Promise<never> {
    this.done.push(`call ${host}: ${name}`);
    if (name === "handOver") await this.#handOver(args as { id: string; acceptor: string; mode: "full" | "prepared" });
    return {} as never;
  }

  async #handOver({ id, acceptor, mode }: { readonly id: string; readonly acceptor: string; readonly mode: "full" | "prepared" }): Promise<void> {
    if (this.refuse) throw new Error(this.refuse);
    const steps = ["decided", ...(mode === "full" ? (["homeTestInit", "homeTest"] as const) : []), "frozen", "careOfTestInit", "careOfTest", "bindingUpdate", "bindingAcknowledgement", "firstPacket"] as const;
    for (const step of steps) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      this.tell(step.startsWith("c") || step.startsWith("b") || step === "firstPacket" ? acceptor : "k", { type: "handoffStep", handoff: id, home, client, donor: "k", acceptor, mode, step, at: managerMono() });
    }
    this.tell("k", { type: "clientServed", home, client, member: acceptor, how: "optimised", why: `handoff ${id}` });
  }

  tell(host: string, body: AgentEventBody): void {
    for (const listener of this.#listeners) listener(host, { sequence: this.#sequence++, mono: managerMono(), wall: Date.now(), body });
  }

  onEvent(listener: (host: string, event: AgentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  readClock(): Promise<{ managerMono: number; hostMono: number; hostWall: number; errorMs: number }> {
    const now = managerMono();
    return Promise.resolve({ managerMono: now, hostMono: now, hostWall: Date.now(), errorMs: 0.01 });
  }

  latencyMs(): number {
    return 1;
  }

  linkSet(settings: readonly unknown[]): Promise<void> {
    this.done.push(`linkSet ${JSON.stringify(settings)}`);
    return Promise.resolve();
  }

  stopNode(): Promise<void> {
    return Promise.resolve();
  }

  killAgent(): Promise<void> {
    return Promise.resolve();
  }

  serveFiles(): Promise<{ origin: string; sha256: Record<string, string> }> {
    return Promise.resolve({ origin: "http://[::1]:8000", sha256: {} });
  }

  formGroup(): Promise<{ memberPort: number }> {
    this.done.push("form");
    return Promise.resolve({ memberPort: 7135 });
  }

  dissolveGroup(): Promise<void> {
    this.done.push("dissolve");
    return Promise.resolve();
  }
}

const scenario = (steps: string, more = "") => `name: test
lab: none
group: { id: g, address: "${home}", homeAgent: h, members: [k, a], contact: k, services: [{ kind: echo, name: talk, port: 7 }] }
clients: [c]
workloads: [{ kind: echo, name: chat, client: c, service: talk, period: 10 ms }]
${more}
steps: ${steps}
`;

async function go(lab: PaperLab, text: string, options: Partial<RunOptions> = {}): Promise<{ readonly summary: RunSummary; readonly events: EventLine[]; readonly folder: RunFolder }> {
  const folder = await RunFolder.at(join(base, `run${runs++}`));
  const summary = await runScenario(parseScenario("t.yaml", text), lab, folder, { command: "test", capture: false, ...options });
  return { summary, events: await folder.readEvents(), folder };
}

describe("running a scenario", () => {
  it("does the steps in order, records the handoffs, and leaves a whole folder", async () => {
    const lab = new PaperLab();
    const progress: string[] = [];
    const { summary, folder } = await go(lab, scenario("[{ start: chat }, { handOver: { client: c, to: a, mode: full } }, { handOver: { client: c, to: k, mode: prepared, counts: false } }, { stop: chat }]"), { onProgress: (p) => progress.push(`${p.done}/${p.total}`) });
    expect(summary).toMatchObject({ ok: true, error: null, byteShare: null });
    expect(summary.handoffs.map((h) => [h.id, h.donor, h.acceptor, h.mode, h.counts, h.ok])).toEqual([
      ["h1", "k", "a", "full", true, true],
      ["h2", "k", "k", "prepared", false, true],
    ]);
    expect(summary.handoffs[0]?.measuredMs).toBeGreaterThan(0);
    expect(summary.workloads).toMatchObject([{ name: "chat", ok: true, lost: 0 }]);
    expect(lab.done).toEqual(["form", "spawn c: agent workload echo --to 2001:db8:f::1 --port 7 --period 10 --padding 0", "call k: handOver", "call k: handOver", "dissolve"]);
    expect(progress).toEqual(["0/4", "1/4", "2/4", "3/4", "4/4"]);
    for (const name of ["run", "scenario", "events", "handoffs", "series", "summary", "report"] as const) expect(readFileSync(folder.file(name), "utf8").length).toBeGreaterThan(10);
    expect(readFileSync(folder.clientLog("chat.jsonl"), "utf8")).toContain('"type":"end"');
  });

  it("records a refused handoff and goes on", async () => {
    const lab = new PaperLab();
    lab.refuse = "collect: a connection can't move";
    const { summary } = await go(lab, scenario("[{ start: chat }, { handOver: { client: c, to: a, mode: full } }, { stop: chat }]"));
    expect(summary).toMatchObject({ ok: false, error: null, handoffs: [{ ok: false, reason: "collect: a connection can't move", measuredMs: null }] });
    expect(summary.workloads[0]?.ok).toBe(true);
  });

  it("ends at a step that can't be done, cleans up, and says which and why", async () => {
    const lab = new PaperLab();
    const { summary, folder } = await go(lab, scenario("[{ start: chat }, { expect: { client: c, member: a, within: 50 ms } }, { handOver: { client: c, to: a, mode: full } }]"));
    expect(summary.ok).toBe(false);
    expect(summary.error).toMatchObject({ code: "scenario.expectation", message: expect.stringMatching(/served by k \(optimised\), not by a/) as string, step: expect.stringMatching(/^expect/) as string });
    expect(summary.handoffs).toEqual([]);
    expect(lab.done.at(-1)).toBe("dissolve");
    expect(summary.workloads[0]?.ok).toBe(true);
    expect(readFileSync(folder.file("report"), "utf8")).toContain("The run ended early");
  });

  it("can be stopped between and within steps", async () => {
    const lab = new PaperLab();
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 100);
    const { summary } = await go(lab, scenario("[{ start: chat }, { wait: 1 h }]"), { abort: stop.signal });
    expect(summary.error?.code).toBe("run.interrupted");
    expect(lab.done.at(-1)).toBe("dissolve");
  });

  it("runs parallel lists side by side", async () => {
    const started = Date.now();
    const { summary, events } = await go(new PaperLab(), scenario("[{ start: chat }, { parallel: [[{ wait: 300 ms }, { handOver: { client: c, to: a, mode: full } }], [{ wait: 50 ms }, { handOver: { client: c, to: k, mode: full } }]] }]"));
    expect(summary.handoffs.map((h) => h.acceptor)).toEqual(["k", "a"]);
    expect(events.filter((e) => e.body.type === "handoffRequested")).toHaveLength(2);
    expect(Date.now() - started).toBeLessThan(15_000);
  });

  it("fails when one of the parallel lists does, after the others have come to their end", async () => {
    const { summary } = await go(new PaperLab(), scenario("[{ start: chat }, { parallel: [[{ expect: { client: c, member: a, within: 20 ms } }], [{ wait: 100 ms }, { handOver: { client: c, to: a, mode: full } }]] }]"));
    expect(summary.error).toMatchObject({ code: "scenario.expectation", step: expect.stringMatching(/^parallel/) as string });
    expect(summary.handoffs).toMatchObject([{ ok: true }]);
  });

  it("visits an experiment's points with their links and modes", async () => {
    const lab = new PaperLab();
    const text = scenario(
      '[{ linkSet: [{ between: [k, a], delay: "${L} ms" }] }, { prepare: { client: c }, when: { mode: prepared } }, { handOver: { client: c, to: a, mode: "${mode}" } }]',
      "factors: { L: [5, 7], mode: [full, prepared] }\nrepetitions: 2\nseed: 3\nbefore: [{ start: chat }]\nafter: [{ stop: chat }]",
    );
    const { summary } = await go(lab, text);
    expect(summary.handoffs).toHaveLength(8);
    expect(summary.points).toHaveLength(4);
    expect(summary.points.every((p) => p.n === 2)).toBe(true);
    expect(lab.done.filter((d) => d === "call k: prepare")).toHaveLength(4);
    const links = lab.done.filter((d) => d.startsWith("linkSet")).map((d) => (JSON.parse(d.slice(8)) as { change: { delayMs: number } }[])[0]?.change.delayMs);
    expect(links).toHaveLength(8);
    expect(new Set(links)).toEqual(new Set([5, 7]));
    expect(summary.handoffs.filter((h) => h.mode === "full").every((h) => h.point.mode === "full")).toBe(true);
  });

  it("refuses a scenario whose hosts the lab lacks, before it touches anything", async () => {
    const lab = new PaperLab();
    await expect(go(lab, scenario("[{ start: chat }]").replace("members: [k, a]", "members: [k, a, z]"))).rejects.toThrow(/"z" is no host of the lab/);
    expect(lab.done).toEqual([]);
  });

  it("never writes into another run's folder", async () => {
    const { folder } = await go(new PaperLab(), scenario("[{ wait: 1 ms }]"));
    await expect(RunFolder.at(folder.path)).rejects.toMatchObject({ code: "run.folderTaken" });
  });
});
