import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { z } from "zod";
import { agentCalls, controlRequest, type AgentCallName } from "../../src-shared/api/control.ts";
import type { AgentEvent } from "../../src-shared/api/events.ts";

type Handler = (args: never) => Promise<unknown>;

export interface ControlServerOptions {
  /** Unix socket, made with mode 0600 in a directory that only the agent's user may enter. */
  readonly path: string;
  readonly handlers: { readonly [N in AgentCallName]: Handler };
}

/** A request line may not be longer, bytes. */
const maxLineBytes = 1 << 20;
/** A manager that has this much unread is disconnected, bytes: events are for those who read them. */
const maxQueuedBytes = 32 << 20;

/** The agent's end of the control channel (src-shared/api/control.ts). Any number of managers; each gets every event from its connection on. */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Rejects when the socket cannot be made; the message names the path. */
  listen(): Promise<void> {
    const { path } = this.#options;
    rmSync(path, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(new Error(`control socket ${path}: ${error.message}`)));
      this.#server.listen(path, () => {
        chmodSync(path, 0o600);
        resolve();
      });
    });
  }

  emit(event: AgentEvent): void {
    if (this.#sockets.size === 0) return;
    const line = `${JSON.stringify({ event })}\n`;
    for (const socket of this.#sockets) this.#write(socket, line);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroySoon();
    this.#server.close();
    rmSync(this.#options.path, { force: true });
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    let pending = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      const lines = (pending + chunk).split("\n");
      pending = lines.pop() ?? "";
      if (pending.length > maxLineBytes) socket.destroy();
      for (const line of lines) if (line) void this.#request(socket, line);
    });
    socket.on("error", () => {}); // the close that follows carries the consequence
    socket.on("close", () => this.#sockets.delete(socket));
  }

  async #request(socket: Socket, line: string): Promise<void> {
    let id = 0;
    try {
      const request = controlRequest.parse(JSON.parse(line));
      id = request.id;
      if (!Object.hasOwn(agentCalls, request.call)) throw Object.assign(new Error(`this agent knows no call "${request.call}"`), { code: "unknown-call" });
      const name = request.call as AgentCallName;
      const args = agentCalls[name].args.parse(request.args);
      const value = await this.#options.handlers[name](args as never);
      this.#write(socket, `${JSON.stringify({ id, ok: true, value })}\n`);
    } catch (error) {
      this.#write(socket, `${JSON.stringify({ id, ok: false, error: describeError(error) })}\n`);
    }
  }

  #write(socket: Socket, line: string): void {
    if (socket.destroyed) return;
    if (socket.writableLength > maxQueuedBytes) {
      socket.destroy(new Error("reads too slowly"));
      return;
    }
    socket.write(line);
  }
}

function describeError(error: unknown): { code: string; message: string } {
  if (error instanceof z.ZodError) return { code: "bad-arguments", message: z.prettifyError(error) };
  if (error instanceof SyntaxError) return { code: "bad-request", message: `not JSON: ${error.message}` };
  const code = (error as { code?: unknown }).code;
  return { code: typeof code === "string" ? code : "failed", message: error instanceof Error ? error.message : String(error) };
}
