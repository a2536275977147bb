import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { AppBackend } from "../../../src-shared/api/app.ts";
import { Access } from "./access.ts";
import { readWindow, type StaticFile } from "../window/files.ts";
import { type Refusal, refuseRequest, refuseSocket } from "./guard.ts";
import { commonHeaders } from "../window/headers.ts";
import { enterPage, noCookiePage, refusalPage, usedLinkPage } from "./pages.ts";
import { serveWindow } from "./windows.ts";

export interface ServeOptions {
  readonly backend: AppBackend;
  /** The folder of the built window, out/renderer. */
  readonly window: string;
  /** 0 (the default) takes a free one. */
  readonly port?: number;
  /** Told of what should not have happened; never holds a secret. */
  readonly onDefect?: (what: string) => void;
}

export interface Served {
  readonly port: number;
  /** A fresh address that lets one browser in, once, within ten minutes. */
  newLink(): string;
  /** Breaks every window's connection, as sleep would; windows connect again by themselves. */
  disconnectAll(): void;
  /** Stops answering and closes every window's connection. The backend stays open: it belongs to the caller. */
  close(): Promise<void>;
}

/** Serves the window to browsers of this machine, on the loopback address alone. Rejects when the window is not built or the port is taken. */
export async function serve(options: ServeOptions): Promise<Served> {
  const files = readWindow(options.window);
  const http = createServer();
  const port = await listen(http, options.port ?? 0);
  const access = new Access(port);
  const host = `127.0.0.1:${port}`;
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 8 * 1024 * 1024, perMessageDeflate: false });
  http.on("request", (request, response) => respond(request, response, { files, access, host }));
  http.on("upgrade", (request, socket, head) => {
    const refusal = refuseSocket(asked(request), host) ?? (access.holds(request.headers) ? null : { status: 401, reason: "no session" }) ?? (request.url === "/api" ? null : { status: 404, reason: "no such socket" });
    if (refusal) return refuseUpgrade(socket, refusal);
    sockets.handleUpgrade(request, socket, head, (window) => serveWindow(window, options.backend, options.onDefect ?? (() => undefined)));
  });
  const disconnectAll = () => {
    for (const window of sockets.clients) window.terminate();
  };
  return {
    port,
    newLink: () => `http://${host}/enter?token=${access.newToken()}`,
    disconnectAll,
    close: async () => {
      disconnectAll();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

interface Serving {
  readonly files: ReadonlyMap<string, StaticFile>;
  readonly access: Access;
  readonly host: string;
}

/** A request that names several hosts names none (RFC 9112 §3.2). */
function asked(request: IncomingMessage) {
  const { method = "", headers, headersDistinct } = request;
  return { method, headers: headersDistinct["host"]?.length === 1 ? headers : { ...headers, host: undefined } };
}

function respond(request: IncomingMessage, response: ServerResponse, { files, access, host }: Serving): void {
  const refusal = refuseRequest(asked(request), host);
  if (refusal) return answer(request, response, refusal.status, refusalPage(refusal.reason));
  const url = URL.parse(request.url ?? "/", `http://${host}`);
  if (!url || url.host !== host) return answer(request, response, 400, refusalPage("not an address"));
  if (url.pathname === "/enter") return enter(request, response, url.searchParams.get("token") ?? "", access);
  if (!access.holds(request.headers)) return answer(request, response, 401, noCookiePage);
  const file = files.get(url.pathname === "/" ? "/index.html" : url.pathname);
  if (!file) return answer(request, response, 404, refusalPage("there is nothing here"));
  const headers = { ...commonHeaders, "content-type": file.type, etag: file.etag, ...(file.hashed && { "cache-control": "private, max-age=31536000, immutable" }) };
  if (request.headers["if-none-match"] === file.etag) return void response.writeHead(304, headers).end();
  response.writeHead(200, headers).end(request.method === "HEAD" ? undefined : file.body);
}

/** Exchanges a token for a cookie. A HEAD (a mail scanner, a link preview) does not use the token up. */
function enter(request: IncomingMessage, response: ServerResponse, token: string, access: Access): void {
  if (request.method !== "GET") return answer(request, response, 405, "");
  const session = access.exchange(token);
  if (session) return answer(request, response, 200, enterPage, { "set-cookie": access.setCookie(session) });
  if (access.holds(request.headers)) return answer(request, response, 200, enterPage);
  answer(request, response, 403, usedLinkPage);
}

function answer(request: IncomingMessage, response: ServerResponse, status: number, html: string, more: Record<string, string> = {}): void {
  response.writeHead(status, { ...commonHeaders, "content-type": "text/html; charset=utf-8", ...more }).end(request.method === "HEAD" ? undefined : html);
}

function refuseUpgrade(socket: Duplex, { status, reason }: Refusal): void {
  socket.on("error", () => undefined);
  socket.end(`HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(reason)}\r\n\r\n${reason}`);
}

function listen(http: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    http.once("error", reject);
    http.listen(port, "127.0.0.1", () => {
      http.off("error", reject);
      const address = http.address();
      if (address && typeof address === "object") resolve(address.port);
      else reject(new Error("the server has no port"));
    });
  });
}
