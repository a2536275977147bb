import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { seededRandom } from "../../src-shared/stats/random.ts";
import { syntheticMeasured, syntheticRun, syntheticScenario, type SyntheticHandoff, type SyntheticOptions } from "../../test/support/syntheticRun.ts";
import { finishRun } from "./finish.ts";
import { describeVerification, verifyRun } from "./verify.ts";

const base = mkdtempSync(join(tmpdir(), "report-spec-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let runs = 0;
const build = (options: Partial<SyntheticOptions> & Pick<SyntheticOptions, "handoffs">) => syntheticRun(join(base, `run${runs++}`), { scenario: syntheticScenario, ...options });

const near: SyntheticHandoff = { mode: "full", latencies: { L_KH: 5, L_HC: 12, L_DA: 7, L_AC: 20, L_DC: 10 } };
const known: SyntheticHandoff = { mode: "prepared", latencies: { L_KH: 5, L_HC: 12, L_DA: 7, L_AC: 20, L_DC: 10 } };

/** Latencies that vary independently, as paper.yaml has them. */
function varied(n: number): SyntheticHandoff[] {
  const random = seededRandom("varied");
  const some = () => 2 + random.below(40);
  return Array.from({ length: n }, (_, i) => ({ mode: i % 2 === 0 ? ("full" as const) : ("prepared" as const), latencies: { L_KH: some(), L_HC: some(), L_DA: some(), L_AC: some(), L_DC: some() } }));
}

describe("records of a run", () => {
  it("come from the steps of three hosts whose clocks differ by seconds", async () => {
    const folder = await build({ handoffs: [near, known] });
    const { handoffs } = await finishRun(folder);
    expect(handoffs).toHaveLength(2);
    for (const [i, handoff] of [near, known].entries()) {
      const record = handoffs[i];
      expect(record).toMatchObject({ ok: true, donor: "k", acceptor: "a", mode: handoff.mode, connections: 1, bytesLost: 0, bytesDuplicated: 0, stateBytes: 700 });
      expect(record?.measuredMs).toBeCloseTo(syntheticMeasured(handoff), 3);
      expect(record?.steps.reduce((sum, step) => sum + (step.measuredMs as number), 0)).toBeCloseTo(record?.measuredMs as number, 6);
    }
    expect(handoffs[0]?.predictedMs).toBe(2 * 5 + 2 * 12 + 7 + 4 * 20);
    expect(handoffs[1]?.predictedMs).toBe(7 + 4 * 20);
    expect(handoffs[0]?.decisionMs).toBeCloseTo(0.2, 6);
    expect(handoffs[1]?.frozenMs).toBeCloseTo(handoffs[1]?.measuredMs as number, 6);
  });

  it("have the client's silence from its own interface, less the workload's period", async () => {
    const folder = await build({ handoffs: [near], echoPeriodMs: 50 });
    const [record] = (await finishRun(folder)).handoffs;
    const [gap] = record?.gaps ?? [];
    expect(gap?.periodMs).toBeCloseTo(50, 3);
    expect(gap?.controlMs).toBeCloseTo(50, 3);
    // The last answer came at most a period before the freeze could be felt; the next line waits for the acceptor and takes a round trip.
    expect(record?.clientGapMs).toBeGreaterThan(record?.predictedGapMs as number);
    expect(record?.clientGapMs).toBeLessThan((record?.predictedGapMs as number) + 2 * 20 + 50);
  });

  it("say what failed when a handoff did", async () => {
    const folder = await build({ handoffs: [near], told: (_, step) => (step === "firstPacket" ? Number.NaN : 0) });
    const { handoffs, ok } = await finishRun(folder);
    expect(handoffs[0]).toMatchObject({ ok: false, measuredMs: null, reason: expect.stringMatching(/first packet/) as string });
    expect(ok).toBe(false);
  });
});

describe("regression", () => {
  it("finds how often each latency counts, in both modes", async () => {
    const { regression } = await finishRun(await build({ handoffs: varied(60) }));
    const of = (mode: string) => regression.find((r) => r.mode === mode)?.terms as Record<string, number>;
    for (const [term, times] of Object.entries({ L_KH: 2, L_HC: 2, L_DA: 1, L_AC: 4 })) expect(of("full")[term]).toBeCloseTo(times, 6);
    for (const [term, times] of Object.entries({ L_KH: 0, L_HC: 0, L_DA: 1, L_AC: 4 })) expect(of("prepared")[term]).toBeCloseTo(times, 6);
  });

  it("has the paper's totals as its special case", async () => {
    const handoffs = [5, 20, 60].flatMap((CS) => [2, 20, 60].flatMap((SS) => (["full", "prepared"] as const).map((mode) => ({ mode, latencies: { L_KH: SS, L_HC: CS, L_DA: SS, L_AC: CS, L_DC: CS }, point: { L_CS: CS, L_SS: SS } }))));
    const { regression, points } = await finishRun(await build({ handoffs }));
    expect(regression.find((r) => r.mode === "full")).toMatchObject({ coefCS: expect.closeTo(6, 6) as number, coefSS: expect.closeTo(3, 6) as number });
    expect(regression.find((r) => r.mode === "prepared")).toMatchObject({ coefCS: expect.closeTo(4, 6) as number, coefSS: expect.closeTo(1, 6) as number });
    expect(points).toHaveLength(18);
  });

  it("is left out where latencies were not varied", async () => {
    expect((await finishRun(await build({ handoffs: [near, near, near, near, near, near] }))).regression).toEqual([]);
  });
});

describe("the folder", () => {
  it("holds every file, with a row per handoff and a goodput that adds up", async () => {
    const folder = await build({ handoffs: [near, known] });
    const summary = await finishRun(folder);
    expect(await folder.readSummary()).toEqual(summary);
    const rows = readFileSync(folder.file("handoffs"), "utf8").trim().split("\r\n");
    expect(rows).toHaveLength(3);
    const series = readFileSync(folder.file("series"), "utf8").trim().split("\r\n").slice(1).map((row) => row.split(","));
    const bytes = series.reduce((sum, row) => sum + (Number(row[2]) * 0.1 * 1e6) / 8, 0);
    expect(bytes).toBeCloseTo(summary.workloads[0]?.bytes as number, -1);
    expect(new Set(series.map((row) => row[6])).has("k")).toBe(true);
    expect(summary.byteShare?.homeAgent).toBe(0);
    expect((summary.byteShare?.contact ?? 0) + (summary.byteShare?.direct ?? 0)).toBeCloseTo(1, 9);
    expect(summary.thresholds.every((t) => t.ok)).toBe(true);
  });

  it("sets missed thresholds about time aside where hosts are in virtual machines, and no others", async () => {
    const judged = async (virtualMachine: boolean, lost: number) => {
      const thresholds = `thresholds:\n  - { name: gap, metric: median(clientGapMs), atMost: 0.001, unit: ms }\n  - { name: lines, metric: lost(echoes), equals: ${lost} }\n`;
      const folder = await build({ handoffs: [near], scenario: syntheticScenario.replace(/^thresholds:[^]*$/m, thresholds) });
      const run = JSON.parse(readFileSync(folder.file("run"), "utf8")) as { hosts: { name: string; virtualMachine?: boolean }[] };
      for (const host of run.hosts) if (host.name === "k") host.virtualMachine = virtualMachine;
      writeFileSync(folder.file("run"), JSON.stringify(run));
      const { ok, thresholds: [gap, lines] } = await finishRun(folder);
      return { ok, gap: gap?.ok, aside: gap?.setAside, lines: lines?.setAside };
    };
    expect(await judged(false, 0)).toEqual({ ok: false, gap: false, aside: undefined, lines: undefined });
    expect(await judged(true, 0)).toEqual({ ok: true, gap: false, aside: "about time, with k in virtual machines", lines: undefined });
    expect(await judged(true, 1)).toMatchObject({ ok: false, lines: undefined });
  });

  it("says how each client was served in the end, and why not directly", async () => {
    const folder = await build({ handoffs: [near] });
    expect((await finishRun(folder)).clientsServed).toEqual([{ client: "c", member: "k", how: "optimised", why: "asked" }]);
    const lines = readFileSync(folder.file("events"), "utf8").trim().split("\n").map((line) => JSON.parse(line) as { at: number; body: Record<string, unknown> });
    const last = lines.findLast(({ body }) => body["type"] === "clientServed") as (typeof lines)[number];
    const relayed = { ...last, at: last.at + 1, body: { ...last.body, member: "a", how: "relayed", why: "no <answer> to Home Test Init" } };
    const elder = { ...last, at: last.at - 1, body: { ...last.body, how: "tunnel" } };
    writeFileSync(folder.file("events"), [...lines, relayed, elder].map((line) => `${JSON.stringify(line)}\n`).join(""));
    expect((await finishRun(folder)).clientsServed).toEqual([{ client: "c", member: "a", how: "relayed", why: "no <answer> to Home Test Init" }]);
    expect(readFileSync(folder.file("report"), "utf8")).toContain("1 relayed by the contact (c: no &lt;answer&gt; to Home Test Init)");
  });

  it("can be finished again with the same outcome", async () => {
    const folder = await build({ handoffs: [near] });
    const first = await finishRun(folder);
    const capture = readFileSync(folder.file("capture"));
    expect(await finishRun(folder)).toEqual(first);
    expect(readFileSync(folder.file("capture")).equals(capture)).toBe(true);
  });

  it("escapes what hosts and files say, in a report that loads and runs nothing", async () => {
    const evil = `</td><script>alert(1)</script><img src=x onerror="alert(2)">'"\u202e`;
    const folder = await build({ handoffs: [near], scenario: syntheticScenario.replace("name: gap", `name: ${JSON.stringify(evil)}`).replace("lab: none", `lab: none\ntitle: x`) });
    const run = await folder.readRun();
    await folder.writeRun({ ...run, title: evil, hosts: run.hosts.map((host) => ({ ...host, kernel: evil, dataPlane: { kind: evil, reason: evil } })) });
    await finishRun(folder);
    const report = readFileSync(folder.file("report"), "utf8");
    expect(report).not.toMatch(/<script|<img|<iframe|<link|<object/i);
    expect(report).not.toMatch(/\son\w+="/i);
    expect(report).not.toMatch(/(href|src)="?(https?:|\/\/)/i);
    expect(report).not.toContain("\u202e");
    expect(report).toContain("&lt;script&gt;alert(1)");
    expect(report).toContain("default-src 'none'");
    expect(report.indexOf("<h2>Thresholds")).toBeLessThan(report.indexOf("<h2>Handoffs"));
    expect(report).toMatch(/Care-of Test Init/);
    expect(report).toMatch(/prefers-color-scheme: dark/);
  });
});

describe("verification", () => {
  it("agrees with a run that tells the truth", async () => {
    const folder = await build({ handoffs: [near, known, ...varied(6)] });
    await finishRun(folder);
    const result = await verifyRun(folder);
    expect(describeVerification(result)).toMatch(/^✓/);
    expect(result.largestMs).toBeLessThan(0.01);
    expect(result.checks.length).toBeGreaterThan(80);
  });

  const lies: readonly (readonly [what: string, options: Partial<SyntheticOptions>, complaint: RegExp])[] = [
    ["the acceptor tells its first packet 2 ms early", { told: (_, step) => (step === "firstPacket" ? -2 : 0) }, /h1: firstPacketAt/],
    ["the contact tells its Home Test Init 2 ms late", { told: (_, step) => (step === "homeTestInit" ? 2 : 0) }, /h1: startAt/],
    ["the donor tells its freeze 2 ms late", { told: (i, step) => (i === 1 && step === "frozen" ? 2 : 0) }, /h2: frozenAt/],
    ["a step in the middle is 2 ms off", { told: (_, step) => (step === "careOfTest" ? 2 : 0) }, /h1: step return routability, care-of/],
    ["the client's log claims a byte more", { extraBytes: 1 }, /chat: bytes that reached the client's program/],
    ["the donor sends after its freeze", { lateDonorMs: 4 }, /still sent new bytes 4\.00 ms after it froze/],
  ];
  it.each(lies)("turns red when %s", async (_, options, complaint) => {
    const folder = await build({ handoffs: [near, known], ...options });
    await finishRun(folder);
    const result = await verifyRun(folder);
    expect(result.ok).toBe(false);
    expect(describeVerification(result)).toMatch(complaint);
  });

  it("turns red when the summary is changed afterwards", async () => {
    const folder = await build({ handoffs: [near] });
    const summary = await finishRun(folder);
    await folder.writeSummary({ ...summary, handoffs: summary.handoffs.map((h) => ({ ...h, clientGapMs: (h.clientGapMs as number) - 5 })) });
    expect(describeVerification(await verifyRun(folder))).toMatch(/h1: clientGapMs/);
  });
});
