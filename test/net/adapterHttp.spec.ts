import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ChildProcess } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RemoteClient } from "./tcp/remoteClient.ts";
import { client, home, whyNoWorld, World, type Member } from "./tcp/world.ts";

const why = whyNoWorld();
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const exitCode = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
const bodyBytes = 20_000_000;

describe.skipIf(why !== null)(`the HTTP adapter${why ? ` (skipped: ${why})` : ""}`, () => {
  let world: World;
  const origins: ChildProcess[] = [];
  let expected = "";

  async function startOrigin(member: Member): Promise<void> {
    const origin = world.run([process.execPath, resolve(import.meta.dirname, "tcp/origin.ts"), member.namespace], { stdio: ["ignore", "pipe", "inherit"] }, member.namespace);
    origins.push(origin);
    await new Promise((resolve) => origin.stdout?.once("data", resolve));
  }

  beforeAll(async () => {
    world = new World();
    await Promise.all([world.a, world.b].map(startOrigin));
    await world.offer("web", 80, ["http", "--origin", "http://[::1]:8080"]);
    const body = Buffer.alloc(bodyBytes);
    for (let i = 0; i < bodyBytes; i++) body[i] = (i * 7 + (i >>> 8) * 13 + (i >>> 16)) & 0xff;
    expected = createHash("sha256").update(body).digest("hex");
  });
  afterAll(() => world?.close());

  /** A curl that takes about two seconds, and its output file. */
  function fetch(path: string, ...args: string[]): { readonly code: Promise<number | null>; readonly file: string } {
    const file = join(world.directory, `got${path.replaceAll("/", "-")}${Date.now()}`);
    const curl = world.run(["curl", "-s", "--limit-rate", "10M", "-o", file, ...args, `http://[${home}]${path}`], { stdio: "ignore" });
    return { code: exitCode(curl), file };
  }
  const hashOf = (file: string) => createHash("sha256").update(readFileSync(file)).digest("hex");
  const serving = async () => ((await world.a.call<unknown[]>({ do: "connections", home, client })).length > 0 ? world.a : world.b);
  const begun = async (file: string) => {
    for (let i = 0; !existsSync(file) || readFileSync(file).length < 1_000_000; i++) {
      if (i > 500) throw new Error("the download never began");
      await sleep(10);
    }
  };
  const logOf = (member: Member) => member.log.join("\n");

  it("continues an answer where the origin knows ranges, three times over", async () => {
    const { code, file } = fetch("/ranged");
    await begun(file);
    for (let i = 0; i < 3; i++) {
      await world.move(await serving());
      await sleep(200);
    }
    expect(await code).toBe(0);
    expect(hashOf(file)).toBe(expected);
  });

  it("continues the answer to a client's own range request", async () => {
    const { code, file } = fetch("/ranged", "-r", "1000000-18999999");
    await begun(file);
    const moved = await world.move(await serving());
    expect(moved.connections).toBe(1);
    expect(await code).toBe(0);
    const whole = Buffer.from({ length: 18_000_000 } as ArrayLike<number>);
    for (let i = 0; i < whole.length; i++) whole[i] = ((i + 1_000_000) * 7 + ((i + 1_000_000) >>> 8) * 13 + ((i + 1_000_000) >>> 16)) & 0xff;
    expect(readFileSync(file).equals(whole)).toBe(true);
  });

  it("skips what was delivered where the origin sends the same version whole", async () => {
    const { code, file } = fetch("/whole");
    await begun(file);
    await world.move(await serving());
    expect(await code).toBe(0);
    expect(hashOf(file)).toBe(expected);
  });

  it("cuts the connection off, with the reason in the log, where the origin has another version: never wrong bytes", async () => {
    const { code, file } = fetch("/differs");
    await begun(file);
    const { to } = await world.move(await serving());
    expect(await code).toBe(56);
    await sleep(50);
    expect(logOf(to)).toMatch(/reset: the origin here has ETag "\w+", the answer under way "\w+"/);
    const got = readFileSync(file);
    expect(got.every((byte, i) => byte === ((i * 7 + (i >>> 8) * 13 + (i >>> 16)) & 0xff))).toBe(true);
  });

  it("stays, and says why, where no other origin could continue the answer", async () => {
    const { code, file } = fetch("/weak");
    await begun(file);
    await expect(world.move(await serving())).rejects.toMatchObject({ code: "refused", message: expect.stringContaining("no strong ETag") });
    expect(await code).toBe(0);
    expect(hashOf(file)).toBe(expected);
  });

  it("stays while a request that is not idempotent is under way, and moves after it", async () => {
    const posting = await RemoteClient.connect(world, 80);
    await posting.do({ do: "text", text: "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n0123456789" });
    await sleep(100);
    await expect(world.move(await serving())).rejects.toMatchObject({ code: "refused", message: expect.stringContaining("not idempotent") });
    await posting.do({ do: "text", text: "0123456789" });
    await posting.until("the answer", ({ text }) => text.includes("POST 20"));
    await world.move(await serving());
    await posting.do({ do: "text", text: "POST /post HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" });
    expect(await posting.until("the second answer", ({ text }) => text.includes("POST 3"))).toMatchObject({ error: null });
    posting.close();
  });

  it("asks again elsewhere when nothing of the answer was sent, pipelined requests included", async () => {
    const piped = await RemoteClient.connect(world, 80);
    await piped.do({ do: "text", text: "GET /slow HTTP/1.1\r\nHost: x\r\n\r\nHEAD /ranged HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n" });
    await sleep(150);
    await world.move(await serving());
    const { text, error } = await piped.until("the end", ({ ended }) => ended);
    expect(error).toBeNull();
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 404"]);
    expect(text).toMatch(/slow answer.*nothing here$/s);
    piped.close();
  });

  it("moves in the middle of a request head", async () => {
    const typing = await RemoteClient.connect(world, 80);
    await typing.do({ do: "text", text: "GET /nothing HT" });
    await sleep(100);
    await world.move(await serving());
    await typing.do({ do: "text", text: "TP/1.1\r\nHost: x\r\n\r\n" });
    expect(await typing.until("the answer", ({ text }) => text.endsWith("nothing here"))).toMatchObject({ error: null });
    typing.close();
  });

  it("answers bad requests and an origin that is away, and goes on", async () => {
    const bad = await RemoteClient.connect(world, 80);
    await bad.do({ do: "text", text: "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\nHost: x\r\n\r\n" });
    expect((await bad.until("the end", ({ ended }) => ended)).text).toMatch(/^HTTP\/1\.1 400 /);
    bad.close();
    const [origin] = origins;
    origin?.kill("SIGKILL");
    world.route(world.a);
    const file = join(world.directory, "status");
    const curl = () => exitCode(world.run(["curl", "-s", "-f", "-o", file, `http://[${home}]/ranged`], { stdio: "ignore" }));
    expect(await curl()).toBe(22);
    await startOrigin(world.a);
    expect(await curl()).toBe(0);
    expect(hashOf(file)).toBe(expected);
  });
});
