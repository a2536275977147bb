import { rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { dirname } from "node:path";
import type { AgentEvent } from "../../src-shared/api/events.ts";
import { type ControlHandlers, ControlSession, type SessionLimits } from "./session.ts";

export interface ControlServerOptions {
  /** Unix socket, made with mode 0600 in a directory that only the agent's user may write to. */
  readonly path: string;
  readonly handlers: ControlHandlers;
  readonly limits?: Partial<SessionLimits>;
  /** Called before each answer to a call: events that have to be told before it. */
  readonly beforeReply?: () => void;
}

const defaultLimits: SessionLimits = { line: 1 << 20, queue: 32 << 20, calls: 256 };

/** The agent's end of the control channel (src-shared/api/control.ts). Any number of managers; each gets every event from its connection on. */
export class ControlServer {
  readonly #path: string;
  readonly #server: Server;
  readonly #sessions = new Set<ControlSession>();

  constructor({ path, handlers, limits, beforeReply = () => {} }: ControlServerOptions) {
    this.#path = path;
    this.#server = createServer((socket) => {
      const session = new ControlSession(socket, handlers, { ...defaultLimits, ...limits }, beforeReply);
      this.#sessions.add(session);
      socket.once("close", () => this.#sessions.delete(session));
    });
  }

  /** Rejects when the socket cannot be made, or when others may write to its directory; the message names the path. */
  async listen(): Promise<void> {
    const directory = dirname(this.#path);
    if ((statSync(directory).mode & 0o022) !== 0) throw new Error(`control socket ${this.#path}: others may write to ${directory}; it must have mode 0700`);
    rmSync(this.#path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error) => reject(new Error(`control socket ${this.#path}: ${error.message}`)));
      const mask = process.umask(0o177); // the socket is made within listen(), and is never open to others, not even for a moment
      this.#server.listen(this.#path, resolve);
      process.umask(mask);
    });
  }

  /** To every manager connected now. Costs a serialisation only when there is one. */
  emit(...events: readonly AgentEvent[]): void {
    if (this.#sessions.size === 0) return;
    const lines = events.map((event) => `${JSON.stringify({ event })}\n`).join("");
    for (const session of this.#sessions) session.send(lines);
  }

  /** Lets every manager go after its last replies, and removes the socket. */
  close(): void {
    for (const session of this.#sessions) session.close();
    this.#server.close();
    rmSync(this.#path, { force: true });
  }
}
