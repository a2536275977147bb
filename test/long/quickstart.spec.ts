import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { RunSummary } from "../../src-shared/api/summary.ts";
import { AgentWorld } from "../support/agentWorld.ts";
import { judgeCapture } from "../support/captureOracle.ts";

const cli = resolve(import.meta.dirname, "../../src-main/shells/cli/main.ts");
const folder = mkdtempSync(join(tmpdir(), "anycast-quickstart-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Thresholds about time are for a quiet machine and a person to judge; what was lost, doubled or reset is not. */
const aboutTime = /gap/i;

describe.skipIf(process.platform !== "linux")("the main job, from the command line (needs Linux)", () => {
  it.each(process.env["LONG_SAMPLE"] ? ["ebpf"] : ["ebpf", "userspace"])("quickstart loses and repeats nothing, data plane %s", async (dataPlane) => {
    await AgentWorld.prepare();
    const out = join(folder, dataPlane);
    const { stdout, stderr } = spawnSync(process.execPath, [cli, "run", "quickstart", "--json", "--out", out, "--data-plane", dataPlane], { encoding: "utf8", maxBuffer: 64 << 20 });
    const { summary } = JSON.parse(stdout) as { summary: RunSummary };
    const wrong = summary.thresholds.filter((t) => !t.ok && !aboutTime.test(t.name)).map((t) => `${t.name}: ${t.value}`);
    expect(wrong, stderr.slice(-3000)).toEqual([]);
    expect(summary.handoffs.length).toBe(7);
    const judged = judgeCapture(join(out, "capture.pcapng"));
    expect(judged.messages).toBeGreaterThan(40);
    expect(judged).toMatchObject({ complaints: [], badChecksums: [] });
  });
});
