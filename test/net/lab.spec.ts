import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { labDown, labUp, listLabs, openLab } from "../../src-main/testbeds/local/labs.ts";
import type { LocalLab } from "../../src-main/testbeds/local/localLab.ts";
import { LabSandbox, machineNetwork, onHost, ownerOf, ping, processTree, survivors, whyNoLab } from "../support/lab.ts";

const quickstart = resolve(import.meta.dirname, "../../assets/labs/quickstart.yaml");
const reason = whyNoLab();

describe.skipIf(reason)(`a local lab${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let sandbox: LabSandbox;
  let lab: LocalLab;
  let before: string;
  beforeAll(async () => {
    sandbox = new LabSandbox();
    before = await machineNetwork();
    const started = performance.now();
    lab = await labUp(quickstart, { name: "one", attached: true });
    console.log(`six hosts up in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  });
  afterAll(() => sandbox?.close());

  it("gives each host a login, a name, sudo, clocks and processes of its own", async () => {
    const hosts = await Promise.all(lab.hosts().map(async ({ name }) => ({ name, ...(await onHost(lab, name, "id -un; hostname; sudo id -u; cut -d' ' -f1 /proc/uptime; sudo cat /proc/1/comm")) })));
    const machine = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    const offsets = hosts.map(({ name, stdout, stderr, code }) => {
      expect({ name, code, stderr }).toEqual({ name, code: 0, stderr: "" });
      const [user, hostname, root, uptime, first] = stdout.trim().split("\n");
      expect({ user, hostname, root, first }).toEqual({ user: "lab", hostname: name, root: "0", first: "sshd" });
      return Math.round((Number(uptime) - machine) / 10) * 10;
    });
    expect(new Set(offsets).size).toBe(hosts.length);
    lab.plan.hosts.forEach((host, i) => expect(Math.abs((offsets[i] as number) - host.clockOffsetSeconds)).toBeLessThan(60));
  });

  it("gives each host its data address, one IPv6 interface, and no way round the links", async () => {
    for (const { name, address } of lab.hosts()) {
      const { stdout } = await onHost(lab, name, "ip -6 -o addr show scope global; ip -6 route get 2001:db8:ffff::1");
      expect(stdout.match(/inet6 (\S+)/g)).toEqual([`inet6 ${address}/64`]);
      expect(stdout).toMatch(/via fe80::1 dev eth0/);
    }
    const { stdout } = await onHost(lab, "n1", "for i in 1 2 3 4 5 6; do ping -c 1 -W 1 10.79.1.$i >/dev/null && echo $i; done");
    expect(stdout.trim()).toBe("2"); // only itself over the management network
  });

  it("leaves the machine's own network as it was, and is not seen there", async () => {
    expect(await machineNetwork()).toBe(before);
  });

  it("delays each pair as the file says, never less, and keeps the order of distances", async () => {
    const expected = { n1: 2 * 2, n2: 2 * (2 + 5), h: 2 * (2 + 8), n3: 2 * (2 + 36), c2: 2 * (2 + 36 + 2) };
    const medians: number[] = [];
    for (const [to, rtt] of Object.entries(expected)) {
      const { minMs, medianMs, received } = await ping(lab, "c1", to, 15);
      console.log(`c1 - ${to}: round trip ${rtt} ms stated, ${minMs} ms least, ${medianMs} ms median`);
      expect(received).toBe(15);
      expect(minMs).toBeGreaterThanOrEqual(rtt);
      medians.push(medianMs);
    }
    expect(medians).toEqual([...medians].sort((a, b) => a - b));
  });

  it("changes one direction, one pair, one site's path or one access link, alone and live", async () => {
    await lab.linkSet([{ link: { from: "n1", to: "n2" }, bothWays: false, change: { delayMs: 105 } }]);
    expect((await ping(lab, "n1", "n2", 5)).minMs).toBeGreaterThanOrEqual(110);
    expect((await ping(lab, "n1", "n2", 5)).minMs).toBeLessThan(210);
    expect((await ping(lab, "c1", "n2", 5)).minMs).toBeLessThan(110); // same sites, another pair
    await lab.linkSet([{ link: { from: "*", to: "n2" }, bothWays: false, change: { delayMs: 300 } }]);
    expect((await ping(lab, "c1", "n2", 3)).minMs).toBeGreaterThanOrEqual(314);
    const { links } = await lab.status();
    expect(links.filter((link) => link.changed).map(({ kind, from, to }) => `${kind} ${from} ${to}`)).toEqual(["access * n2", "pair n1 n2"]);
    await lab.linkReset();
    expect((await ping(lab, "n1", "n2", 10)).minMs).toBeLessThan(100);
    expect((await lab.status()).links.some((link) => link.changed)).toBe(false);
  });

  it("loses the stated share, in the stated direction", async () => {
    await lab.linkSet([{ link: { from: "frankfurt", to: "amsterdam" }, bothWays: false, change: { loss: 0.2 } }]);
    const count = 400;
    const { received } = await ping(lab, "n1", "n2", count, 4);
    const { traffic } = await lab.status();
    await lab.linkReset();
    const lost = count - received;
    console.log(`20 % loss stated: ${lost} of ${count} lost`);
    expect(lost).toBeGreaterThan(40); // 5 standard deviations either side
    expect(lost).toBeLessThan(120);
    expect(traffic.find((pair) => pair.from === "n2" && pair.to === "n1")?.drops["loss"]).toBe(lost);
    expect(traffic.find((pair) => pair.from === "n1" && pair.to === "n2")?.drops["loss"]).toBeUndefined();
  });

  it("cuts a link and mends it", async () => {
    await lab.linkSet([{ link: { from: "n1", to: "n2" }, bothWays: true, change: { up: false } }]);
    expect((await ping(lab, "n1", "n2", 3)).received).toBe(0);
    expect((await ping(lab, "n1", "n3", 3)).received).toBe(3);
    await lab.linkSet([{ link: { from: "n1", to: "n2" }, bothWays: true, change: { up: true } }]);
    expect((await ping(lab, "n1", "n2", 3)).received).toBe(3);
    await lab.linkReset();
  });

  it("limits the rate in each direction; an unmodified nginx serves an unmodified curl through it", async () => {
    const config = "error_log /tmp/e.log; pid /tmp/n.pid; events {} http { access_log off; server { listen [::]:8080; root /tmp; } }";
    const nginx = await onHost(lab, "n1", `head -c 3000000 /dev/urandom > /tmp/f; echo '${config}' > /tmp/n.conf; sudo nginx -c /tmp/n.conf`);
    expect(nginx).toMatchObject({ code: 0, stderr: "" });
    const speed = async (rate: number) => {
      await lab.linkSet([{ link: { from: "n1", to: "c1" }, bothWays: false, change: { rate, queue: { ms: 100 } } }]);
      const { stdout, stderr, code } = await onHost(lab, "c1", "curl -sS -o /tmp/f -w '%{speed_download}' http://[2001:db8:2::10]:8080/f");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return Number(stdout) * 8;
    };
    const slow = await speed(4e6);
    const fast = await speed(20e6);
    console.log(`4 Mbit/s stated: ${(slow / 1e6).toFixed(2)}; 20 Mbit/s stated: ${(fast / 1e6).toFixed(2)}`);
    expect(slow).toBeLessThan(4e6);
    expect(fast).toBeLessThan(20e6);
    expect(fast / slow).toBeGreaterThan(2);
    const sums = await Promise.all(["n1", "c1"].map(async (host) => (await onHost(lab, host, "sha256sum < /tmp/f")).stdout));
    expect(sums[0]).toBe(sums[1]);
    await lab.linkReset();
  });

  it("answers what is larger than a path allows with Packet Too Big", async () => {
    await lab.linkSet([{ link: { from: "amsterdam", to: "newyork" }, bothWays: false, change: { mtu: 1400 } }]);
    const { stdout, stderr } = await onHost(lab, "n1", "ping -M do -c 2 -s 1400 n3");
    expect(stdout + stderr).toMatch(/Packet too big: mtu=1400/);
    expect((await onHost(lab, "n1", "ip -6 route get 2001:db8:3::10")).stdout).toMatch(/mtu 1400/);
    expect((await onHost(lab, "n1", "ping -c 1 -s 1352 n3")).code).toBe(0);
    await lab.linkReset();
  });

  it("refuses a link that is none, and changes nothing", async () => {
    const bad = lab.linkSet([
      { link: { from: "n1", to: "n2" }, bothWays: true, change: { delayMs: 900 } },
      { link: { from: "n1", to: "nowhere" }, bothWays: true, change: { delayMs: 900 } },
    ]);
    await expect(bad).rejects.toMatchObject({ code: "link.unknown", message: expect.stringContaining("nowhere"), remedy: expect.stringContaining("n1, n2, n3") });
    await expect(lab.linkSet([{ link: { from: "n1", to: "amsterdam" }, bothWays: true, change: {} }])).rejects.toMatchObject({ code: "link.unknown" });
    expect((await lab.status()).links.some((link) => link.changed)).toBe(false);
  });

  it("stops a host like a power cut, and starts it again with its files but without its state", async () => {
    await onHost(lab, "n3", "echo kept > kept; sudo ip addr add 2001:db8:f::1/128 dev lo; setsid sleep 1000 > /dev/null 2>&1 < /dev/null &");
    await lab.stopHost("n3");
    expect((await ping(lab, "n1", "n3", 2)).received).toBe(0);
    await expect(lab.connect("n3")).rejects.toMatchObject({ code: "lab.hostDown", host: "n3" });
    expect((await lab.status()).hosts.find((host) => host.name === "n3")).toMatchObject({ up: false, detail: "stopped" });
    await lab.startHost("n3");
    const { stdout } = await onHost(lab, "n3", "cat kept; ip -6 addr show dev lo; cat /proc/[0-9]*/comm");
    expect(stdout).toMatch(/^kept/);
    expect(stdout).not.toMatch(/2001:db8:f::1|sleep/);
    expect((await ping(lab, "n1", "n3", 2)).received).toBe(2);
  });

  it("notices a host that ends by itself, and can start it again", async () => {
    await onHost(lab, "n3", "sudo sh -c 'kill 1'");
    await expect.poll(async () => (await lab.status()).hosts.find((host) => host.name === "n3")).toMatchObject({ up: false, detail: expect.stringContaining("by itself") });
    await lab.startHost("n3");
    expect((await onHost(lab, "n3", "hostname")).stdout).toBe("n3\n");
  });

  it("keeps what a host's root does away from the machine", async () => {
    const { stdout } = await onHost(lab, "n1", 'sudo sh -c "touch /usr/x; echo 1 > /proc/sys/kernel/panic; mknod /tmp/d b 254 0; date -s 2001-01-01" 2>&1; ls /root /home');
    expect(stdout).toMatch(/\/usr\/x.*Read-only/);
    expect(stdout).toMatch(/panic.*Read-only/);
    expect(stdout).toMatch(/mknod.*not permitted/);
    expect(stdout).toMatch(/date: cannot set/);
    expect(stdout).not.toMatch(/\.ssh|main/);
  });

  it("says how exact its links are and counts what passed", async () => {
    await lab.status(); // lateness counts anew from here
    await ping(lab, "n1", "n2", 50, 5);
    const { traffic, emulator } = await lab.status();
    expect(traffic.find((pair) => pair.from === "n1" && pair.to === "n2")).toMatchObject({ delayMs: 5 });
    expect(emulator?.lateness.samples).toBeGreaterThanOrEqual(100);
    console.log(`packets left later than due by ${emulator?.lateness.p50Us} µs (median), ${emulator?.lateness.p99Us} µs (99 %)`);
  });

  it("runs beside another lab with the same addresses, each for itself", async () => {
    const two = await labUp(quickstart, { name: "two", attached: true });
    expect((await listLabs()).map(({ name, state }) => ({ name, state })).sort((a, b) => (a.name < b.name ? -1 : 1))).toEqual([{ name: "one", state: "up" }, { name: "two", state: "up" }]);
    await two.linkSet([{ link: { from: "n1", to: "n2" }, bothWays: true, change: { delayMs: 200 } }]);
    expect((await ping(two, "n1", "n2", 3)).minMs).toBeGreaterThanOrEqual(400);
    expect((await ping(lab, "n1", "n2", 10)).minMs).toBeLessThan(400);
    await onHost(two, "n1", "echo two > ~/mark");
    expect((await onHost(lab, "n1", "cat ~/mark")).code).not.toBe(0);
    await expect(labUp(quickstart, { name: "two" })).rejects.toMatchObject({ code: "lab.nameInUse" });
    await labDown("two");
    expect((await onHost(lab, "n1", "hostname")).stdout).toBe("n1\n");
    await expect(openLab("two")).rejects.toMatchObject({ code: "lab.notRunning" });
  });

  it("goes down without a trace, twice", async () => {
    const processes = processTree(ownerOf(lab));
    expect(processes.length).toBeGreaterThan(14);
    await Promise.all([lab.down(), lab.down()]);
    expect(await survivors(processes, 2000)).toEqual([]);
    expect(existsSync(lab.folder.path)).toBe(false);
    expect(readdirSync(resolve(lab.folder.path, ".."))).toEqual([]);
    await labDown("one");
    expect(await machineNetwork()).toBe(before);
  });
});
