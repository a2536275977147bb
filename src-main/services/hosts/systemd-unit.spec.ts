import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { become } from "./agent-process.ts";
import { unitText } from "./systemd-unit.ts";

const why = spawnSync("systemd-analyze", ["--version"]).error ? "needs systemd-analyze" : undefined;
const unit = { deployment: "d", host: "h", uid: 61_730, gid: 61_730, capabilities: ["net_admin", "net_raw", "bpf"], command: ["/bin/sh", "-c", become, "/run/anycast-lab/d/h", "/usr/bin/env", "50%", 'a "quoted" $word'] };

describe("the agent's systemd unit", () => {
  it("is filled in, with nothing for systemd to expand", async () => {
    const text = await unitText(unit);
    expect(text).toContain("AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_BPF\n");
    expect(text).toContain('"50%%" "a \\"quoted\\" $$word"');
    expect(text.split("\n").filter((line) => !line.startsWith("#")).join("\n")).not.toMatch(/@[A-Z]+@/);
  });

  it.skipIf(why)(`is accepted by systemd-analyze${why ? ` (skipped: ${why})` : ""}`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "acl-unit-"));
    const file = join(directory, "anycast-lab-d-h.service");
    const verify = (text: string) => {
      writeFileSync(file, text);
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" });
      return { status, about: stderr.split("\n").filter((line) => line.includes("anycast-lab-d-h")) };
    };
    expect(verify(await unitText(unit))).toEqual({ status: 0, about: [] });
    expect(verify((await unitText(unit)).replace('"/bin/sh"', '"/no/such/program"')).about).not.toEqual([]);
    rmSync(directory, { recursive: true });
  });
});
