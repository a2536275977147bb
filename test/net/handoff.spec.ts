import { spawn, type ChildProcess } from "node:child_process";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { AgentWorld, pause, until } from "../support/agentWorld.ts";
import { kernelCannotTranslate } from "../support/planeWorld.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const withoutKernel = kernelCannotTranslate();
/** Which data plane the home agent and members have, and which the client. */
const fleets = [
  { members: "ebpf", client: "ebpf", unable: null },
  { members: "userspace", client: "userspace", unable: null },
  { members: "kernel", client: "kernel", unable: withoutKernel },
  { members: "ebpf", client: "kernel", unable: withoutKernel },
  { members: "kernel", client: "ebpf", unable: withoutKernel },
  { members: "kernel", client: "userspace", unable: withoutKernel },
] as const;
/** Sends a line each 10 ms; at a word on stdin it stops sending, waits for what is still under way, and prints what it has. */
const echoClient = `
const s = require("net").connect({ host: process.argv[1], port: 7 });
let sent = 0, got = "", expected = "";
s.setNoDelay();
let timer;
s.on("connect", () => { console.log("connected"); timer = setInterval(() => { const line = "line " + sent++ + "\\n"; expected += line; s.write(line); }, 10); });
s.on("data", (d) => { got += d; });
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

let world: AgentWorld;
let client: ChildProcess | null = null;
beforeAll(() => AgentWorld.prepare());
afterEach(async () => {
  client?.kill();
  client = null;
  await world?.close();
});

describe.skipIf(!isRoot)("handoff on real packets (needs root on Linux)", () => {
  it.skipIf(true).each(fleets.filter(({ unable }) => unable))("moves a live echo connection, members $members, client $client: $unable", () => expect(withoutKernel).toBeNull());

  it.each(fleets.filter(({ unable }) => !unable))("moves a live echo connection between members, data plane $members, the client's $client", async ({ members, client: clients }) => {
    world = new AgentWorld(`alh${members[0]}${clients[0]}`);
    world.build(["h", "k", "a", "b", "c"]);
    const before = world.traces("a");
    await Promise.all(["h", "k", "a", "b", "c"].map((name) => world.startAgent(name, name === "c" ? clients : members)));
    await world.formGroup(["k", "a", "b"], ["c"], [{ kind: "echo", name: "echo", port: 7 }]).catch((error: Error) => Promise.reject(new Error(`${error.message}\n${world.describe()}`)));

    let said = "";
    client = spawn("ip", ["netns", "exec", world.namespace("c"), process.execPath, "-e", echoClient, world.homeAddress], { stdio: ["pipe", "pipe", "inherit"] });
    client.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    await until(() => said.includes("connected"), "the client to connect", () => world.describe());
    const optimised = () => world.host("k").events.some((e) => e.body.type === "clientServed" && e.body.how === "optimised");
    await until(optimised, "route optimisation to the contact", () => world.describe());

    const [home, address] = [world.homeAddress, world.host("c").address];
    for (const [i, [acceptor, mode]] of ([["a", "full"], ["b", "prepared"], ["k", "full"], ["b", "full"], ["a", "prepared"]] as const).entries()) {
      await pause(400);
      await expect(world.call("k", "handOver", { home, client: address, acceptor, mode, id: `h${i}` }).catch((error: Error) => Promise.reject(new Error(`${error.message}\n${world.describe()}`)))).resolves.toEqual({ connections: 1 });
    }
    await pause(500);
    client.stdin?.write("?");
    await until(() => said.includes("}"), "the client's figures");
    const figures = JSON.parse(said.slice(said.indexOf("{"))) as { sent: number; exact: boolean };
    expect(said).not.toMatch(/error|closed/);
    expect(figures.sent).toBeGreaterThan(100);
    expect(figures.exact, world.describe()).toBe(true);

    for (const name of ["h", "k", "a", "b", "c"]) await world.stopAgent(name);
    expect(world.traces("a")).toBe(before);
  });
});
