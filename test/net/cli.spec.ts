import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LabSandbox, whyNoLab } from "../support/lab.ts";

const program = resolve(import.meta.dirname, "../../src-main/shells/cli/main.ts");
const why = whyNoLab() ?? (existsSync(resolve(import.meta.dirname, "../../out/agent/manifest.json")) ? undefined : "needs the bundled agent (npm test builds it)");

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function cli(...args: string[]): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8", timeout: 100_000, stdio: ["ignore", "pipe", "pipe"] });
  return { code: status, stdout, stderr };
}
const json = (result: Result) => JSON.parse(result.stdout);

describe.skipIf(why)(`the command line${why ? ` (skipped: ${why})` : ""}`, () => {
  let sandbox: LabSandbox;
  let labFile: string;
  beforeAll(() => {
    sandbox = new LabSandbox();
    labFile = sandbox.file(
      "two.yaml",
      `name: two
home: { prefix: "2001:db8:f::/64", host: a }
sites: { east: {}, west: {} }
paths: [{ between: [east, west], delay: 5 ms }]
hosts:
  a: { site: east, roles: [homeAgent] }
  b: { site: west, roles: [member] }
`,
    );
  });
  afterAll(() => sandbox?.close());

  it("explains itself, and refuses what it does not know with exit code 2", () => {
    expect(cli("help")).toMatchObject({ code: 0, stdout: expect.stringMatching(/lab.*\n[\s\S]*doctor/) });
    expect(cli("lab", "link", "set", "--help").stdout).toContain("--delay");
    expect(cli("lab", "upp").code).toBe(2);
    expect(cli("lab", "up", "nowhere.yaml")).toMatchObject({ code: 2, stderr: expect.stringMatching(/nowhere\.yaml[^\n]*\n→ /) });
    expect(cli("lab", "up", "--data-plane", "magic").code).toBe(2);
    expect(cli("lab", "exec", "--lab", "gone", "a", "true")).toMatchObject({ code: 1, stderr: expect.stringMatching(/gone[\s\S]*→/) });
    expect(cli("bench", "nothing").code).toBe(2);
    expect(json(cli("doctor", "--json")).lines.length).toBeGreaterThan(5);
  });

  it("says where a lab or fleet file is wrong", () => {
    const bad = sandbox.file("bad.yaml", "name: bad\nsites: { east: {} }\nhosts:\n  a: { site: west }\n  b: { site: east, speed: 3 }\n");
    const lab = cli("lab", "up", bad);
    expect(lab).toMatchObject({ code: 2, stdout: "" });
    expect(lab.stderr).toMatch(/bad\.yaml:[45]:/);
    const fleet = sandbox.file("bad-fleet.yaml", "name: f\nhosts:\n  n1:\n    port: 99999\n  n2: { adress: x }\nhome: { prefix: nonsense, host: n1 }\n");
    const result = cli("lab", "status", "--fleet", fleet);
    expect(result.code).toBe(2);
    expect(result.stderr).toMatch(/bad-fleet\.yaml:4:\d+: hosts\.n1\.port: /);
    expect(result.stderr).toMatch(/bad-fleet\.yaml:5:\d+: hosts\.n2\.adress/);
    expect(result.stderr).toMatch(/bad-fleet\.yaml:6:\d+: home\.prefix: .*nonsense/);
    expect(json(cli("lab", "status", "--json", "--fleet", fleet))).toMatchObject({ ok: false, error: { code: "fleet.invalid", remedy: expect.stringContaining("docs/fleet-file.md") } });
  });

  it("brings a lab up with agents, shows it, works on it, and takes it down", async () => {
    const up = cli("lab", "up", labFile, "--metrics", "9135", "--json");
    expect(up).toMatchObject({ code: 0 });
    expect(json(up)).toMatchObject({ ok: true, lab: "two", agents: [{ host: "a" }, { host: "b" }] });
    const status = json(cli("lab", "status", "--json"));
    expect(status.agents.map((a: { over: string }) => a.over)).toEqual(["socket", "socket"]);
    const [a, b] = status.agents.map((x: { clockEstimate: { offsetMs: number } }) => x.clockEstimate.offsetMs);
    expect(Math.abs(a - b)).toBeGreaterThan(1000);
    expect(cli("lab", "status").stdout).toMatch(/^a +east +homeAgent.*up/m);

    expect(cli("lab", "exec", "a", "exit 7").code).toBe(7);
    expect(cli("lab", "exec", "a", "printf", "%s|", "x  y", "$HOME", "it's").stdout).toBe("x  y|$HOME|it's|");
    const told = spawnSync(process.execPath, [program, "lab", "exec", "a", "cat; echo no >&2"], { input: "through\n", encoding: "utf8" });
    expect([told.stdout, told.stderr]).toEqual(["through\n", "no\n"]);
    expect(cli("lab", "exec", "c", "true")).toMatchObject({ code: 2, stderr: expect.stringMatching(/hosts are a, b/) });

    expect(cli("lab", "link", "set", "east", "west", "--delay", "30ms", "--rate", "100mbit", "--one-way").code).toBe(0);
    const links = json(cli("lab", "status", "--json", "--links")).links.filter((l: { kind: string; from: string; to: string }) => l.kind === "path" && l.from !== l.to);
    expect(links.map((l: { from: string; quality: { delayMs: number; rate: number | null } }) => [l.from, l.quality.delayMs, l.quality.rate])).toEqual([["east", 30, 1e8], ["west", 5, null]]);
    expect(cli("lab", "link", "set", "a", "b").code).toBe(2);
    expect(cli("lab", "link", "set", "a", "b", "--loss", "2").code).toBe(2);
    expect(cli("lab", "link", "reset").code).toBe(0);

    expect(json(cli("lab", "inspect", "b")).hosts.b).toMatchObject({ agent: { host: "b" }, state: expect.any(Object) });
    const metrics = cli("lab", "metrics", "b");
    expect(metrics).toMatchObject({ code: 0, stdout: expect.stringContaining("anycast_lab_agent_info{version=") });
    expect(cli("lab", "exec", "a", "curl -sg http://[::1]:9135/metrics").stdout).toContain('anycast_lab_agent_info{version="');
    expect(cli("lab", "logs", "-n", "50", "b").stdout).toMatch(/agentStarted/);
    const preflight = cli("lab", "preflight", "b");
    expect(preflight).toMatchObject({ code: 0, stdout: expect.stringMatching(/✓ +capabilities/) });
    await capture();

    expect(cli("lab", "up", labFile)).toMatchObject({ code: 1, stderr: expect.stringMatching(/up already[\s\S]*→/) });
    expect(cli("lab", "down").code).toBe(0);
    expect(json(cli("lab", "status", "--json"))).toEqual({ labs: [] });
    expect(readdirSync(join(sandbox.folder, "anycast-lab/labs"))).toEqual([]);
  });

  /** While a capture runs, pings; then holds its file against tshark. */
  async function capture(): Promise<void> {
    const file = join(sandbox.folder, "out.pcapng");
    const capturing = spawn(process.execPath, [program, "lab", "capture", "a", "b", "-w", file], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    capturing.stderr.on("data", (chunk) => (said += String(chunk)));
    await expect.poll(() => said, { timeout: 60_000 }).toMatch(/capturing on a, b/);
    expect(cli("lab", "exec", "a", "ping -c 3 -i 0.2 b").code).toBe(0);
    await new Promise((r) => setTimeout(r, 500));
    capturing.kill("SIGINT");
    expect((await once(capturing, "exit"))[0]).toBe(0);
    const seen = execFileSync("tshark", ["-r", file, "-Y", "icmpv6.type == 128", "-T", "fields", "-e", "frame.interface_name"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    expect(seen.trim().split("\n").toSorted()).toEqual(["a", "a", "a", "b", "b", "b"]);
  }

  it("treats hosts that were there before as a fleet: deploys, and takes away only what it put there", () => {
    expect(cli("lab", "up", labFile, "--name", "fleet-hosts", "--no-agents").code).toBe(0);
    const fleet = sandbox.file("fleet.yaml", `name: mine\nsshConfig: anycast-lab/labs/fleet-hosts/ssh_config\nhosts:\n  a:\n  second: { ssh: b, roles: [member] }\n`);
    expect(cli("lab", "preflight", "--fleet", fleet)).toMatchObject({ code: 0 });
    const up = json(cli("lab", "up", "--fleet", fleet, "--json"));
    expect(up).toMatchObject({ ok: true, kind: "fleet", agents: [{ host: "a" }, { host: "second" }] });
    expect(cli("lab", "exec", "--fleet", fleet, "second", "hostname").stdout).toBe("b\n");
    expect(cli("lab", "link", "set", "--fleet", fleet, "a", "second", "--delay", "1ms").code).not.toBe(0);
    expect(json(cli("lab", "down", "--fleet", fleet, "--json"))).toEqual({ ok: true, hosts: [{ host: "a", agent: "clean" }, { host: "second", agent: "clean" }] });
    expect(cli("lab", "exec", "--lab", "fleet-hosts", "a", "ls -A .local/state .local/share").stdout).not.toContain("anycast");
    expect(cli("lab", "down", "--all").code).toBe(0);
  });

  it("shows a shell on a terminal, with its size and exit code", () => {
    expect(cli("lab", "up", labFile, "--name", "shell", "--no-agents").code).toBe(0);
    // script(1) gives the command line a terminal of its own.
    const shell = spawnSync("script", ["-qec", `stty rows 33 cols 101; ${process.execPath} ${program} lab shell a`, "/dev/null"], { input: "stty size; tty\nexit 5\n", encoding: "utf8", timeout: 60_000 });
    expect(shell.stdout).toMatch(/33 101/);
    expect(shell.stdout).toMatch(/\/dev\/pts\/\d/);
    expect(shell.status).toBe(5);
    expect(cli("lab", "shell", "a").code).toBe(2);
    expect(cli("lab", "down", "shell").code).toBe(0);
  });
});
