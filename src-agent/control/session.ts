import type { Socket } from "node:net";
import { z } from "zod";
import { agentCalls, type AgentCallName, controlRequest } from "../../src-shared/api/control.ts";
import { LineReader } from "../../src-shared/api/lines.ts";

/** What each call does. Arguments arrive checked. */
export type ControlHandlers = { readonly [N in AgentCallName]: (args: never) => Promise<unknown> };

/** Bounds of one manager's connection. */
export interface SessionLimits {
  /** Longest request line, characters. */
  readonly line: number;
  /** Events and replies not yet taken by the manager, bytes. */
  readonly queue: number;
  /** Calls being carried out at a time. */
  readonly calls: number;
}

/** Requests in, replies and events out, for one connected manager. A manager that misbehaves is told why (a reply with id 0) and let go. */
export class ControlSession {
  readonly #socket: Socket;
  readonly #handlers: ControlHandlers;
  readonly #limits: SessionLimits;
  readonly #reader: LineReader;
  readonly #beforeReply: () => void;
  #queue: string[] = [];
  #queued = 0;
  #calls = 0;
  #ending = false;

  constructor(socket: Socket, handlers: ControlHandlers, limits: SessionLimits, beforeReply: () => void = () => {}) {
    this.#beforeReply = beforeReply;
    this.#socket = socket;
    this.#handlers = handlers;
    this.#limits = limits;
    this.#reader = new LineReader(limits.line);
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("drain", () => this.#flush());
    socket.on("error", () => socket.destroy());
  }

  /** Queues a line for the manager; one that does not read is let go instead. */
  send(line: string): void {
    if (this.#ending || this.#socket.destroyed) return;
    this.#queue.push(line);
    this.#queued += line.length;
    if (this.#queued > this.#limits.queue) this.#refuse("too-slow", `${this.#queued} bytes were waiting to be read`);
    else this.#flush();
  }

  /** Ends it after what is queued has been sent. */
  close(): void {
    if (this.#ending) return;
    this.#ending = true;
    for (const line of this.#queue) this.#socket.write(line);
    this.#queue = [];
    this.#end();
  }

  #flush(): void {
    while (this.#queue.length > 0 && !this.#socket.writableNeedDrain) {
      const batch = this.#queue.splice(0, 64).join("");
      this.#queued -= batch.length;
      this.#socket.write(batch);
    }
  }

  #receive(chunk: Buffer): void {
    if (this.#ending) return;
    let lines: string[];
    try {
      lines = this.#reader.push(chunk);
    } catch (error) {
      return this.#refuse("bad-request", (error as Error).message);
    }
    for (const line of lines) {
      if (this.#calls >= this.#limits.calls) return this.#refuse("too-many-calls", `more than ${this.#limits.calls} calls at a time`);
      void this.#call(line);
    }
  }

  async #call(line: string): Promise<void> {
    this.#calls++;
    let id = 0;
    try {
      const request = controlRequest.parse(JSON.parse(line));
      id = request.id;
      if (!Object.hasOwn(agentCalls, request.call)) throw Object.assign(new Error(`this agent knows no call "${request.call.slice(0, 64)}"`), { code: "unknown-call" });
      const name = request.call as AgentCallName;
      const { args, value } = agentCalls[name];
      const result = await this.#handlers[name](args.parse(request.args) as never);
      const answer = checked(name, value, result);
      this.#beforeReply();
      this.send(`${JSON.stringify({ id, ok: true, value: answer })}\n`);
    } catch (error) {
      this.#beforeReply();
      this.send(`${JSON.stringify({ id, ok: false, error: describeError(error) })}\n`);
    } finally {
      this.#calls--;
    }
  }

  #refuse(code: string, message: string): void {
    this.#ending = true;
    this.#queue = [];
    this.#queued = 0;
    this.#socket.write(`${JSON.stringify({ id: 0, ok: false, error: { code, message } })}\n`);
    this.#end();
  }

  #end(): void {
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), 2000).unref();
  }
}

/** Our own end keeps the contract too: a value that breaks it is our defect, and is told as such instead of as bad arguments. */
function checked(name: string, schema: z.ZodType, value: unknown): unknown {
  const result = schema.safeParse(value);
  if (!result.success) throw Object.assign(new Error(`${name} answered with something else than agreed: ${z.prettifyError(result.error)}`), { code: "bad-value" });
  return result.data;
}

function describeError(error: unknown): { code: string; message: string } {
  if (error instanceof z.ZodError) return { code: "bad-arguments", message: z.prettifyError(error) };
  if (error instanceof SyntaxError) return { code: "bad-request", message: `not JSON: ${error.message}` };
  const code = (error as { code?: unknown }).code;
  return { code: typeof code === "string" ? code : "failed", message: error instanceof Error ? error.message : String(error) };
}
