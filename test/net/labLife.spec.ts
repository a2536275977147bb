import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { chown, copyFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { labDown, labDownAll, labUp, listLabs, openLab } from "../../src-main/testbeds/local/labs.ts";
import { LabFolder, packagesFolder } from "../../src-main/testbeds/local/folders.ts";
import { ensurePackages } from "../../src-main/testbeds/local/packages.ts";
import { commandLines, LabSandbox, machineNetwork, onHost, ownerOf, ping, processTree, runRunner, startRunner, survivors, whyNoLab } from "../support/lab.ts";

const paper = resolve(import.meta.dirname, "../../assets/labs/paper.yaml");
const reason = whyNoLab();

/** Two hosts on one site. */
const small = (settings = "", host = "") => `name: small\n${settings}sites: { s: {} }\nhosts:\n  a: { site: s }\n  b: { site: s${host} }\n`;

describe.skipIf(reason)(`the life of local labs${reason ? ` (skipped: ${reason})` : ""}`, () => {
  let sandbox: LabSandbox;
  let before: string;
  beforeAll(async () => {
    sandbox = new LabSandbox();
    before = await machineNetwork();
  });
  afterEach(() => labDownAll());
  afterAll(() => sandbox?.close());

  it.each(["the outer process", "the supervisor"])("ends entirely when %s is killed; the name is free again", async (which) => {
    const lab = await labUp(paper, { name: "victim", attached: true });
    const processes = processTree(ownerOf(lab));
    process.kill(which === "the outer process" ? ownerOf(lab) : (processes[1] as { pid: number }).pid, "SIGKILL");
    expect(await survivors(processes)).toEqual([]);
    expect(await machineNetwork()).toBe(before);
    expect(await listLabs()).toMatchObject([{ name: "victim", state: "dead" }]);
    await expect(lab.status()).rejects.toMatchObject({ code: "lab.notRunning" });
    await expect(lab.connect("h")).rejects.toMatchObject({ code: "lab.notRunning" });
    const again = await labUp(sandbox.file("small.yaml", small()), { name: "victim", attached: true });
    expect((await onHost(again, "a", "hostname")).stdout).toBe("a\n");
    await labDown("victim");
    expect(await listLabs()).toEqual([]);
  });

  it.each(["making", "starting"])("leaves nothing running when its starter is killed while %s", async (moment) => {
    const starter = startRunner(["up", paper, "half"]);
    const lines = createInterface({ input: starter.stdout as NodeJS.ReadableStream });
    for await (const line of lines) if (line.startsWith(moment)) break;
    const { pid } = JSON.parse(readFileSync(new LabFolder("half").owner, "utf8")) as { pid: number };
    const processes = processTree(pid);
    starter.kill("SIGKILL");
    expect(await survivors(processes)).toEqual([]);
    expect(await machineNetwork()).toBe(before);
    await labDown("half");
    await labDown("half");
    expect(await listLabs()).toEqual([]);
  });

  it("outlives the process that made it", async () => {
    expect(await runRunner(["up", sandbox.file("small.yaml", small()), "left"])).toEqual({ ok: true, rootless: false });
    expect(await listLabs()).toMatchObject([{ name: "left", state: "up", hosts: 2 }]);
    expect(await runRunner(["up", paper, "left"])).toMatchObject({ ok: false, code: "lab.nameInUse", remedy: expect.stringContaining("--name") });
    expect(await runRunner(["down", "left"])).toEqual({ ok: true });
    expect(await listLabs()).toEqual([]);
  });

  it("ends with the process that made it, where that was asked for, even if it is killed", async () => {
    const maker = startRunner(["up", sandbox.file("small.yaml", small()), "attached", "attached"]);
    for await (const line of createInterface({ input: maker.stdout as NodeJS.ReadableStream })) if (line.startsWith("{")) break;
    const lab = await openLab("attached");
    const processes = processTree(ownerOf(lab));
    expect((await onHost(lab, "a", "hostname")).stdout).toBe("a\n");
    maker.kill("SIGKILL");
    expect(await survivors(processes)).toEqual([]);
    expect(await listLabs()).toEqual([]);
  });

  it("asks for the lab's password where the file says so, and gives no sudo where it says so", async () => {
    const lab = await labUp(sandbox.file("sudo.yaml", small("sudo: password\n", ", sudo: none")), { name: "sudo", attached: true });
    const [a, b] = lab.hosts();
    expect(b?.sudo).toEqual({ kind: "none" });
    const password = a?.sudo.kind === "password" ? a.sudo.password : "";
    expect(password).toMatch(/^.{16}$/);
    expect((await onHost(lab, "a", "sudo -n id -u")).stderr).toMatch(/password is required/);
    expect((await onHost(lab, "a", `echo ${password} | sudo -S -p '' id -u`)).stdout).toBe("0\n");
    expect((await onHost(lab, "a", "echo wrong | sudo -S -k -p '' id -u")).code).not.toBe(0);
    expect((await onHost(lab, "b", `echo ${password} | sudo -S -p '' id -u`)).code).not.toBe(0);
    expect(commandLines(ownerOf(lab)).filter((line) => line.includes(password))).toEqual([]);
    await lab.down();
  });

  it("fills a host's disk, where the file limits it, and no other's", async () => {
    const lab = await labUp(sandbox.file("disk.yaml", small("", ", disk: 8 MB")), { name: "disk", attached: true });
    const write = "head -c 20000000 /dev/zero > big; stat -c %s big";
    expect(await onHost(lab, "b", write)).toMatchObject({ stderr: expect.stringContaining("No space left on device") });
    expect((await onHost(lab, "a", write)).stdout).toBe("20000000\n");
    await lab.down();
  });

  it("says so when its link emulator has died, and goes down all the same", async () => {
    const lab = await labUp(sandbox.file("small.yaml", small()), { name: "broken", attached: true });
    const emulator = processTree(ownerOf(lab)).find(({ pid }) => readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("linkemu/main.ts"));
    process.kill((emulator as { pid: number }).pid, "SIGKILL");
    await expect.poll(() => lab.status().catch((error: { code: string }) => error.code)).toBe("lab.emulatorDied");
    await expect(lab.linkReset()).rejects.toMatchObject({ code: "lab.emulatorDied" });
    expect((await onHost(lab, "a", "hostname")).stdout).toBe("a\n");
    await lab.down();
    expect(await listLabs()).toEqual([]);
  });

  it("makes changes that are asked for at once one after another", async () => {
    const lab = await labUp(sandbox.file("small.yaml", small()), { name: "busy", attached: true });
    const delays = Array.from({ length: 20 }, (_, i) => i + 1);
    await Promise.all(delays.map((delayMs) => lab.linkSet([{ link: { from: delayMs % 2 ? "a" : "b", to: "*" }, bothWays: false, change: delayMs % 4 < 2 ? { delayMs } : { jitterMs: delayMs } }])));
    await Promise.all([lab.stopHost("a"), lab.startHost("a"), lab.stopHost("b"), lab.startHost("b"), lab.stopHost("b"), lab.startHost("b")]);
    const status = await lab.status();
    expect(status.hosts.map((host) => host.up)).toEqual([true, true]);
    const egress = status.links.filter((link) => link.kind === "access" && link.to === "*").map(({ from, quality }) => [from, quality.delayMs > 0, quality.jitterMs > 0]);
    expect(egress).toEqual([["a", true, true], ["b", true, true]]);
    await lab.down();
  });

  it("says what is wrong, and leaves nothing behind", async () => {
    const cases = [
      { file: join(sandbox.folder, "none.yaml"), code: "lab.unreadable", message: /none\.yaml.*ENOENT/ },
      { file: sandbox.file("bad.yaml", "name: x\nsites: { s: {} }\nhosts:\n  a: { site: t }\n"), code: "lab.invalid", message: /bad\.yaml:4:14: hosts\.a\.site: no site "t" \(sites: s\)/ },
      { file: sandbox.file("name.yaml", small()), name: "x".repeat(80), code: "lab.pathTooLong", message: /107/ },
    ];
    for (const { file, name, code, message } of cases) {
      const attempt = labUp(file, name === undefined ? {} : { name });
      await expect(attempt).rejects.toMatchObject({ code, message: expect.stringMatching(message), remedy: expect.stringMatching(/.{10}/) });
    }
    expect(await listLabs()).toEqual([]);
    expect(await machineNetwork()).toBe(before);
  });

  it("reports a full disk below the labs' folder", async () => {
    const mount = ["unshare", "--mount", "sh", "-c", 'mkdir -p "$1" && mount -t tmpfs -o size=32k full "$1" && shift && exec "$@"', "sh", join(sandbox.folder, "full")];
    const result = await runRunner(["up", paper, "full"], mount, { ...process.env, XDG_STATE_HOME: join(sandbox.folder, "full"), XDG_CACHE_HOME: resolve(packagesFolder(), "../..") });
    expect(result).toMatchObject({ ok: false, code: "lab.diskFull" });
  });

  describe("in a user namespace", () => {
    it("works as root too: no rights on the machine, but the same lab", async () => {
      const lab = await labUp(paper, { name: "mapped", rootless: true, attached: true });
      const { stdout } = await onHost(lab, "k", "id -un; sudo id -u; cut -d' ' -f1 /proc/uptime > /dev/null; sudo nft add table inet t && sudo ip tuntap add t0 mode tun && echo netadmin");
      expect(stdout).toBe("lab\n0\nnetadmin\n");
      expect((await ping(lab, "k", "a", 5)).minMs).toBeGreaterThanOrEqual(40);
      const inside = readFileSync(`/proc/${(processTree(ownerOf(lab))[1] as { pid: number }).pid}/status`, "utf8");
      expect(inside).toMatch(/^CapEff/m);
      expect((await onHost(lab, "k", "cat /proc/self/uid_map")).stdout.trim().split("\n").length).toBe(2);
      await lab.down();
      expect(existsSync(lab.folder.path)).toBe(false);
    });

    it("says what to switch where the system allows none", async () => {
      const none = ["unshare", "--user", "--map-root-user", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh"];
      const result = await runRunner(["up", paper, "none", "rootless"], none);
      expect(result).toMatchObject({ ok: false, code: "lab.noUserNamespaces", remedy: expect.stringContaining("user.max_user_namespaces") });
    });
  });

  describe("as an ordinary user", () => {
    const uid = 61_789;
    let home: string;
    /** The command that makes the rest of its line run as a user who exists in this mount namespace only. */
    const asUser = (withIds: boolean) => {
      const mounts = ["passwd", "group", "subuid", "subgid"].map((name) => `mount --bind ${join(home, "etc", withIds || !name.startsWith("sub") ? name : "empty")} /etc/${name}`).join(" && ");
      return ["unshare", "--mount", "sh", "-c", `${mounts} && exec setpriv --reuid ${uid} --regid ${uid} --clear-groups env HOME=${home} XDG_STATE_HOME=${home}/s XDG_CACHE_HOME=${home}/c "$@"`, "sh"];
    };

    beforeAll(async () => {
      home = join(sandbox.folder, "u");
      mkdirSync(join(home, "etc"), { recursive: true });
      for (const name of ["passwd", "group"]) await copyFile(`/etc/${name}`, join(home, "etc", name));
      writeFileSync(join(home, "etc/passwd"), `labtester:x:${uid}:${uid}::${home}:/bin/sh\n`, { flag: "a" });
      writeFileSync(join(home, "etc/group"), `labtester:x:${uid}:\n`, { flag: "a" });
      for (const name of ["subuid", "subgid"]) writeFileSync(join(home, "etc", name), `labtester:${0x6fff_0000}:65536\n`);
      writeFileSync(join(home, "etc/empty"), "");
      for (const folder of [sandbox.folder, home]) await chown(folder, uid, uid);
      const cache = join(home, "c/anycast-lab/debian");
      mkdirSync(cache, { recursive: true });
      for (const folder of ["c", "c/anycast-lab", "c/anycast-lab/debian"]) await chown(join(home, folder), uid, uid);
      if (await ensurePackages(() => {})) // unpacked by the user, as if downloaded: files are theirs, set-user-id bits stay
        execFileSync("sh", ["-c", `tar -C ${packagesFolder()} -c . | setpriv --reuid ${uid} --regid ${uid} --clear-groups tar -C ${cache} -xp --no-overwrite-dir`]);
    });

    it("makes a whole lab without any right on the machine, and removes all of it", async (context) => {
      if (!existsSync("/usr/bin/newuidmap")) return context.skip("newuidmap is missing (package uidmap)");
      const user = asUser(true);
      expect(await runRunner(["up", paper, "mine"], user)).toEqual({ ok: true, rootless: true });
      const config = join(home, "s/anycast-lab/labs/mine/ssh_config");
      const lab = { folder: { sshConfig: config } } as Parameters<typeof onHost>[0];
      expect((await onHost(lab, "k", "id -un; sudo id -u; echo x > mine; sudo touch /root/theirs; hostname")).stdout).toBe("lab\n0\nk\n");
      expect((await ping(lab, "k", "c", 5)).minMs).toBeGreaterThanOrEqual(40);
      expect(await machineNetwork()).toBe(before);
      expect(await runRunner(["down", "mine"], user)).toEqual({ ok: true });
      expect(readdirSync(join(home, "s/anycast-lab/labs"))).toEqual([]);
    });

    it("can clear away a lab that was killed, files of its hosts' users included", async (context) => {
      if (!existsSync("/usr/bin/newuidmap")) return context.skip("newuidmap is missing (package uidmap)");
      const user = asUser(true);
      expect(await runRunner(["up", paper, "killed"], user)).toMatchObject({ ok: true });
      const owner = JSON.parse(readFileSync(join(home, "s/anycast-lab/labs/killed/owner.json"), "utf8")) as { pid: number };
      const processes = processTree(owner.pid);
      process.kill(owner.pid, "SIGKILL");
      expect(await survivors(processes)).toEqual([]);
      expect(await runRunner(["down", "killed"], user)).toEqual({ ok: true });
      expect(readdirSync(join(home, "s/anycast-lab/labs"))).toEqual([]);
    });

    it("says what is missing when it has no range of ids", async () => {
      expect(await runRunner(["up", paper, "single"], asUser(false))).toMatchObject({ ok: false, code: expect.stringMatching(/^lab\.(noSubordinateIds|uidmap)$/), remedy: expect.stringMatching(/usermod --add-subuids|uidmap/) });
    });
  });
});
