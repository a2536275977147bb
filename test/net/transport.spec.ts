import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { transportOf } from "../../src-agent/tcp/transport.ts";

const needsRoot = process.platform !== "linux" || process.getuid?.() !== 0;
const libc = new URL("../../src-agent/linux/libc.ts", import.meta.url).href;
/** Reads a socket that has nothing to say, as a service does, until it is told to end; then tells which errors it had met beside EAGAIN. */
const reader = `
const { workerData, parentPort } = require("node:worker_threads");
import(workerData.libc).then(({ libc, lastErrno, errnoName }) => {
  const buffer = Buffer.alloc(16);
  const met = new Set();
  parentPort.postMessage("reading");
  const end = new Int32Array(workerData.end);
  let reads = 0;
  while (Atomics.load(end, 0) === 0) {
    reads++;
    if (libc.recv(workerData.fd, buffer, 16, 0x40) < 0 && errnoName(lastErrno()) !== "EAGAIN") met.add(errnoName(lastErrno()));
  }
  parentPort.postMessage({ reads, met: [...met] });
});`;

it.skipIf(needsRoot)("asking a client for an acknowledgement brings one, and a service that reads meanwhile does not notice (needs root on Linux)", async () => {
  const server = createServer({ pauseOnConnect: true });
  server.listen(0, "::1");
  await once(server, "listening");
  const client = connect((server.address() as { port: number }).port, "::1");
  const [served] = (await once(server, "connection")) as [Socket];
  try {
    const { fd } = (served as unknown as { _handle: { fd: number } })._handle;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(transportOf([fd], false).ackAgeMs).toBeGreaterThanOrEqual(200);
    transportOf([fd], true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(transportOf([fd], false).ackAgeMs).toBeLessThan(200);

    const end = new SharedArrayBuffer(4);
    const worker = new Worker(reader, { eval: true, workerData: { fd, libc, end } });
    await once(worker, "message");
    for (let i = 0; i < 20_000; i++) transportOf([fd], true);
    Atomics.store(new Int32Array(end), 0, 1);
    const [{ reads, met }] = (await once(worker, "message")) as [{ reads: number; met: string[] }];
    expect(reads).toBeGreaterThan(1000);
    expect(met).toEqual([]);
  } finally {
    client.destroy();
    served.destroy();
    server.close();
  }
});
