import { execFileSync } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { findNginx, nginxArguments } from "./tcp/nginx.ts";
import { RemoteClient } from "./tcp/remoteClient.ts";
import { client, home, whyNoWorld, World, type Member } from "./tcp/world.ts";

const why = whyNoWorld();
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const sha256 = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
const exitCode = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
const output = async (child: ChildProcess) => {
  let text = "";
  for await (const part of child.stdout as AsyncIterable<Buffer>) text += part.toString();
  return text;
};
const until = async (what: string, holds: () => boolean | Promise<boolean>) => {
  for (let i = 0; !(await holds()); i++) {
    if (i > 500) throw new Error(`never: ${what}`);
    await sleep(20);
  }
};

describe.skipIf(why !== null)(`moving TCP connections${why ? ` (skipped: ${why})` : ""}`, () => {
  let world: World;
  const clients: RemoteClient[] = [];
  const connect = async (port: number, allowHalfOpen = false) => {
    const made = await RemoteClient.connect(world, port, allowHalfOpen);
    clients.push(made);
    return made;
  };
  const count = async (member: Member) => (await member.call<unknown[]>({ do: "connections", home, client })).length;

  beforeAll(async () => {
    world = new World();
    await world.offer("echo", 7, ["echo"]);
    await world.offer("count", 8, ["count"], true);
    await world.offer("greet", 9, ["greet"], true);
    await world.offer("dump", 10, ["dump"], true);
    await world.offer("nobody", 11, null);
  });
  afterEach(async () => {
    for (const each of clients.splice(0)) each.close();
    await until("connections of dead clients end", async () => (await count(world.a)) + (await count(world.b)) === 0);
    world.route(world.a);
  });
  afterAll(() => world?.close());

  it("keeps an echo exact over 24 moves while both directions are busy", async () => {
    const echo = await connect(7);
    await echo.do({ do: "stream", bytes: 1500 });
    let at = world.a;
    for (let i = 0; i < 24; i++) {
      await sleep(60);
      const { to, connections, failed } = await world.move(at);
      expect({ connections, failed }).toEqual({ connections: 1, failed: [] });
      at = to;
    }
    const { sent } = await echo.do({ do: "quiet" });
    const state = await echo.until("everything comes back", ({ received }) => received === sent);
    expect(state).toMatchObject({ mismatch: null, error: null, ended: false });
    expect([world.a, world.b].map((m) => world.tcpCounter(m.namespace, "OutRsts"))).toEqual([0, 0]);
  });

  it("keeps a connection alive that has nothing to say", async () => {
    const echo = await connect(7);
    const { to } = await world.move(world.a);
    await sleep(300);
    await world.move(to);
    await echo.do({ do: "send", bytes: 10 });
    expect(await echo.until("the echo", ({ received }) => received === 10)).toMatchObject({ mismatch: null, error: null });
  });

  it("sends nothing from prepared sockets, however long signalling takes, and nothing from the donor after destroy", async () => {
    // The echo's answers are on their way when the freeze comes: unacknowledged data must not be sent again by a timer.
    const echo = await connect(7);
    await echo.do({ do: "stream", bytes: 20_000 });
    await sleep(100);
    world.cutOffClient(true);
    await sleep(20);
    const { bundle } = await world.a.call<{ bundle: Uint8Array }>({ do: "release", home, client, handoff: "quiet" });
    await world.b.call({ do: "prepareAdopt", home, client, handoff: "quiet", bundle });
    const { sent } = await echo.do({ do: "quiet" });
    world.route(world.b);
    await world.a.call({ do: "destroy", handoff: "quiet" });
    world.cutOffClient(false);
    const before = [world.a, world.b].map((m) => world.tcpCounter(m.namespace, "OutSegs"));
    await sleep(2500);
    expect([world.a, world.b].map((m) => world.tcpCounter(m.namespace, "OutSegs"))).toEqual(before);
    expect(bundle.length).toBeGreaterThan(2000);
    await world.b.call({ do: "activate", handoff: "quiet" });
    expect(await echo.until("everything comes back", ({ received }) => received === sent)).toMatchObject({ mismatch: null, error: null });
  });

  it("moves a connection whose client has ended its side, twice, and still answers", async () => {
    const counting = await connect(8, true);
    await counting.do({ do: "send", bytes: 3000 });
    await counting.do({ do: "end" });
    await sleep(100);
    const { to } = await world.move(world.a);
    await world.move(to);
    expect(await counting.until("the answer and the end", ({ ended }) => ended)).toMatchObject({ text: "3000 bytes", error: null });
    await until("both members have forgotten it", async () => (await count(world.a)) + (await count(world.b)) === 0);
  });

  it("tells the acceptor's service of a client's end that came just before the freeze", async () => {
    const counting = await connect(8, true);
    await counting.do({ do: "send", bytes: 100 });
    await until("the service has the bytes", async () => (await count(world.a)) === 1);
    const { bundle } = await world.a.call<{ bundle: Uint8Array }>({ do: "release", home, client, handoff: "late end" });
    // The end arrives at frozen sockets: the client repeats it until somebody takes it.
    await counting.do({ do: "end" });
    await world.b.call({ do: "prepareAdopt", home, client, handoff: "late end", bundle });
    world.route(world.b);
    await world.a.call({ do: "destroy", handoff: "late end" });
    await world.b.call({ do: "activate", handoff: "late end" });
    expect(await counting.until("the answer", ({ ended }) => ended)).toMatchObject({ text: "100 bytes" });
  });

  it("moves a connection whose service has ended its side while the client goes on", async () => {
    const greeted = await connect(9, true);
    await greeted.until("the greeting and its end", ({ ended }) => ended);
    await greeted.do({ do: "send", bytes: 5000 });
    const { to } = await world.move(world.a);
    await greeted.do({ do: "send", bytes: 5000 });
    const { to: last } = await world.move(to);
    await greeted.do({ do: "send", bytes: 5000 });
    await greeted.do({ do: "end" });
    await until("the service has counted all", () => last.log.some((line) => line.includes("greet counted 15000")));
    expect(await greeted.do({ do: "state" })).toMatchObject({ text: "hello", error: null });
  });

  it("moves what the kernel still delivers after the service is done", async () => {
    const dumped = await connect(10);
    await until("the service is under way", async () => (await count(world.a)) === 1);
    let at = world.a;
    for (let i = 0; i < 4; i++) ({ to: at } = await world.move(at));
    expect(await dumped.until("all and the end", ({ ended }) => ended)).toMatchObject({ received: 8_000_000, mismatch: null, error: null });
  });

  it("moves connections that nobody has accepted yet, with what they have sent", async () => {
    // Nobody serves port 11 on the donor; the acceptor's process arrives late, too.
    const early = await connect(11);
    await early.do({ do: "send", bytes: 777 });
    await sleep(50);
    const serving = world.run([process.execPath, join(import.meta.dirname, "../../src-adapter/main.ts"), "echo", "--socket", join(world.directory, `${world.b.namespace}.sock`), "--name", "nobody", "--port", "11"], {}, world.b.namespace);
    await until("the acceptor serves", () => world.b.log.some((line) => line.includes("nobody 1 serves")));
    const { connections } = await world.move(world.a);
    expect(connections).toBe(1);
    expect(await early.until("its echo", ({ received }) => received === 777)).toMatchObject({ mismatch: null });
    serving.kill("SIGTERM");
  });

  it("moves all of a client's connections together, over services, and resumes them together", async () => {
    const [first, second, third] = await Promise.all([connect(7), connect(7), connect(8)]);
    for (const each of [first, second, third]) await each?.do({ do: "send", bytes: 1000 });
    await first?.until("the echo", ({ received }) => received === 1000);
    const { to, connections } = await world.move(world.a);
    expect(connections).toBe(3);
    // A handoff that fails after the freeze, before and after the sockets are destroyed.
    for (const destroyed of [false, true]) {
      const handoff = `failing ${destroyed}`;
      const { bundle } = await to.call<{ bundle: Uint8Array }>({ do: "release", home, client, handoff });
      await world.other(to).call({ do: "prepareAdopt", home, client, handoff, bundle });
      await world.other(to).call({ do: "abort", handoff });
      if (destroyed) await to.call({ do: "destroy", handoff });
      await to.call({ do: "resume", handoff });
    }
    expect(await count(to)).toBe(3);
    for (const each of [first, second]) {
      await each?.do({ do: "send", bytes: 1000 });
      expect(await each?.until("the echo", ({ received }) => received === 2000)).toMatchObject({ mismatch: null, error: null });
    }
  });

  it("drains, and goes on without a handoff", async () => {
    const echo = await connect(7);
    await echo.do({ do: "stream", bytes: 1000 });
    await sleep(100);
    const { empty } = await world.a.call<{ empty: boolean }>({ do: "drain", home, client, deadlineMs: 2000 });
    expect(empty).toBe(true);
    await world.a.call({ do: "proceed", home, client });
    const { sent } = await echo.do({ do: "quiet" });
    expect(await echo.until("everything comes back", ({ received }) => received === sent)).toMatchObject({ mismatch: null, error: null });
  });

  it("leaves a handshake that does not finish to the acceptor", async () => {
    world.cutOffClient(true);
    const { client: late, connected } = RemoteClient.start(world, 7);
    clients.push(late);
    const table = () => execFileSync("ip", ["netns", "exec", world.a.namespace, "cat", "/proc/net/tcp6"], { encoding: "utf8" });
    await until("the donor has answered its SYN (state 03)", () => /:0007 \w+:\w{4} 03 /.test(table()));
    const { connections, to } = await world.move(world.a);
    expect(connections).toBe(0);
    // Both members repeat what they have now: the donor must have nothing left to repeat.
    world.cutOffClient(false);
    expect(await connected).toMatchObject({ connected: true, error: null });
    expect(await count(to)).toBe(1);
    await late.do({ do: "send", bytes: 10 });
    expect(await late.until("the echo", ({ received }) => received === 10)).toMatchObject({ mismatch: null, error: null });
  });

  it("refuses another's bundles and its own that were changed, leaving nothing behind", async () => {
    const echo = await connect(7);
    await echo.do({ do: "send", bytes: 100 });
    await echo.until("the echo", ({ received }) => received === 100);
    const { bundle } = await world.a.call<{ bundle: Uint8Array }>({ do: "release", home, client, handoff: "foreign" });
    const prepare = (bytes: Uint8Array, from = client) => world.b.call({ do: "prepareAdopt", home, client: from, handoff: "foreign", bundle: bytes });
    await expect(prepare(bundle, "2001:db8:a::3")).rejects.toMatchObject({ code: "bad-bundle", message: expect.stringContaining("peer address") });
    await expect(prepare(bundle.slice(0, -1))).rejects.toMatchObject({ code: "bad-bundle" });
    const otherPort = Buffer.from(bundle);
    const portAt = otherPort.indexOf(Buffer.from("20010db8ffff000000000000000000010007", "hex")) + 16;
    otherPort.writeUInt16BE(8, portAt);
    await expect(prepare(otherPort)).rejects.toMatchObject({ code: "no-service" });
    const otherHome = Buffer.from(bundle);
    otherHome[portAt - 1] = 2;
    await expect(prepare(otherHome)).rejects.toMatchObject({ code: "bad-bundle", message: expect.stringContaining("local address") });
    await prepare(bundle);
    await expect(prepare(bundle)).rejects.toMatchObject({ code: "restore-failed" });
    await world.b.call({ do: "abort", handoff: "foreign" });
    await world.a.call({ do: "resume", handoff: "foreign" });
    await echo.do({ do: "send", bytes: 100 });
    expect(await echo.until("the echo", ({ received }) => received === 200)).toMatchObject({ mismatch: null, error: null });
  });
});

const nginx = findNginx();
const noNginx = why ?? (nginx === null ? "no nginx: run npm test once, or install it" : null);

describe.skipIf(noNginx !== null)(`moving transfers of an unmodified curl${noNginx ? ` (skipped: ${noNginx})` : ""}`, () => {
  let world: World;
  const root = () => join(world.directory, "root");
  const received = (member: Member) => join(world.directory, `files-${member.namespace}`);

  beforeAll(async () => {
    world = new World();
    mkdirSync(root());
    writeFileSync(join(root(), "film"), randomFillSync(Buffer.alloc(200_000_000)));
    writeFileSync(join(world.directory, "backup"), randomFillSync(Buffer.alloc(40_000_000)));
    for (const member of [world.a, world.b]) {
      world.run([nginx as string, ...nginxArguments(join(world.directory, `nginx-${member.namespace}`), root(), 8080)], { stdio: "ignore" }, member.namespace);
      await member.call({ do: "offer", home, name: "web", port: 80, serve: ["http", "--origin", "http://[::1]:8080"] });
      await member.call({ do: "offer", home, name: "inbox", port: 81, serve: ["files", "--dir", received(member), "--member", member === world.a ? "a" : "b"] });
    }
  });
  afterAll(() => world?.close());

  it("keeps a 200 MB download and an upload beside it exact over the moves", async () => {
    const film = join(world.directory, "film.got");
    const download = world.run(["curl", "-sS", "--limit-rate", "25M", "-o", film, `http://[${home}]/film`], { stdio: ["ignore", "ignore", "inherit"] });
    const upload = world.run(["curl", "-sS", "--limit-rate", "6M", "-T", join(world.directory, "backup"), `http://[${home}]:81/backup`], { stdio: ["ignore", "pipe", "inherit"] });
    const codes = Promise.all([exitCode(download), exitCode(upload)]);
    const answer = output(upload);
    let at = world.a;
    let moved = 0;
    while ((await Promise.race([codes, sleep(250)])) === undefined) {
      const { to, connections, failed } = await world.move(at);
      expect(failed).toEqual([]);
      at = to;
      if (connections === 2) moved++;
    }
    expect(await codes).toEqual([0, 0]);
    expect(moved).toBeGreaterThanOrEqual(3);
    expect(sha256(film)).toBe(sha256(join(root(), "film")));
    const result = JSON.parse(await answer) as { sha256: string; segments: { member: string; from: number; length: number }[] };
    expect(result.sha256).toBe(sha256(join(world.directory, "backup")));
    expect(joined(result.segments)).toBe(result.sha256);
    // The members reset their own connections to nginx at each move; the client must never be.
    expect(world.tcpCounter(world.clientNamespace, "EstabResets")).toBe(0);
  });

  /** The segments that the members keep, put together. */
  function joined(segments: readonly { member: string; from: number; length: number }[]): string {
    const hash = createHash("sha256");
    for (const { member, from, length } of segments) {
      const directory = received(member === "a" ? world.a : world.b);
      const file = readdirSync(directory).find((name) => name.includes(`.${from}.`) && readFileSync(join(directory, name)).length === length) ?? "no such segment";
      hash.update(readFileSync(join(directory, file)));
    }
    return hash.digest("hex");
  }
});
