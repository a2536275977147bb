import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { AgentWorld, pause, until } from "../support/agentWorld.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;

/** Connects, and does as words on stdin say: "talk" sends a line each 10 ms, "?" stops, waits for the rest and prints figures. */
const client = `
const s = require("net").connect({ host: process.argv[1], port: 7 });
let sent = 0, got = "", expected = "";
s.setNoDelay();
let timer;
s.on("connect", () => console.log("connected"));
s.on("data", (d) => { got += d; });
s.on("error", (e) => { console.log("error " + e.message); process.exit(1); });
s.on("close", () => console.log("closed"));
process.stdin.on("data", (word) => {
  if (String(word).includes("talk")) { timer = setInterval(() => { const line = "line " + sent++ + "\\n"; expected += line; s.write(line); }, 10); return; }
  clearInterval(timer);
  let waited = 0;
  const look = setInterval(() => {
    if (got.length < expected.length && waited++ < 900) return;
    clearInterval(look);
    console.log(JSON.stringify({ sent, exact: got === expected }));
  }, 10);
});
`;

describe.skipIf(!isRoot)("a middlebox that drops data with routing headers and Home Address options, but passes signalling (needs root on Linux)", () => {
  let world: AgentWorld;
  let talking: ChildProcess | null = null;
  beforeAll(() => AgentWorld.prepare());
  afterEach(async () => {
    talking?.kill();
    await world?.close();
  });

  const events = (name: string, type: string) => world.host(name).events.filter((e) => e.body.type === type).map((e) => e.body as { type: string; how?: string; why?: string; reason?: string });

  it.each([
    ["a connection that talks", "ebpf", true],
    ["an idle connection", "userspace", false],
  ] as const)("%s loses its binding and goes on through the tunnel", async (_, dataPlane, talks) => {
    world = new AgentWorld(`albd${dataPlane[0]}${process.pid}`);
    world.build(["h", "k", "a", "c"]);
    const nft = (rules: string) => execFileSync("ip", ["netns", "exec", world.namespace("r"), "nft", rules]);
    nft("add table ip6 box; add chain ip6 box forward { type filter hook forward priority 0; }; add rule ip6 box forward meta l4proto tcp exthdr rt exists counter drop; add rule ip6 box forward meta l4proto tcp exthdr dst exists counter drop");
    await Promise.all(["h", "k", "a", "c"].map((name) => world.startAgent(name, dataPlane)));
    await world.formGroup(["k", "a"], ["c"], [{ kind: "echo", name: "echo", port: 7 }]);
    talking = spawn("ip", ["netns", "exec", world.namespace("c"), process.execPath, "-e", client, world.homeAddress], { stdio: ["pipe", "pipe", "inherit"] });
    let said = "";
    talking.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said.includes("connected"), "the client to connect", () => world.describe());
    if (talks) talking.stdin?.write("talk");

    await until(() => events("c", "bindingAccepted").length > 0, "the client to be bound", () => world.describe());
    await until(() => events("c", "bindingRemoved").some(({ reason }) => reason === "deregistered"), "the binding to be deleted at the client", () => world.describe());
    expect(events("k", "clientServed").at(-1)).toMatchObject({ how: "tunnel", why: expect.stringMatching(/^nothing came back over the new binding/) as string });
    expect(execFileSync("ip", ["netns", "exec", world.namespace("r"), "nft", "list table ip6 box"], { encoding: "utf8" })).toMatch(/exthdr dst exists counter packets [1-9]/);

    if (!talks) talking.stdin?.write("talk");
    await pause(300);
    await expect(world.call("k", "handOver", { home: world.homeAddress, client: world.host("c").address, acceptor: "a", mode: "full", id: "h1" })).resolves.toEqual({ connections: 1 });
    await pause(500);
    talking.stdin?.write("?");
    await until(() => said.includes("}"), "the client's figures", () => world.describe());
    expect(said).not.toMatch(/error|closed/);
    expect(JSON.parse(said.slice(said.indexOf("{")))).toMatchObject({ exact: true });
    expect(events("c", "bindingAccepted")).toHaveLength(1);
    expect(events("a", "clientServed")).toMatchObject([{ how: "relayed" }]);
  });
});
