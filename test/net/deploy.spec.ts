import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { HostAccess } from "../../src-main/services/hosts/access.ts";
import { loadBundle, type Bundle } from "../../src-main/services/hosts/bundle.ts";
import { attach, deploy, type DeployProgress, type HostOutcome, undeploy } from "../../src-main/services/hosts/deploy.ts";
import { passes, preflight } from "../../src-main/services/hosts/preflight.ts";
import type { HostHandle } from "../../src-main/testbeds/testbed.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import { isolatedAddress, keygen, type SshdOptions, TestSshd, testPassword, testUser, testUserId, whyNoSshd } from "../support/sshd.ts";

const why = whyNoSshd();
const scratch = mkdtempSync(join(tmpdir(), "acl-bundles-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A bundle of the stand-in agent, which behaves as told; `ballast` bytes make it large. */
async function bundleOf(behaviour: string, { architectures = ["x64", "arm64"], ballast = 0 } = {}): Promise<Bundle> {
  const directory = join(scratch, `${behaviour || "good"}-${ballast}-${architectures.join("+")}`);
  mkdirSync(directory, { recursive: true });
  cpSync(resolve(import.meta.dirname, "../support/stub-agent.mjs"), join(directory, "agent.mjs"));
  writeFileSync(join(directory, "source"), resolve(import.meta.dirname, "../../src-agent/control/server.ts"));
  writeFileSync(join(directory, "behaviour"), behaviour);
  if (ballast > 0) writeFileSync(join(directory, "ballast"), createHash("shake256", { outputLength: ballast }).update("ballast").digest());
  const names = readdirSync(directory).filter((name) => name !== "manifest.json");
  const files = Object.fromEntries(names.map((name) => [name, createHash("sha256").update(readFileSync(join(directory, name))).digest("hex")]));
  writeFileSync(join(directory, "manifest.json"), JSON.stringify({ version: "stub", architectures, files }));
  return loadBundle(directory);
}

/** Everything below a directory, as the host's root sees it from outside. */
const below = (directory: string) => (existsSync(directory) ? readdirSync(directory, { recursive: true, encoding: "utf8" }).sort() : []);
const value = <T>(outcome: HostOutcome<T> | undefined): T => {
  if (!outcome?.ok) throw outcome?.problem ?? new Error("no outcome");
  return outcome.value;
};
const problemOf = <T>(outcome: HostOutcome<T> | undefined) => (outcome?.ok === false ? outcome.problem : undefined);

describe.skipIf(why)(`deployment to real sshd hosts${why ? ` (skipped: ${why})` : ""}`, () => {
  const running: { stop(): Promise<void> }[] = [];
  const accesses: HostAccess[] = [];
  let good: Bundle;
  beforeAll(async () => {
    good = await bundleOf("");
  });
  afterEach(async () => {
    await Promise.all(accesses.splice(0).map((a) => a.close()));
    await Promise.all(running.splice(0).map((h) => h.stop()));
  });

  const sudoers = (rule: string) => `printf '%s\\n' 'root ALL=(ALL:ALL) ALL' '${rule}' > $DIR/sudoers; chmod 440 $DIR/sudoers; mount --bind $DIR/sudoers /etc/sudoers; chmod 666 /dev/net/tun`;
  const nopasswd = sudoers(`${testUser} ALL=(ALL) NOPASSWD: ALL`);
  async function host(options: SshdOptions & { user?: string } = {}, handle: Partial<HostHandle> = {}): Promise<{ sshd: TestSshd; access: HostAccess; store: string; runs: string }> {
    const { user = testUser, ...rest } = options;
    const sshd = await TestSshd.start({ isolated: true, setup: nopasswd, ...rest });
    sshd.trust();
    running.push(sshd);
    const name = handle.name ?? "h1";
    const access = new HostAccess({ name, site: "s", roles: [], address: parseAddress(isolatedAddress), interface: undefined, ssh: sshd.target({ host: name, user }), sudo: { kind: "none" }, nodePath: process.execPath, ...handle });
    accesses.push(access);
    return { sshd, access, store: join(sshd.directory, "home/.local/share/anycast-lab"), runs: join(sshd.directory, "home/.local/state/anycast-lab") };
  }

  it("puts the agent there once, starts it as the login with ambient capabilities, and takes all of it away again", async () => {
    const { access, store, runs, sshd } = await host();
    const progress: DeployProgress[] = [];
    const first = value((await deploy([access], { deployment: "d1", bundle: good, onProgress: (p) => progress.push(p) }))[0]);
    expect(first.installed.uploaded).toBe(true);
    expect([...new Set(progress.map((p) => p.phase))]).toEqual(["connecting", "looking", "uploading", "starting", "ready"]);
    const [effective, uid, noNewPrivileges] = first.control.hello.capabilities;
    // CAP_NET_BIND_SERVICE 10, CAP_NET_ADMIN 12, CAP_NET_RAW 13, CAP_PERFMON 38, CAP_BPF 39 and nothing else.
    expect(BigInt(`0x${effective}`)).toBe([10n, 12n, 13n, 38n, 39n].reduce((bits, n) => bits | (1n << n), 0n));
    expect([uid, noNewPrivileges]).toEqual([String(testUserId), "1"]);
    expect(first.control.over).toBe("socket");
    const run = join(runs, "d1/h1");
    expect(statSync(run).mode & 0o777).toBe(0o700);
    expect(statSync(join(run, "control.sock")).mode & 0o777).toBe(0o600);
    const again = value((await deploy([access], { deployment: "d1", bundle: good }))[0]);
    expect(again.installed.uploaded).toBe(false);
    const other = value((await deploy([access], { deployment: "d2", bundle: good }))[0]);
    expect(other.installed).toEqual({ ...first.installed, uploaded: false });
    expect(value((await undeploy([access], { deployment: "d1" }))[0])).toBe("clean");
    expect(below(join(store, "agent"))).not.toEqual([]);
    expect(value((await undeploy([access], { deployment: "d2" }))[0])).toBe("clean");
    expect(below(join(sshd.directory, "home/.local")).filter((f) => f.includes("anycast"))).toEqual([]);
  });

  it("replaces an agent of another version, and mends a damaged copy", async () => {
    const { access, store } = await host();
    const first = value((await deploy([access], { deployment: "d", bundle: good }))[0]);
    const next = await bundleOf("", { ballast: 1000 });
    const second = value((await deploy([access], { deployment: "d", bundle: next }))[0]);
    expect(second.installed.agent).not.toBe(first.installed.agent);
    await first.control.client.closed;
    await undeploy([access], { deployment: "d" });
    const third = value((await deploy([access], { deployment: "d", bundle: good }))[0]);
    const file = join(store, "agent", third.installed.agent.split("/").at(-1) as string, "agent.mjs");
    await undeploy([access], { deployment: "other" });
    writeFileSync(file, "damaged");
    const fourth = value((await deploy([access], { deployment: "d2", bundle: good }))[0]);
    expect(fourth.installed.uploaded).toBe(true);
    expect(readFileSync(file, "utf8")).not.toBe("damaged");
  });

  it("outlives the SSH connection and is found again", async () => {
    const { access, sshd } = await host();
    value((await deploy([access], { deployment: "d", bundle: good }))[0]);
    await access.close();
    const later = new HostAccess({ ...access.handle, ssh: sshd.target({ user: testUser }) });
    accesses.push(later);
    expect(value((await attach([later], "d"))[0]).control.hello.host).toBe("h1");
    expect(problemOf((await attach([later], "elsewhere"))[0])).toMatchObject({ code: "agent.notRunning", host: "h1" });
  });

  it("stops an agent that does not stop by itself, and cleans up after a killed one", async () => {
    const { access, runs, sshd } = await host();
    value((await deploy([access], { deployment: "d", bundle: await bundleOf("stubborn") }))[0]);
    const run = join(runs, "d/h1");
    await access.run('kill -9 $(cat "$1/agent.pid")', [run]);
    value((await deploy([access], { deployment: "d", bundle: good }))[0]);
    expect(existsSync(join(run, "cleaned"))).toBe(true);
    value((await deploy([access], { deployment: "s", bundle: await bundleOf("stubborn") }))[0]);
    expect(value((await undeploy([access], { deployment: "s" }))[0])).toBe("forced");
    value((await undeploy([access], { deployment: "d" }))[0]);
    expect(below(join(sshd.directory, "home/.local")).filter((f) => f.includes("anycast"))).toEqual([]);
  });

  it("uses stdio where sshd forbids forwarding", async () => {
    const { access } = await host({ config: ["AllowStreamLocalForwarding no"] });
    const deployed = value((await deploy([access], { deployment: "d", bundle: good }))[0]);
    expect(deployed.control.over).toBe("stdio");
    expect((await deployed.control.client.call("clock", {})).mono).toBeGreaterThan(0);
  });

  it("runs as a user of its own where the login is root", async () => {
    const { access, sshd } = await host({ user: "root", setup: `${nopasswd}; mkdir $DIR/var; mount --bind $DIR/var /var/lib` });
    const deployed = value((await deploy([access], { deployment: "d", bundle: good }))[0]);
    expect(deployed.control.hello.capabilities[1]).toBe("61730");
    expect(deployed.places.run).toBe("/run/anycast-lab/d/h1");
    value((await undeploy([access], { deployment: "d" }))[0]);
    expect(below(join(sshd.directory, "var"))).toEqual([]);
  });

  it("uploads our Node where the host has none", async () => {
    const { access, store } = await host({ setup: `${nopasswd}; mount --bind /bin/false /usr/bin/node` }, { nodePath: "" });
    const deployed = value((await deploy([access], { deployment: "d", bundle: good }))[0]);
    expect(deployed.installed.node).toContain("/node/");
    expect(deployed.control.hello.node).toBe(process.version);
    expect(below(store).some((f) => /^node\/[0-9a-f]{16}\/node$/.test(f))).toBe(true);
  });

  it("gives sudo the password on stdin only", async () => {
    // sudo remembers a login for all of its sessions: what it then does not ask for must not reach the command as its input.
    const { access, sshd } = await host({ setup: sudoers(`Defaults timestamp_type=global\\n${testUser} ALL=(ALL) ALL`).replace("'%s\\n'", "'%b\\n'") }, { sudo: { kind: "password", password: testPassword } });
    expect(await access.privilege()).toMatchObject({ kind: "sudoPassword" });
    const seen = await access.runAsRoot("cat; tr '\\0' ' ' < /proc/*/cmdline 2>/dev/null; cat /proc/*/cmdline /proc/*/environ 2>/dev/null | tr '\\0' '\\n'", [], { stdin: "the rest" });
    expect(seen.stdout).toMatch(/^the rest/);
    expect(seen.stdout + seen.stderr).not.toContain(testPassword);
    value((await deploy([access], { deployment: "d", bundle: good }))[0]);
    const left = await access.runAsRoot('grep -rl "$1" /run "$2" /var/log 2>/dev/null || true', [testPassword, sshd.directory]);
    expect(left.stdout).toBe("");
  });

  it("tells each of a fleet's failures apart, with host and remedy, and leaves the rest of the fleet unharmed", async () => {
    // What the host says of its architecture is faked: no other one is at hand.
    const fakeUname = `cp /usr/bin/uname $DIR/uname.real; printf '%s\\n' '#!/bin/sh' '[ "$1" = -m ] && echo riscv64 && exit' "exec $DIR/uname.real \\"\\$@\\"" > $DIR/uname; chmod 755 $DIR/uname $DIR/uname.real; mount --bind $DIR/uname /usr/bin/uname`;
    const [fine, full, alien, powerless, refused, bare] = await Promise.all([
      host({}, { name: "fine" }),
      host({ setup: `${nopasswd}; mount -t tmpfs -o size=300k tmpfs $DIR/home; chown ${testUserId} $DIR/home` }, { name: "full" }),
      host({ setup: `${nopasswd}; ${fakeUname}` }, { name: "alien" }),
      host({ setup: "true" }, { name: "powerless" }),
      host({ setup: sudoers(`${testUser} ALL=(ALL) ALL`) }, { name: "refused", sudo: { kind: "password", password: "wrong" } }),
      host({ withheld: ["net_raw"] }, { name: "bare" }),
    ]);
    const locked = join(scratch, "other-key");
    if (!existsSync(locked)) keygen(locked, "ed25519");
    const wrongKey = new HostAccess({ ...fine.access.handle, name: "locked", ssh: fine.sshd.target({ host: "locked", user: testUser, credentials: { keyFiles: [locked] } }) });
    const unknown = new HostAccess({ ...fine.access.handle, name: "unknown", ssh: fine.sshd.target({ host: "unknown", user: testUser, trust: { names: { name: "nobody" }, files: [] } }) });
    const impostor = join(scratch, "impostor_known_hosts");
    writeFileSync(impostor, `127.0.0.1 ${readFileSync(`${locked}.pub`, "utf8")}`);
    const changed = new HostAccess({ ...fine.access.handle, name: "changed", ssh: fine.sshd.target({ host: "changed", user: testUser, trust: { names: { name: "127.0.0.1" }, files: [impostor] } }) });
    const gone = new HostAccess({ ...fine.access.handle, name: "gone", ssh: { ...fine.sshd.target({ host: "gone" }), stream: undefined as never, port: 1 } });
    const all = [fine, full, alien, powerless, refused, bare].map((h) => h.access);
    const bundle = await bundleOf("", { ballast: 400_000, architectures: ["x64"] });
    const outcomes = await deploy([...all, wrongKey, unknown, changed, gone], { deployment: "d", bundle });
    expect(outcomes.map((o) => [o.host, o.ok ? "ok" : o.problem.code])).toEqual([
      ["fine", "ok"],
      ["full", "deploy.diskFull"],
      ["alien", "deploy.architecture"],
      ["powerless", "host.noRoot"],
      ["refused", "host.noRoot"],
      ["bare", "host.capability"],
      ["locked", "ssh.authentication"],
      ["unknown", "ssh.hostKeyUnknown"],
      ["changed", "ssh.hostKeyChanged"],
      ["gone", "ssh.refused"],
    ]);
    for (const problem of outcomes.slice(1).map((o) => problemOf(o))) expect(problem).toMatchObject({ message: expect.stringMatching(`^${problem?.host}: .{20}`), remedy: expect.stringMatching(/.{10}/), exitCode: 1 });
    for (const h of [alien, powerless, refused, bare]) expect(below(join(h.sshd.directory, "home/.local")).filter((f) => f.includes("anycast"))).toEqual([]);
    const inFull = await full.access.run("find ~ -path '*anycast*'");
    expect(inFull.stdout).toBe("");
    expect((await value(outcomes[0]).control.client.call("clock", {})).mono).toBeGreaterThan(0);
    const lines = await Promise.all(all.map((a) => preflight(a, { architectures: ["x64"], nodePath: process.execPath })));
    expect(lines.map((l) => [passes(l), ...l.filter((x) => x.ok === "no").map((x) => x.check)])).toEqual([[true], [false, "disk"], [false, "architecture"], [false, "root"], [false, "root"], [false, "capabilities"]]);
  });

  it("shows the last log lines of an agent that dies while starting, and leaves nothing of it", async () => {
    const { access, sshd } = await host();
    const outcome = (await deploy([access], { deployment: "d", bundle: await bundleOf("dies") }))[0];
    expect(problemOf(outcome)).toMatchObject({ code: "agent.died", host: "h1", message: expect.stringContaining("ENODEV"), evidence: expect.stringMatching(/loading the data plane\n.*ENODEV/) });
    expect(below(join(sshd.directory, "home/.local")).filter((f) => f.includes("anycast"))).toEqual([]);
  });

  it("leaves nothing when the connection breaks during an upload", async () => {
    const { access, sshd, store } = await host();
    const bundle = await bundleOf("", { ballast: 3_000_000 });
    const outcome = (await deploy([access], { deployment: "d", bundle, onProgress: (p) => p.phase === "uploading" && p.fraction > 0.3 && void access.close() }))[0];
    expect(problemOf(outcome)).toMatchObject({ code: "ssh.lost", host: "h1" });
    await expect.poll(() => below(store).filter((f) => /upload|agent\/./.test(f))).toEqual([]);
    const retry = new HostAccess({ ...access.handle, ssh: sshd.target({ user: testUser }) });
    accesses.push(retry);
    value((await deploy([retry], { deployment: "d", bundle }))[0]);
  });

  it("refuses names that make a socket path too long, before anything is changed", async () => {
    const { access, sshd } = await host({}, { name: "h".repeat(60) });
    expect(problemOf((await deploy([access], { deployment: "d".repeat(30), bundle: good }))[0])).toMatchObject({ code: "deploy.pathTooLong" });
    expect(below(join(sshd.directory, "home"))).toEqual([]);
  });
});
