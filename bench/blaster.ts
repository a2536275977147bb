/**
 * One TCP stream as fast as it goes, by system calls alone, so that what is measured is the kernel and not a runtime.
 * usage: blaster.ts sink ADDRESS PORT | source ADDRESS PORT: serves one stream after the other, receiving or sending
 *        blaster.ts send|receive ADDRESS PORT SECONDS [CONGESTION]: one stream; prints {bytes, seconds, allBytes, cpuSeconds}, the last two with the start
 * Servers take the congestion control from the client's first line.
 */
import { readFileSync } from "node:fs";
import { check, libc } from "../src-agent/linux/libc.ts";
import { AF_INET6, sockaddrIn6 } from "../src-agent/linux/sockaddr.ts";
import { IPPROTO_TCP, setInt, SOL_SOCKET } from "../src-agent/linux/sockopt.ts";
import { parseAddress } from "../src-shared/net/address.ts";

const SOCK_STREAM = 1;
const SO_REUSEADDR = 2;
const TCP_CONGESTION = 13;
const SHUT_NOTHING = 0x4000; // MSG_NOSIGNAL
const block = Buffer.alloc(1 << 20, 0x5a);
const lineLength = 32;

function setCongestion(fd: number, name: string): void {
  const value = Buffer.from(name);
  check(libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, value, value.length), `congestion control ${name}`);
}

/** Sends until the other end closes or `until` (ms on performance.now) has passed. */
function send(fd: number, until: number): number {
  let bytes = 0;
  while (performance.now() < until) {
    const sent = libc.send(fd, block, block.length, SHUT_NOTHING);
    if (sent < 0) break;
    bytes += sent;
  }
  return bytes;
}

function receive(fd: number, until: number): number {
  let bytes = 0;
  while (performance.now() < until) {
    const got = libc.recv(fd, block, block.length, 0);
    if (got <= 0) break;
    bytes += got;
  }
  return bytes;
}

/** Seconds that this thread has been on a CPU. */
function cpuSeconds(): number {
  return Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[0]) / 1e9;
}

function serve(mode: string, address: Buffer): void {
  const listener = check(libc.socket(AF_INET6, SOCK_STREAM, 0), "socket");
  setInt(listener, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  check(libc.bind(listener, address, address.length), "bind");
  check(libc.listen(listener, 8), "listen");
  process.stdout.write("listening\n");
  for (;;) {
    const fd = check(libc.accept4(listener, null, null, 0), "accept");
    const line = Buffer.alloc(lineLength);
    let got = 0;
    while (got < lineLength) {
      const n = libc.recv(fd, line.subarray(got), lineLength - got, 0);
      if (n <= 0) break;
      got += n;
    }
    setCongestion(fd, line.toString("latin1").trim());
    if (mode === "sink") receive(fd, Infinity);
    else send(fd, Infinity);
    libc.close(fd);
  }
}

function stream(mode: string, address: Buffer, seconds: number, congestion: string): void {
  const fd = check(libc.socket(AF_INET6, SOCK_STREAM, 0), "socket");
  setCongestion(fd, congestion);
  check(libc.connect(fd, address, address.length), "connect");
  check(libc.send(fd, Buffer.from(congestion.padEnd(lineLength)), lineLength, 0), "send");
  const move = mode === "send" ? send : receive;
  const cpuBefore = cpuSeconds();
  // The start is not the steady state.
  const first = move(fd, performance.now() + 250);
  const start = performance.now();
  const bytes = move(fd, start + 1000 * seconds);
  const took = (performance.now() - start) / 1000;
  const cpu = cpuSeconds() - cpuBefore;
  libc.close(fd);
  process.stdout.write(`${JSON.stringify({ bytes, seconds: took, allBytes: first + bytes, cpuSeconds: cpu })}\n`);
}

const [mode, host, port, seconds, congestion] = process.argv.slice(2) as [string, string, string, string, string];
const address = sockaddrIn6({ address: parseAddress(host), port: Number(port) });
if (mode === "sink" || mode === "source") serve(mode, address);
else stream(mode, address, Number(seconds), congestion ?? "cubic");
