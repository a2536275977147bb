import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, expect, it } from "vitest";
import { parseAddress, type Address } from "../../src-shared/net/address.ts";
import { groupAuthority, type Identity, type Issue } from "../../test/support/groupAuthority.ts";
import { Door, unprovenEach } from "./door.ts";
import { freePort } from "../../test/support/freePort.ts";

const loopback = parseAddress("::1");
const open: { destroy?: () => void; close?: () => void }[] = [];
let issue: Issue;
let strangers: Issue;

beforeAll(async () => {
  issue = await groupAuthority();
  strangers = await groupAuthority();
});
afterEach(() => {
  for (const end of open.splice(0)) (end.destroy ?? end.close)?.call(end);
});

/** A member's door on a free port of loopback, and what it counts. */
async function door(members: readonly Address[], handshakeMs?: number) {
  const drops: Record<string, number> = {};
  const proven: TLSSocket[] = [];
  const made = new Door({
    ...(await issue("g", "b")),
    members: new Set(members),
    keepWindow: () => undefined,
    onProven: (socket) => {
      proven.push(socket);
      open.push(socket);
    },
    drop: (reason) => (drops[reason] = (drops[reason] ?? 0) + 1),
    ...(handshakeMs !== undefined && { handshakeMs }),
  });
  open.push(made);
  const port = await freePort("::1");
  await made.listen(loopback, port);
  return { port, drops, proven };
}

/** A connection that says nothing; `ended` once the door has closed it. */
async function silent(port: number): Promise<{ readonly socket: Socket; ended: boolean }> {
  const socket = connectTcp({ host: "::1", port });
  const one = { socket, ended: false };
  open.push(socket);
  socket.on("error", () => {});
  socket.on("close", () => (one.ended = true));
  socket.resume();
  await new Promise((resolve) => socket.once("connect", resolve));
  return one;
}

/** Resolves with whether the door let it in: the first byte of an answer, or the end. */
function member(port: number, { authority, certificate, privateKey }: Identity): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: "::1", port, ca: authority, cert: certificate, key: privateKey, minVersion: "TLSv1.3", checkServerIdentity: () => undefined });
    open.push(socket);
    socket.on("error", () => {});
    socket.once("close", () => resolve(false));
    socket.once("data", () => resolve(true));
  });
}

async function until(condition: () => boolean): Promise<void> {
  for (const limit = performance.now() + 3_000; !condition() && performance.now() < limit; ) await new Promise((resolve) => setTimeout(resolve, 5));
}

it("lets a member in among many connections that say nothing, and keeps few of those", async () => {
  const { port, drops, proven } = await door([loopback]);
  const flood = await Promise.all(Array.from({ length: 200 }, () => silent(port)));
  const inside = member(port, await issue("g", "a"));
  await until(() => proven.length > 0);
  proven[0]?.write("x");
  expect(await inside).toBe(true);
  await until(() => flood.filter(({ ended }) => !ended).length < unprovenEach);
  // The member's own connection took the place of one.
  expect(flood.filter(({ ended }) => !ended)).toHaveLength(unprovenEach - 1);
  expect(drops).toEqual({ "member port: too many connections without a certificate": 200 - (unprovenEach - 1) });
});

it("gives no handshake longer than its time, whoever trickles bytes included", async () => {
  const { port, drops } = await door([loopback], 300);
  const [mute, trickling] = [await silent(port), await silent(port)];
  trickling.socket.write(Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 0xfc)); // the head of a ClientHello of 508 bytes
  const trickle = setInterval(() => trickling.socket.write(Uint8Array.of(3)), 50);
  await until(() => mute.ended && trickling.ended);
  clearInterval(trickle);
  expect([mute.ended, trickling.ended]).toEqual([true, true]);
  expect(drops).toEqual({ "member port: no certificate in time": 2 });
});

it("gives nobody a handshake who comes from no member's address", async () => {
  const { port, drops, proven } = await door([parseAddress("2001:db8::1")]);
  expect(await member(port, await issue("g", "a"))).toBe(false);
  expect([proven.length, drops]).toEqual([0, { "member port: a connection from an address that no member has": 1 }]);
});

it("counts a handshake that fails once, and lets the next one in", async () => {
  const { port, drops, proven } = await door([loopback], 500);
  const { authority } = await issue("g", "b");
  expect(await member(port, { ...(await strangers("g", "a")), authority })).toBe(false);
  const garbled = await silent(port);
  garbled.socket.write("GET / HTTP/1.1\r\n\r\n");
  await until(() => garbled.ended);
  const inside = member(port, await issue("g", "a"));
  await until(() => proven.length > 0);
  // Longer than a handshake may take: whoever is in stays.
  await new Promise((resolve) => setTimeout(resolve, 700));
  proven[0]?.write("x");
  expect(await inside).toBe(true);
  expect(drops).toEqual({ "member port: TLS handshake failed": 2 });
});
