import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIPv4, isIPv6 } from "node:net";
import { contentType } from "./exposition.ts";

export interface MetricsAddress {
  readonly address: string;
  /** 0 to 65535; 0: any free one. */
  readonly port: number;
}

const loopback = "::1";
const maximumConnections = 8;
const maximumHeaders = 4096;
const requestMs = 5000;

/** Reads what `--metrics` may say: a port (on the loopback address), or ADDRESS:PORT, with brackets around an IPv6 address. Throws naming what is wrong. */
export function parseMetricsAddress(text: string): MetricsAddress {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]:|([^:]*):)?(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? (plain || loopback);
  if (port === undefined || Number(port) > 65535) throw new Error(`--metrics: a port, or [ADDRESS]:PORT, is expected, not "${text}" (e.g. 9135, [2001:db8::1]:9135)`);
  if (bracketed === undefined ? address !== loopback && !isIPv4(address) : !isIPv6(address)) throw new Error(`--metrics: "${address}" is no IP address of this host; names are not looked up`);
  return { address, port: Number(port) };
}

/**
 * Answers GET /metrics and nothing else, without any authentication: what it says is for whoever can reach the address. A few connections at a
 * time, short requests, short waits; each connection is for one request.
 */
export class MetricsEndpoint {
  readonly #server: Server;

  constructor(render: () => string) {
    this.#server = createServer({ maxHeaderSize: maximumHeaders, headersTimeout: requestMs, requestTimeout: requestMs, keepAlive: false, connectionsCheckingInterval: 1000 }, (request, response) => {
      answer(request, response, render);
    });
    this.#server.maxConnections = maximumConnections;
    this.#server.timeout = requestMs;
  }

  /** Resolves with where it listens; rejects naming the address when it cannot. */
  async listen({ address, port }: MetricsAddress): Promise<MetricsAddress> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error) => reject(new Error(`--metrics: cannot listen on [${address}]:${port}: ${error.message}`)));
      this.#server.listen({ host: address, port, ipv6Only: true }, resolve);
    });
    const bound = this.#server.address();
    return { address, port: typeof bound === "object" && bound ? bound.port : port };
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function answer(request: IncomingMessage, response: ServerResponse, render: () => string): void {
  response.setHeader("Connection", "close");
  response.setHeader("Cache-Control", "no-store");
  const say = (status: number, text: string): void => void response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(text);
  if (request.url?.split("?")[0] !== "/metrics") return say(404, "there is only /metrics here\n");
  if (request.method !== "GET") {
    response.setHeader("Allow", "GET");
    return say(405, "only GET is understood here\n");
  }
  try {
    const text = render();
    response.writeHead(200, { "Content-Type": contentType }).end(text);
  } catch (error) {
    say(500, `the figures could not be collected: ${(error as Error).message}\n`);
  }
}
