import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { App } from "../../src-main/app.ts";
import { readLab } from "../../src-main/testbeds/labFile.ts";
import { labUp } from "../../src-main/testbeds/local/labs.ts";
import type { LocalLab } from "../../src-main/testbeds/local/localLab.ts";
import type { AppWindow, Reply } from "../../src-shared/api/app.ts";
import type { AppCallName } from "../../src-shared/api/app/calls.ts";
import { dispatch } from "../../src-shared/api/app/dispatch.ts";
import type { Host } from "../../src-shared/api/app/host.ts";
import type { LabState } from "../../src-shared/api/app/lab.ts";
import type { Run, RunDetail } from "../../src-shared/api/app/run.ts";
import type { Task } from "../../src-shared/api/app/work.ts";
import { LabSandbox, whyNoLab } from "../support/lab.ts";
import { echoScenario } from "../support/echoScenario.ts";

const why = whyNoLab();
const fleet = "fleet-mine";

/** Hosts with real sshd, reached as a person's own: through an ssh_config, with a known_hosts file that knows none of them. */
const labText = `
name: own
home: { prefix: "2001:db8:f::/64", host: h }
sites: { west: , east: }
paths: [{ between: [west, east], delay: 4 ms }]
hosts:
  h: { site: west, roles: [homeAgent] }
  n1: { site: west, roles: [member] }
  n2: { site: east, roles: [member] }
  c: { site: west, roles: [client] }
`;
const scenario = echoScenario({ name: "moved", title: "One handoff", homeAgent: "h", members: ["n1", "n2"], client: "c", steps: ["handOver: { client: c, to: n2, mode: full }", "wait: 300 ms"], handoffs: 1 });

describe.skipIf(why)(`a person's own hosts${why ? ` (skipped: ${why})` : ""}`, () => {
  let sandbox: LabSandbox;
  let lab: LocalLab;
  let app: App;
  let folder: string;
  let knownHosts: string;
  const config = process.env["XDG_CONFIG_HOME"];
  const window: AppWindow = { id: "w", shell: "memory", gone: new AbortController().signal, emit: () => undefined };
  const ask = (call: AppCallName, args: unknown): Promise<Reply> => dispatch(app, { id: 1, call, args }, window) as Promise<Reply>;
  async function value<T>(call: AppCallName, args: unknown): Promise<T> {
    const reply = await ask(call, args);
    if (!reply.ok) throw new Error(`${call}: ${JSON.stringify(reply.error)}`);
    return reply.value as T;
  }
  const hosts = async (): Promise<Host[]> => (await value<LabState>("lab.state", { lab: fleet })).hosts;
  const host = async (id: string): Promise<Host> => (await hosts()).find((each) => each.id === id) as Host;
  async function task(call: AppCallName, ids: readonly string[]): Promise<Task> {
    const { task: id } = await value<{ task: string }>(call, { lab: fleet, hosts: ids });
    let found: Task | undefined;
    await expect.poll(async () => (found = (await value<Task[]>("task.list", {})).find((each) => each.id === id))?.state, { timeout: 90_000 }).not.toBe("running");
    return found as Task;
  }

  beforeAll(async () => {
    sandbox = new LabSandbox();
    folder = mkdtempSync(join(tmpdir(), "own-"));
    process.env["XDG_CONFIG_HOME"] = folder;
    lab = await labUp(await readLab(sandbox.file("own.yaml", labText)));
    knownHosts = join(folder, "known_hosts");
    const sshConfig = join(folder, "ssh_config");
    writeFileSync(sshConfig, readFileSync(lab.folder.sshConfig, "utf8").replace(/UserKnownHostsFile .*/, `UserKnownHostsFile ${knownHosts}`));
    app = new App({ runs: join(folder, "runs"), sshConfig });
  });
  afterAll(async () => {
    await app?.close();
    await sandbox?.close();
    if (config === undefined) delete process.env["XDG_CONFIG_HOME"];
    else process.env["XDG_CONFIG_HOME"] = config;
    rmSync(folder, { recursive: true, force: true });
  });

  it("lists the hosts of the ssh_config", async () => {
    const listed = await value<{ hosts: { alias: string; unsupported: string | null }[] }>("host.sshConfig", {});
    expect(listed.hosts.map(({ alias }) => alias)).toEqual(expect.arrayContaining(["h", "n1", "n2", "c"]));
    expect(listed.hosts.every(({ unsupported }) => unsupported === null)).toBe(true);
  });

  it("asks about unknown keys, takes the one that was shown and no other, and then connects", async () => {
    const { hosts: ids } = await value<{ hosts: string[] }>("host.add", { hosts: ["h", "n1", "n2", "c"].map((target) => ({ target, name: null })) });
    expect(ids).toEqual(["h", "n1", "n2", "c"]);
    expect(await task("host.connect", ids)).toMatchObject({ state: "failed" });
    for (const id of ids) {
      const { key } = await host(id);
      if (key.is !== "unknown") throw new Error(`${id}: ${JSON.stringify(key)}`);
      expect(key.offered).toMatchObject({ type: "ED25519", fingerprint: expect.stringMatching(/^SHA256:[\w+/]{43}$/) });
      expect(await ask("host.acceptKey", { lab: fleet, host: id, fingerprint: "SHA256:another" })).toMatchObject({ ok: false, error: { code: "host-key-moved" } });
      await value("host.acceptKey", { lab: fleet, host: id, fingerprint: key.offered.fingerprint });
      await expect.poll(async () => (await host(id)).ssh.state, { timeout: 20_000 }).toBe("connected");
    }
    expect(readFileSync(knownHosts, "utf8").trim().split("\n")).toHaveLength(4);
  });

  it("refuses a changed key, shows both, and replaces it only for who types the host's name", async () => {
    const right = readFileSync(knownHosts, "utf8");
    const [, n1, n2] = right.split("\n") as [string, string, string];
    // Another host's key under this one's name.
    writeFileSync(knownHosts, right.replace(n1, `${n1.split(" ")[0]} ${n2.split(" ").slice(1).join(" ")}`));
    await app.close();
    app = new App({ runs: join(folder, "runs"), sshConfig: join(folder, "ssh_config") });
    await value("app.hello", { protocol: 1 });
    await task("host.connect", ["h", "n1", "n2", "c"]);
    const { key, ssh } = await host("n1");
    expect(ssh.state).toBe("failed");
    if (key.is !== "changed") throw new Error(JSON.stringify(key));
    expect(key.known).toMatchObject([{ where: `${knownHosts}:2` }]);
    expect(key.known[0]?.fingerprint).not.toBe(key.offered.fingerprint);
    expect(await ask("host.acceptKey", { lab: fleet, host: "n1", fingerprint: key.offered.fingerprint })).toMatchObject({ ok: false });
    expect(await ask("host.replaceKey", { lab: fleet, host: "n1", fingerprint: key.offered.fingerprint, name: "n2" })).toMatchObject({ ok: false, error: { code: "bad-arguments" } });
    expect((await host("n1")).ssh.state).toBe("failed");
    await value("host.replaceKey", { lab: fleet, host: "n1", fingerprint: key.offered.fingerprint, name: "n1" });
    await expect.poll(async () => (await host("n1")).ssh.state, { timeout: 20_000 }).toBe("connected");
    expect(readFileSync(knownHosts, "utf8").trim().split("\n").sort()).toEqual(right.trim().split("\n").sort());
  });

  it("checks them, deploys with progress, and keeps a host with an agent from being removed", async () => {
    const ids = ["h", "n1", "n2", "c"];
    expect(await task("host.preflight", ids)).toMatchObject({ state: "done" });
    expect((await host("n1")).preflight).toMatchObject({ state: "done", lines: expect.arrayContaining([expect.objectContaining({ check: "capabilities", ok: "yes" })]) });
    const plans = await value<{ blocked: string | null; changes: string[] }[]>("deploy.plan", { lab: fleet, hosts: ids });
    expect(plans.every(({ blocked, changes }) => blocked === null && changes.length > 0)).toBe(true);
    expect(await task("deploy.start", ids)).toMatchObject({ state: "done", parts: ids.map(() => expect.objectContaining({ state: "done", progress: 1 })) });
    expect((await hosts()).map(({ agent, address, clock }) => [agent.is, address?.slice(0, 8), clock !== null])).toEqual(ids.map(() => ["up", "2001:db8", true]));
    expect(await ask("host.remove", { lab: fleet, hosts: ["n1"] })).toMatchObject({ ok: false, error: { code: "host-in-use" } });
  });

  it("runs a scenario on them, its predictions from measured latencies", async () => {
    await value("scenario.save", { name: "moved", text: scenario });
    const { run } = await value<{ run: string }>("run.start", { scenario: "own-moved", lab: fleet });
    await expect.poll(async () => (await value<Run[]>("run.list", {})).find((each) => each.id === run)?.state, { timeout: 90_000 }).toMatch(/passed|failed|broken/);
    const detail = await value<RunDetail>("run.get", { run });
    expect(detail.run).toMatchObject({ state: "passed", handoffs: 1, hasReport: true });
    // Full: 2 (KH + HC) + DA + 4 AC with 4 ms between the sites and none within: 20 ms, and more for the hosts' own time.
    expect(detail.handoffs[0]?.predictedMs).toBeGreaterThan(19);
  });

  it("takes everything away again", async () => {
    expect(await task("deploy.undo", ["h", "n1", "n2", "c"])).toMatchObject({ state: "done" });
    expect((await hosts()).map(({ agent }) => agent.is)).toEqual(["none", "none", "none", "none"]);
    await value("host.remove", { lab: fleet, hosts: ["h", "n1", "n2", "c"] });
    expect(await hosts()).toEqual([]);
  });
});
