import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { DataPlaneCounters } from "../../src-agent/ports.ts";
import { AgentWorld, pause, until } from "../support/agentWorld.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const bodyBytes = 20_000_000;

/** Sends a line each 10 ms; says when the first one is back; at a word on stdin it stops, waits for the rest and prints its figures. */
const echoClient = `
const s = require("net").connect({ host: process.argv[1], port: 7 });
let sent = 0, got = "", expected = "";
s.setNoDelay();
let timer;
s.on("connect", () => { timer = setInterval(() => { const line = "line " + sent++ + "\\n"; expected += line; s.write(line); }, 10); });
s.on("data", (d) => { if (got === "") console.log("first"); got += d; });
s.on("error", (e) => { console.log("error " + e.message); process.exit(1); });
s.on("close", () => console.log("closed"));
process.stdin.on("data", () => {
  clearInterval(timer);
  let waited = 0;
  const look = setInterval(() => {
    if (got.length < expected.length && waited++ < 500) return;
    clearInterval(look);
    console.log(JSON.stringify({ sent, exact: got === expected }));
  }, 10);
});
`;

describe.skipIf(!isRoot)("a client host with nothing of ours on it (needs root on Linux)", () => {
  let world: AgentWorld;
  const processes: ChildProcess[] = [];
  beforeAll(() => AgentWorld.prepare());
  afterEach(async () => {
    for (const child of processes.splice(0)) child.kill();
    await world?.close();
  });

  const inNamespace = (host: string, command: readonly string[]): ChildProcess => {
    const child = spawn("ip", ["netns", "exec", world.namespace(host), ...command], { stdio: ["pipe", "pipe", "inherit"] });
    processes.push(child);
    return child;
  };
  const whys = (): string[] => world.host("k").events.flatMap((e) => (e.body.type === "clientServed" ? [`${e.body.how} by ${e.body.member}: ${e.body.why}`] : []));

  it.each([
    ["whose kernel answers with ICMPv6 Parameter Problem", "ebpf", false, /the client says that it has no Mobile IPv6/],
    ["behind a firewall that answers nothing", "userspace", true, /no answer to Home Test Init/],
  ] as const)("%s is served through the tunnel, and its connections move", async (_, dataPlane, silent, reason) => {
    world = new AgentWorld(`alpl${dataPlane[0]}${process.pid}`);
    world.build(["h", "k", "a", "b", "c"]);
    if (silent) execFileSync("ip", ["netns", "exec", world.namespace("c"), "nft", "add table ip6 quiet; add chain ip6 quiet in { type filter hook input priority 0; }; add rule ip6 quiet in meta l4proto 135 drop"]);
    await Promise.all(["h", "k", "a", "b"].map((name) => world.startAgent(name, dataPlane)));
    for (const name of ["k", "a", "b"]) {
      const origin = inNamespace(name, [process.execPath, resolve(import.meta.dirname, "tcp/origin.ts"), name]);
      await new Promise((done) => origin.stdout?.once("data", done));
    }
    await world.formGroup(["k", "a", "b"], [], [{ kind: "echo", name: "echo", port: 7 }, { kind: "http", name: "web", port: 80, origin: "http://[::1]:8080" }]);

    const echo = inNamespace("c", [process.execPath, "-e", echoClient, world.homeAddress]);
    let said = "";
    let knownAtFirst: string[] | null = null;
    echo.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("first")) knownAtFirst ??= whys();
    });
    await until(() => knownAtFirst !== null, "the first echo", () => world.describe());
    // First contact waits for no test: silence has not been found out yet when the first answer is there.
    const foundOut = (knownAtFirst as unknown as string[]).filter((why) => reason.test(why));
    expect(silent ? foundOut : []).toEqual([]);
    await until(() => whys().some((why) => reason.test(why)), "the client to be found out", () => world.describe());

    const directory = mkdtempSync(join(tmpdir(), "alpl-"));
    const file = join(directory, "got");
    try {
      const curl = inNamespace("c", ["curl", "-s", "--limit-rate", "5M", "-o", file, `http://[${world.homeAddress}]/ranged`]);
      const done = new Promise<number | null>((exit) => curl.once("exit", exit));
      await until(() => sizeOf(file) > 1_000_000, "the download to begin", () => world.describe());
      const [home, client] = [world.homeAddress, world.host("c").address];
      for (const [i, acceptor] of ["a", "b", "k", "a"].entries()) {
        await world.call("k", "handOver", { home, client, acceptor, mode: i % 2 ? "prepared" : "full", id: `h${i}` }).catch((error: Error) => Promise.reject(new Error(`${error.message}\n${world.describe()}`)));
        expect(whys().length + ["a", "b"].flatMap((name) => world.host(name).events.filter((e) => e.body.type === "clientServed")).length).toBeGreaterThan(i + 1);
        await pause(400);
      }
      expect(await done).toBe(0);
      expect(createHash("sha256").update(readFileSync(file)).digest("hex")).toBe(expectedHash());
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
    echo.stdin?.write("?");
    await until(() => said.includes("}"), "the client's figures");
    expect(said).not.toMatch(/error|closed/);
    const figures = JSON.parse(said.slice(said.indexOf("{"))) as { sent: number; exact: boolean };
    expect(figures.sent).toBeGreaterThan(100);
    expect(figures.exact).toBe(true);

    // The contact relays, and nothing ever carried a Home Address option.
    const counted = await Promise.all(["k", "a", "b"].map(async (name) => (await world.call(name, "counters", {}))["dataPlane"] as DataPlaneCounters));
    expect(counted.map(({ translatedOut, translatedIn }) => translatedOut.packets + translatedIn.packets)).toEqual([0, 0, 0]);
    expect(counted[0]?.relayed.bytes).toBeGreaterThan(bodyBytes / 4);
    const [known] = (((await world.call("k", "inspect", {}))["groups"] as { clients: unknown[] }[])[0] as { clients: unknown[] }).clients;
    expect(known).toMatchObject({ capability: silent ? "silent" : "plain", server: "a", boundForMs: null });
  });
});

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** Of what test/net/tcp/origin.ts serves. */
function expectedHash(): string {
  const body = Buffer.alloc(bodyBytes);
  for (let i = 0; i < bodyBytes; i++) body[i] = (i * 7 + (i >>> 8) * 13 + (i >>> 16)) & 0xff;
  return createHash("sha256").update(body).digest("hex");
}
