import { connect, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type MetricsAddress, MetricsEndpoint, parseMetricsAddress } from "./endpoint.ts";

let endpoint: MetricsEndpoint;
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  endpoint?.close();
});

async function start(render = (): string => "a 1\n"): Promise<MetricsAddress> {
  endpoint = new MetricsEndpoint(render);
  return endpoint.listen({ address: "::1", port: 0 });
}

/** Sends raw bytes; resolves with all that came back when the other end has closed. */
function raw({ address, port }: MetricsAddress, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    sockets.push(socket);
    let said = "";
    socket.on("data", (chunk) => (said += chunk.toString()));
    socket.on("error", () => {});
    socket.on("close", () => resolve(said));
    socket.write(text);
  });
}

const get = (path: string, method = "GET"): string => `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;

describe("the metrics endpoint", () => {
  it("answers GET /metrics, and nothing else", async () => {
    const at = await start();
    const answer = await raw(at, get("/metrics"));
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer).toContain("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    expect(answer.endsWith("a 1\n") || answer.includes("\r\na 1\n")).toBe(true);
    expect(await raw(at, get("/"))).toMatch(/^HTTP\/1\.1 404 /);
    expect(await raw(at, get("/metrics/../etc/passwd"))).toMatch(/^HTTP\/1\.1 404 /);
    expect(await raw(at, get("/metrics", "POST"))).toMatch(/^HTTP\/1\.1 405 [^]*Allow: GET\r\n/);
    expect(await raw(at, "nonsense\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
  });

  it("refuses long requests, and more connections at once than a few", async () => {
    const at = await start();
    expect(await raw(at, `GET /metrics HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(10_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    // Connections that say nothing take the places there are; the next one is closed without an answer.
    for (let i = 0; i < 8; i++) void raw(at, "GET /metrics");
    await expect.poll(() => raw(at, get("/metrics"))).toBe("");
  });

  it("survives figures that cannot be collected", async () => {
    const at = await start(() => {
      throw new Error("no figures");
    });
    expect(await raw(at, get("/metrics"))).toMatch(/^HTTP\/1\.1 500 [^]*no figures/);
  });

  it("listens on the loopback address unless told otherwise, and understands addresses only", () => {
    expect(parseMetricsAddress("9135")).toEqual({ address: "::1", port: 9135 });
    expect(parseMetricsAddress(":9135")).toEqual({ address: "::1", port: 9135 });
    expect(parseMetricsAddress("127.0.0.1:0")).toEqual({ address: "127.0.0.1", port: 0 });
    expect(parseMetricsAddress("[2001:db8::1]:9135")).toEqual({ address: "2001:db8::1", port: 9135 });
    for (const wrong of ["", "x", "65536", "localhost:1", "2001:db8::1", "[127.0.0.1]:1", "[::1]", "1.2.3:4"]) expect(() => parseMetricsAddress(wrong)).toThrow(/--metrics/);
  });

  it("says when it cannot listen", async () => {
    const at = await start();
    const second = new MetricsEndpoint(() => "");
    await expect(second.listen(at)).rejects.toThrow(`cannot listen on [::1]:${at.port}: `);
  });
});
