import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { labDown, labUp, listLabs, openLab } from "../../src-main/testbeds/local/labs.ts";
import type { LocalLab } from "../../src-main/testbeds/local/localLab.ts";
import { commandLines, LabSandbox, machineNetwork, onHost, ownerOf, ping, processTree, survivors } from "../support/lab.ts";
import { whyNoVm } from "../support/vm.ts";

const reason = await whyNoVm();
/** Two hosts in one machine, one on this machine. */
const mixed = `name: mixed
testbed: vm
home: { prefix: "2001:db8:f::/64", host: a }
sites: { near: {}, far: {} }
paths: [{ between: [near, far], delay: 40 ms }]
hosts:
  a: { site: near }
  b: { site: far, sudo: password }
  c: { site: near, vm: none }
`;

describe.skipIf(reason)(`hosts in a virtual machine${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let sandbox: LabSandbox;
  let before: string;
  let lab: LocalLab;
  beforeAll(async () => {
    sandbox = new LabSandbox();
    before = await machineNetwork();
    const started = performance.now();
    lab = await labUp(sandbox.file("mixed.yaml", mixed), { name: "mixed", attached: true });
    console.log(`three hosts up in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }, 600_000);
  afterAll(() => sandbox?.close());

  it("run Debian's kernel with Mobile IPv6, each with a login, a name, sudo and clocks of its own", async () => {
    expect(lab.kind).toBe("vm");
    for (const name of ["a", "b"]) {
      const { stdout, stderr, code } = await onHost(lab, name, "uname -r; hostname; cat /proc/1/comm; grep -c ^CONFIG_IPV6_MIP6=y /lib/modules/$(uname -r)/config; node --version; cut -d. -f1 /proc/uptime");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const [kernel, hostname, first, mip6, node, uptime] = stdout.trim().split("\n");
      expect(kernel).toMatch(/-cloud-amd64$/);
      expect({ hostname, first, mip6 }).toEqual({ hostname: name, first: "sshd", mip6: "1" });
      expect(node).toMatch(/^v2\d\./);
      const offset = lab.plan.hosts.find((host) => host.name === name)!.clockOffsetSeconds;
      expect(Math.abs(Number(uptime) - offset)).toBeLessThan(600);
    }
    expect((await onHost(lab, "a", "sudo id -u")).stdout).toBe("0\n");
    expect((await onHost(lab, "b", "sudo -n id -u")).code).toBe(1);
    expect((await onHost(lab, "c", "uname -r")).stdout).toBe(`${readFileSync("/proc/sys/kernel/osrelease", "utf8").trim()}\n`);
  });

  it("are joined by the lab's links alone, in one machine as between two", async () => {
    expect((await ping(lab, "a", "b", 5)).minMs).toBeGreaterThanOrEqual(80);
    expect((await ping(lab, "c", "b", 5)).minMs).toBeGreaterThanOrEqual(80);
    const near = await ping(lab, "c", "a", 5);
    expect(near.received).toBe(5);
    expect(near.minMs).toBeLessThan(80);
    await lab.linkSet([{ link: { from: "a", to: "b" }, bothWays: true, change: { delayMs: 200 } }]);
    expect((await ping(lab, "a", "b", 3)).minMs).toBeGreaterThanOrEqual(400);
    await lab.linkReset();
    const { stdout } = await onHost(lab, "a", "for i in 1 2 3; do ping -c 1 -W 2 10.79.1.$i >/dev/null && echo $i; done");
    expect(stdout.trim()).toBe("1"); // only itself over the management network
    expect(await machineNetwork()).toBe(before);
  });

  it("are stopped like a power cut and started again, the rest of their machine unharmed", async () => {
    expect((await onHost(lab, "a", "echo kept > f; sync")).code).toBe(0);
    await lab.stopHost("a");
    expect((await lab.status()).hosts.map(({ name, up }) => [name, up])).toEqual([["a", false], ["b", true], ["c", true]]);
    expect((await ping(lab, "c", "a", 2)).received).toBe(0);
    expect((await ping(lab, "c", "b", 2)).received).toBe(2);
    await lab.startHost("a");
    expect((await onHost(lab, "a", "cat f")).stdout).toBe("kept\n");
    expect((await ping(lab, "c", "a", 2)).received).toBe(2);
  });

  it("say that their machine has ended when it has, and leave nothing when the lab's first process is killed", async () => {
    const folder = lab.folder.machine("vm");
    expect(statSync(folder).mode & 0o077).toBe(0); // its console and disk are nobody else's to read
    const processes = processTree(ownerOf(lab));
    const qemu = processes.find(({ pid }) => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("qemu"))!;
    process.kill(qemu.pid, "SIGKILL");
    const again = await openLab("mixed");
    await expect.poll(async () => (await again.status()).hosts.map(({ up }) => up), { timeout: 10_000 }).toEqual([false, false, true]);
    expect((await again.status()).hosts[0]!.detail).toMatch(/its virtual machine ended \(QEMU ended, SIGKILL\)/);
    await expect(again.startHost("a")).rejects.toMatchObject({ code: "vm.ended" });
    process.kill(ownerOf(lab), "SIGKILL");
    expect(await survivors(processes)).toEqual([]);
    expect(await listLabs()).toMatchObject([{ name: "mixed", state: "dead" }]);
    await labDown("mixed");
    expect(await machineNetwork()).toBe(before);
  });

  it.skipIf(process.env["LONG_SAMPLE"])("tell a boot that takes too long with the console's last lines, and leave nothing of it", async () => {
    const slow = sandbox.file("slow.yaml", "name: slow\ntestbed: vm\nsites: { s: {} }\nvms: { vm: { bootTimeout: 1500 ms } }\nhosts: { a: { site: s } }\n");
    await expect(labUp(slow, { attached: true })).rejects.toMatchObject({ code: "vm.bootTimeout", message: expect.stringContaining("did not boot within 1.5 s"), remedy: expect.stringContaining("bootTimeout") });
    expect(await listLabs()).toEqual([]);
    expect(commandLines(process.pid).filter((line) => line.includes("qemu-system"))).toEqual([]);
  });

  it.skipIf(process.env["LONG_SAMPLE"])("say what they need: memory, QEMU, an image", async () => {
    const big = sandbox.file("big.yaml", "name: big\ntestbed: vm\nsites: { s: {} }\nvms: { vm: { memory: 9000 GiB } }\nhosts: { a: { site: s } }\n");
    await expect(labUp(big)).rejects.toMatchObject({ code: "vm.memory", remedy: expect.stringContaining("memory:") });
    const cache = process.env["XDG_CACHE_HOME"];
    process.env["XDG_CACHE_HOME"] = join(sandbox.folder, "no-cache");
    await expect(labUp(sandbox.file("m.yaml", mixed))).rejects.toMatchObject({ code: "vm.noImage", remedy: expect.stringContaining("lab image build") });
    if (cache === undefined) delete process.env["XDG_CACHE_HOME"];
    else process.env["XDG_CACHE_HOME"] = cache;
    expect(await listLabs()).toEqual([]);
  });
});
