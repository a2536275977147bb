import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { AppBackend, AppHandlers } from "../../../src-shared/api/app.ts";
import { decodeFrame, encodeFrame } from "../../../src-shared/api/wire.ts";
import { Access } from "./access.ts";
import { type Served, serve } from "./serve.ts";

let folder: string;
/** Knows one call, and answers it with an event besides. */
const handlers: Partial<AppHandlers> = {
  "lab.list": (_, window) => {
    window.emit("events.lost", { count: 1 });
    return [];
  },
};
const backend: AppBackend = {
  handlers: handlers as AppHandlers,
  connect: () => undefined,
  close: async () => undefined,
};
let served: Served;
let host: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "serve-spec-"));
  const window = join(folder, "window");
  mkdirSync(join(window, "assets"), { recursive: true });
  writeFileSync(join(window, "index.html"), "<!doctype html>content of index");
  writeFileSync(join(window, "assets/a-123.js"), "1");
  writeFileSync(join(folder, "outside.html"), "outside");
  symlinkSync(join(folder, "outside.html"), join(window, "link.html"));
  served = await serve({ backend, window });
  host = `127.0.0.1:${served.port}`;
});
afterAll(async () => {
  await served.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

function get(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port: served.port, path, method, headers: { host, ...headers } }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part: string) => (body += part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    asked.on("error", reject).end();
  });
}

/** Bytes as they are, and what comes back for them. */
function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(served.port, "127.0.0.1", () => socket.write(text));
    socket.setEncoding("latin1").on("data", (part: string) => (answer += part));
    socket.once("error", reject).once("close", () => resolve(answer));
  });
}

function reachable(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(served.port, address);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false)).once("close", () => undefined);
    setTimeout(() => socket.destroy(), 500);
  });
}

const linkPath = () => served.newLink().replace(`http://${host}`, "");

async function cookie(): Promise<string> {
  const { headers } = await get(linkPath());
  return String(headers["set-cookie"]).split(";")[0] as string;
}

describe("the door", () => {
  it("lets a token in once, as an HttpOnly SameSite=Strict cookie that is not the token", async () => {
    const path = linkPath();
    const first = await get(path);
    expect(first.status).toBe(200);
    expect(String(first.headers["set-cookie"])).toMatch(/^anycast-lab-\d+=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(String(first.headers["set-cookie"])).not.toContain(path.split("token=")[1]);
    expect(first.body).not.toContain(path.split("token=")[1]);
    expect((await get(path)).status).toBe(403);
  });

  it("does not use a token up on HEAD, and sends whoever is in already on", async () => {
    const path = linkPath();
    expect((await get(path, {}, "HEAD")).status).toBe(405);
    const session = String((await get(path)).headers["set-cookie"]).split(";")[0] as string;
    expect((await get(path, { cookie: session })).status).toBe(200);
  });

  it("forgets a token after ten minutes", () => {
    let now = 0;
    const access = new Access(1, () => now);
    const token = access.newToken();
    now = 10 * 60_000 + 1;
    expect(access.exchange(token)).toBeNull();
  });

  it.each(["/", "/index.html", "/assets/a-123.js", "/nothing", "/api", "/enter", "/enter?token=", "/enter?token=x"])("shows nothing of %s without a cookie", async (path) => {
    const answer = await get(path);
    expect([401, 403]).toContain(answer.status);
    expect(answer.body).not.toContain("content of index");
    expect(answer.headers["set-cookie"]).toBeUndefined();
  });

  it.each(["anycast-lab-1=x", "anycast-lab=x", "x", "=", ";;;"])("does not take the cookie %j", async (value) => {
    expect((await get("/", { cookie: value })).status).toBe(401);
  });

  it.each(["localhost", "evil.example", "127.0.0.1", "127.0.0.1:1", "[::1]"])("does not answer as host %s, cookie or not", async (other) => {
    const session = await cookie();
    expect((await get("/", { host: other, cookie: session })).status).toBe(421);
    expect((await get(linkPath(), { host: other })).status).toBe(421);
  });

  it("does not answer a name that was rebound to this machine, though Host and Origin agree", async () => {
    const session = await cookie();
    const rebound = { host: `evil.example:${served.port}`, origin: `http://evil.example:${served.port}`, cookie: session };
    const answer = await get("/", rebound);
    expect([answer.status, answer.body.includes("content of index")]).toEqual([421, false]);
    const entered = await get(linkPath(), rebound);
    expect([entered.status, entered.headers["set-cookie"]]).toEqual([421, undefined]);
  });

  it("does not take the pass of another server, nor one changed in a character", async () => {
    const other = await serve({ backend, window: join(folder, "window") });
    const session = await cookie();
    const [, secret = ""] = session.split("=");
    expect((await get("/", { cookie: `anycast-lab-${other.port}=${secret}` })).status).toBe(401);
    expect((await get("/", { cookie: session.replace(/.$/, (last) => (last === "A" ? "B" : "A")) })).status).toBe(401);
    expect((await get("/", { cookie: `a=b; ${session}; c=d` })).status).toBe(200);
    await other.close();
  });

  it.each([
    ["an address of another server in the request", () => `GET http://evil.example/ HTTP/1.1\r\nHost: ${host}\r\n`, /^HTTP\/1\.1 400/],
    ["two hosts", () => `GET / HTTP/1.1\r\nHost: ${host}\r\nHost: evil.example\r\n`, /^HTTP\/1\.1 (400|421)/],
    ["no host", () => "GET / HTTP/1.1\r\n", /^HTTP\/1\.1 (400|421)/],
    ["HTTP/1.0 without a host", () => "GET / HTTP/1.0\r\n", /^HTTP\/1\.1 (400|421)/],
  ])("does not answer %s", async (_, head, status) => {
    const answer = await raw(`${head()}Cookie: ${await cookie()}\r\nConnection: close\r\n\r\n`);
    expect(answer).toMatch(status);
    expect(answer).not.toContain("content of index");
  });

  it("puts the policy on every answer, and shares none with other origins", async () => {
    const session = await cookie();
    const answers = await Promise.all([get("/"), get("/enter?token=x"), get("/nothing", { cookie: session }), get("/", { host: "evil.example" }), get("/", { cookie: session }, "POST"), get("/", { cookie: session }, "OPTIONS"), get(linkPath())]);
    expect(answers.map(({ status }) => status)).toEqual([401, 403, 404, 421, 405, 405, 200]);
    for (const { headers, status } of answers) {
      expect(String(headers["content-security-policy"]), String(status)).toContain("default-src 'none'");
      expect([headers["referrer-policy"], headers["cache-control"], headers["access-control-allow-origin"]]).toEqual(["no-referrer", "no-store", undefined]);
    }
  });

  it("is on the loopback address alone", async () => {
    const others = Object.values(networkInterfaces()).flatMap((each) => each ?? []).filter((each) => !each.internal && each.family === "IPv4").map((each) => each.address);
    for (const address of [...others, "::1"]) expect(await reachable(address), address).toBe(false);
    expect(await reachable("127.0.0.1")).toBe(true);
  });

  it("does not answer other pages of the browser that is in", async () => {
    const session = await cookie();
    expect((await get("/", { cookie: session, origin: "http://evil.example" })).status).toBe(403);
    expect((await get("/", { cookie: session, origin: "null" })).status).toBe(403);
    expect((await get("/", { cookie: session, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script" })).status).toBe(403);
    expect((await get("/", { cookie: session, "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" })).status).toBe(403);
    expect((await get("/", { cookie: session }, "POST")).status).toBe(405);
  });
});

describe("the window's files", () => {
  it("come with a policy that allows no foreign or inline script", async () => {
    const { status, headers, body } = await get("/", { cookie: await cookie() });
    expect([status, body]).toEqual([200, "<!doctype html>content of index"]);
    const policy = String(headers["content-security-policy"]);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toMatch(/script-src 'self'(;|$)/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(headers["x-content-type-options"]).toBe("nosniff");
  });

  it.each(["/../outside.html", "/%2e%2e/outside.html", "/..%2foutside.html", "/assets/../../outside.html", "//outside.html", "/link.html", "/assets", "/%", "/index.html%00"])("end at their folder: %s", async (path) => {
    const { body } = await get(path, { cookie: await cookie() });
    expect(body).not.toBe("outside");
    expect(body).not.toContain("content of index");
  });

  it("are not sent again while unchanged", async () => {
    const session = await cookie();
    const { headers } = await get("/", { cookie: session });
    expect((await get("/", { cookie: session, "if-none-match": String(headers.etag) })).status).toBe(304);
  });
});

describe("the socket", () => {
  const open = (headers: Record<string, string>) =>
    new Promise<WebSocket | number>((resolve) => {
      const socket = new WebSocket(`ws://${host}/api`, { headers });
      socket.once("open", () => resolve(socket));
      socket.once("unexpected-response", (_, response) => resolve(response.statusCode ?? 0));
      socket.once("error", () => undefined);
    });

  it.each([
    ["no cookie", () => ({ origin: `http://${host}` }), 401],
    ["no origin", async () => ({ cookie: await cookie() }), 403],
    ["another origin", async () => ({ cookie: await cookie(), origin: "http://evil.example" }), 403],
    ["the origin of another port", async () => ({ cookie: await cookie(), origin: "http://127.0.0.1:1" }), 403],
    ["another host", async () => ({ cookie: await cookie(), origin: `http://${host}`, host: "evil.example" }), 421],
    ["a name that was rebound to this machine", async () => ({ cookie: await cookie(), origin: `http://evil.example:${served.port}`, host: `evil.example:${served.port}` }), 421],
    ["the link's token in place of a cookie", () => ({ origin: `http://${host}`, cookie: `anycast-lab-${served.port}=${served.newLink().split("token=")[1]}` }), 401],
  ])("does not open with %s", async (_, headers, status) => {
    expect(await open(await headers())).toBe(status);
  });

  it("is at one address", async () => {
    const answer = await raw(`GET /other HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\nCookie: ${await cookie()}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 404/);
  });

  it("answers calls, sends events, and closes on what is not a request", async () => {
    const socket = (await open({ cookie: await cookie(), origin: `http://${host}` })) as WebSocket;
    const frames: { id?: number; event?: string; ok?: boolean; error?: { code: string } }[] = [];
    socket.on("message", (data: Buffer) => frames.push(decodeFrame(data) as never));
    socket.send(encodeFrame({ id: 1, call: "lab.list", args: {} }));
    socket.send(encodeFrame({ id: 2, call: "process.exit", args: {} }));
    await expect.poll(() => frames.some((frame) => frame.id === 1) && frames.some((frame) => frame.event === "events.lost")).toBe(true);
    expect(frames.find((frame) => frame.id === 2)).toMatchObject({ ok: false, error: { code: "unknown-call" } });
    const closed = new Promise<number>((resolve) => socket.once("close", resolve));
    socket.send(encodeFrame({ hello: "there" }));
    expect(await closed).toBe(1008);
  });

  it.each([["text", "text", 1003], ["damage", Buffer.from([0, 0, 0, 9, 1]), 1007]])("closes on %s", async (_, data, code) => {
    const socket = (await open({ cookie: await cookie(), origin: `http://${host}` })) as WebSocket;
    const closed = new Promise<number>((resolve) => socket.once("close", resolve));
    socket.send(data);
    expect(await closed).toBe(code);
  });
});

it("refuses to start on a window that is not built", async () => {
  await expect(serve({ backend, window: join(folder, "nowhere") })).rejects.toThrow("ENOENT");
  mkdirSync(join(folder, "bare"));
  await expect(serve({ backend, window: join(folder, "bare") })).rejects.toThrow("npm run build");
});
