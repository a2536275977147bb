import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { parseLab } from "../labFile.ts";
import { guestScript, readGuestWord } from "./guest.ts";
import { machineArguments } from "./qemu.ts";
import { memoryOf } from "./support.ts";

const plan = parseLab(
  `name: two
testbed: vm
sites: { s: {} }
vms: { other: { memory: 1 GiB } }
hosts:
  a: { site: s }
  b: { site: s, vm: other }
  c: { site: s, vm: none }
  d: { site: s, vm: other, clockOffset: 5 s }
`,
  "f.yaml",
);
const [, other] = plan.machines;

describe("the line to a virtual machine", () => {
  it("carries words, and other text is none", () => {
    expect(readGuestWord("ready")).toEqual({ word: "ready" });
    expect(readGuestWord("failed modules cannot be loaded\r")).toEqual({ word: "failed", what: "modules cannot be loaded" });
    expect(readGuestWord("ended a-1 ended by itself (exit code 137)")).toEqual({ word: "ended", host: "a-1", detail: "ended by itself (exit code 137)" });
    expect(readGuestWord("stopped b")).toEqual({ word: "stopped", host: "b", detail: "" });
    for (const noise of ["", "ended", "ended A!", "readyish", "SeaBIOS (version 1.16.2)", "stopped ../x"]) expect(readGuestWord(noise)).toBeUndefined();
  });

  it.skipIf(process.platform !== "linux")("is served by a script that a shell can read, for this machine's hosts only", () => {
    const script = guestScript(plan, other!, 1);
    expect(spawnSync("sh", ["-n"], { input: script, encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
    const addressed = [...script.matchAll(/^(\w+)\) number=(\d+) .*offset=(\d+);;$/gm)].map((match) => match.slice(1));
    expect(addressed).toEqual([
      ["b", "1", String(plan.hosts[1]!.clockOffsetSeconds)],
      ["d", "3", "5"],
    ]);
  });
});

describe("QEMU's arguments", () => {
  const options = { image: { path: "/cache/a,b" }, memoryBytes: memoryOf(other!), cpus: 2, dataDisk: "/l/data", labDisk: "/l/lab.tar", console: "/l/console", cards: [{ tap: "v1", mac: "02:4c:ab:03:00:02" }, { tap: "w1", mac: "02:4c:ab:01:00:02" }] };

  it("emulate unless hardware virtualisation was proven, and give what the lab file says", () => {
    const words = machineArguments({ ...options, accelerator: "tcg" }).join(" ");
    expect(words).toMatch(/-accel tcg,thread=multi,tb-size=\d+ /);
    expect(words).not.toContain("kvm");
    expect(words).toContain("-m 1024M");
    expect(words).toContain("file=/cache/a,,b/root.ext4,readonly=on");
    expect(words).toMatch(/ifname=v1,.*ifname=w1,/);
    expect(machineArguments({ ...options, accelerator: "kvm" }).join(" ")).toContain("-accel kvm");
  });

  it("open no port and no network of the machine's own", () => {
    expect(machineArguments({ ...options, accelerator: "tcg" }).filter((word) => /user,|hostfwd|tcp:|vnc|bridge/.test(word))).toEqual([]);
  });
});
