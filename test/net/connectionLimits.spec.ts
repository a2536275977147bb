import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, it } from "vitest";
import { PacketChannel } from "../../src-agent/linux/packetChannel.ts";
import { connectUnix } from "../../src-agent/linux/unixSocket.ts";
import { connectionLimits, type ConnectionLimits } from "../../src-agent/services/connectionLimits.ts";
import { ServiceHost } from "../../src-agent/services/serviceHost.ts";
import { parseAddress } from "../../src-shared/net/address.ts";
import { freePort } from "../support/freePort.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const home = parseAddress("::1");
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

/** A service at loopback whose process takes every connection and says nothing, and what the agent counts. */
async function service(limits: ConnectionLimits) {
  const directory = mkdtempSync(join(tmpdir(), "limits-"));
  undo.push(() => rmSync(directory, { recursive: true }));
  const socketPath = join(directory, "services.sock");
  const drops: Record<string, number> = {};
  const host = new ServiceHost({ socketPath, clock: { mono: () => performance.now(), wall: Date.now }, log: () => {}, limits, drop: (reason) => (drops[reason] = (drops[reason] ?? 0) + 1) });
  undo.push(() => host.close());
  const port = await freePort("::1");
  await host.offer(home, { name: "quiet", port, command: null });
  const channel = new PacketChannel(connectUnix(socketPath), { maximumBlob: 1000 });
  undo.push(() => channel.close());
  const given: number[] = [];
  const registered = new Promise((answered) => channel.onMessage(({ json, descriptors }) => {
    answered(json);
    given.push((json as { connection: number }).connection);
    descriptors.forEach((fd) => closeSync(fd));
  }));
  channel.send({ type: "register", protocol: 1, service: "quiet", port, version: "0" });
  expect(await registered).toMatchObject({ type: "registered" });
  /** The service's process is done with a connection. */
  const end = (connection: number) => channel.send({ type: "closed", connection, how: "reset", reason: "done" });
  return { port, drops, host, given, end };
}

/** A client's connection, and how it ended: null as long as it stands. */
async function client(port: number): Promise<{ readonly socket: Socket; end: string | null }> {
  const one = { socket: connect({ host: "::1", port }), end: null as string | null };
  undo.push(() => one.socket.destroy());
  one.socket.on("error", (error: NodeJS.ErrnoException) => (one.end = error.code ?? "error"));
  one.socket.on("close", () => (one.end ??= "closed"));
  await new Promise((resolve) => one.socket.once("connect", resolve).once("close", resolve));
  return one;
}

async function until(condition: () => boolean): Promise<void> {
  for (const limit = performance.now() + 3_000; !condition() && performance.now() < limit; ) await new Promise((resolve) => setTimeout(resolve, 5));
}

it.skipIf(!isRoot).each([
  ["one client's", { each: 3, together: 100 }, "too many connections of one client to the services here"],
  ["everybody's", { each: 100, together: 3 }, "too many connections to the services here"],
])("resets %s connections beyond the limit, counts them, and takes others when some have ended", async (_, limits, reason) => {
  const { port, drops, host, given, end } = await service(limits);
  const first = [await client(port), await client(port), await client(port)];
  await until(() => host.connectionsOf(home, home).length === 3);
  const more = [await client(port), await client(port)];
  await until(() => more.every(({ end }) => end !== null));
  expect(more.map(({ end }) => end)).toEqual(["ECONNRESET", "ECONNRESET"]);
  expect([first.map(({ end }) => end), drops]).toEqual([[null, null, null], { [reason]: 2 }]);
  end(given.at(-1) as number);
  await until(() => first.some((one) => one.end !== null));
  const next = await client(port);
  await until(() => host.connectionsOf(home, home).length === 3);
  expect([next.end, drops]).toEqual([null, { [reason]: 2 }]);
});

it("leaves a quarter of this process's descriptors to everything else", () => {
  const { each, together } = connectionLimits();
  expect(each).toBe(4096);
  expect(together).toBeGreaterThan(500);
  expect(together).toBeLessThanOrEqual(65_536);
});

it.skipIf(!isRoot)("is idle while there is no descriptor left for what waits to be accepted, and accepts when there is one", async () => {
  const port = await freePort("::1");
  const script = resolve(import.meta.dirname, "../support/scarceListener.ts");
  const child = spawn("prlimit", ["--nofile=40:40", process.execPath, script, String(port)], { stdio: ["pipe", "pipe", "inherit"] });
  undo.push(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const heard = async () => JSON.parse((await lines.next()).value as string) as never;
  expect(await heard()).toBe("listening");
  for (let i = 0; i < 60; i++) await client(port);
  const { accepted, busy } = (await heard()) as { accepted: number; busy: number };
  expect(accepted).toBeGreaterThan(3);
  expect(accepted).toBeLessThan(40);
  expect(busy).toBeLessThan(0.5);
  child.stdin.write("close one\n");
  expect(await heard()).toEqual({ inAll: accepted + 1 });
});
