import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";

const adapter = join(import.meta.dirname, "main.ts");
/** Leaves a bound UDP socket open for a program, as the agent does. */
const parent = `
import os, socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::1", 0))
print(s.getsockname()[1], flush=True)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.execv(sys.argv[1], sys.argv[1:])
`;
let server: ChildProcess | undefined;
const sockets: Socket[] = [];
afterEach(() => {
  server?.kill("SIGKILL");
  for (const socket of sockets.splice(0)) socket.close();
});

async function start(): Promise<number> {
  const child = spawn("/usr/bin/python3", ["-c", parent, process.execPath, adapter, "udp-echo", "--fd", "3"], { stdio: ["ignore", "pipe", "inherit"] });
  server = child;
  return new Promise((resolve) => child.stdout.once("data", (text: Buffer) => resolve(Number(text.toString()))));
}

/** A client at a port of its own; what it hears grows. */
async function client(port: number): Promise<{ socket: Socket; heard: string[] }> {
  const socket = createSocket("udp6");
  sockets.push(socket);
  const heard: string[] = [];
  socket.on("message", (data) => heard.push(data.toString()));
  await new Promise<void>((resolve) => socket.bind(port, "::1", resolve));
  return { socket, heard };
}

describe.skipIf(process.platform !== "linux")("the UDP echo service", () => {
  it("answers each datagram as it came, even an empty one, and what waited before it ran", async () => {
    const port = await start();
    const { socket, heard } = await client(0);
    for (const text of ["one", "", "x".repeat(60_000)]) socket.send(text, port, "::1");
    await expect.poll(() => heard, { timeout: 10_000 }).toEqual(["one", "", "x".repeat(60_000)]);
  });

  it.skipIf(process.getuid?.() !== 0)("never answers a port where a service may be, so that two echoes cannot talk for ever", async () => {
    const port = await start();
    const service = await client(1000);
    const ordinary = await client(0);
    service.socket.send("for ever", port, "::1");
    ordinary.socket.send("hello", port, "::1");
    await expect.poll(() => ordinary.heard, { timeout: 10_000 }).toEqual(["hello"]);
    expect(service.heard).toEqual([]);
  });
});
