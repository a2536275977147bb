import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RunDescription, RunSummary } from "../../src-shared/api/summary.ts";
import { AgentWorld } from "../support/agentWorld.ts";
import { judgeCapture } from "../support/captureOracle.ts";
import { whyNoVm } from "../support/vm.ts";

const root = resolve(import.meta.dirname, "../..");
const cli = join(root, "src-main/shells/cli/main.ts");
/** Summaries and reports stay here, for a person to read. */
const kept = join(root, "out/vm-runs");

/** Share of the scenario's bytes: enough that handoffs, which take seconds there, come one after the other. */
const share = "5%";
/** Scenario, lab, and what carries packets on members and clients there. */
const runs = [
  ["quickstart", "vm-quickstart", { k: "kernel", a: "kernel", b: "kernel", c1: "kernel", c2: "kernel" }, 7],
  ["quickstart", "vm-kernel-client", { k: "ebpf", a: "ebpf", b: "ebpf", c1: "kernel", c2: "kernel" }, 7],
  ["quickstart", "vm-kernel-members", { k: "kernel", a: "kernel", b: "kernel", c1: "userspace", c2: "userspace" }, 7],
  ["plain-client", "vm-plain-client", { k: "kernel", a: "kernel", b: "kernel" }, 5],
] as const;

const reason = process.env["LONG_SAMPLE"] ? "runs on emulated processors take minutes each: not in the sample" : await whyNoVm();

describe.skipIf(reason)(`scenarios on stock Debian kernels in virtual machines${reason ? ` (skipped: ${reason})` : ""}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "anycast-vm-runs-"));
  beforeAll(async () => {
    await AgentWorld.prepare();
    mkdirSync(kept, { recursive: true });
  }, 600_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(runs)("%s on %s loses and repeats nothing", (scenario, lab, dataPlanes, handoffs) => {
    const out = join(folder, lab);
    const { stdout, stderr } = spawnSync(process.execPath, [cli, "run", scenario, "--lab", lab, "--bytes", share, "--period", "50ms", "--json", "--out", out], { encoding: "utf8", maxBuffer: 64 << 20 });
    const answer = JSON.parse(stdout) as { summary?: RunSummary; error?: unknown };
    expect(answer.error, stderr.slice(-3000)).toBeUndefined();
    const summary = answer.summary as RunSummary;
    for (const file of ["summary.json", "report.html", "handoffs.csv"]) cpSync(join(out, file), join(kept, `${lab}-${file}`));
    const wrong = summary.thresholds.filter((t) => !t.ok && t.setAside === undefined).map((t) => `${t.name}: ${t.value}`);
    expect(wrong, stderr.slice(-3000)).toEqual([]);
    expect(summary.ok).toBe(true);
    expect(summary.handoffs.length).toBe(handoffs);
    expect(planesOf(out)).toMatchObject(dataPlanes);
    expect(judgeCapture(join(out, "capture.pcapng"))).toMatchObject({ complaints: [], badChecksums: [] });
  });
});

/** What each host's agent carried packets by, as run.json has it. */
function planesOf(run: string): Record<string, string | undefined> {
  const { hosts } = JSON.parse(readFileSync(join(run, "run.json"), "utf8")) as RunDescription;
  return Object.fromEntries(hosts.map((host) => [host.name, host.dataPlane?.kind]));
}
