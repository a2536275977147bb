import type { Duplex } from "node:stream";
import { agentCalls, type AgentArgs, type AgentCallName, type AgentValue, controlEvent, controlReply } from "../../src-shared/api/control.ts";
import type { AgentEvent } from "../../src-shared/api/events.ts";
import { LineReader } from "../../src-shared/api/lines.ts";
import { Problem } from "../problem.ts";

/** Replies and events may be long (inspect), but not without end: characters. */
const maxLine = 64 << 20;

/** An agent refused or failed a call. `agentCode` is the agent's own code. */
export class AgentCallError extends Problem {
  override readonly name = "AgentCallError";
  readonly agentCode: string;
  constructor(host: string, call: string, error: { readonly code: string; readonly message: string }) {
    super({ code: `agent.${error.code}`, host, what: `${call}: ${error.message}`, remedy: "The agent's log says more (lab logs HOST).", details: { call } });
    this.agentCode = error.code;
  }
}

interface Waiting {
  readonly call: AgentCallName;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Problem) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

/** How long a call may take, ms: longer than a handoff that waits behind another one. */
export const callLimitMs = 90_000;

/** The manager's end of one agent's control channel. Calls and values are checked on both ends; calls may overlap. */
export class AgentClient {
  readonly host: string;
  /** Resolves once, with the reason when the channel ended unasked. */
  readonly closed: Promise<Problem | undefined>;
  readonly #stream: Duplex;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: AgentEvent) => void>();
  #nextId = 1;
  #end: ((why: Problem | undefined) => void) | undefined;

  constructor(host: string, stream: Duplex) {
    this.host = host;
    this.#stream = stream;
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
    const reader = new LineReader(maxLine);
    stream.on("data", (chunk: Buffer) => {
      try {
        for (const line of reader.push(chunk)) this.#receive(line);
      } catch (error) {
        this.#finish(this.#problem("agent.protocol", `said something that is not the control protocol: ${(error as Error).message}`, "Deploy this manager's version of the agent."));
      }
    });
    const lost = () => this.#finish(this.#problem("agent.lost", "the control channel to the agent ended", "Look at the agent's log (lab logs HOST), or start it again."));
    stream.on("end", lost).on("close", lost).on("error", lost);
  }

  /** Makes a call; rejects with AgentCallError, or code `agent.timeout` or `agent.lost`. `timeoutMs` 0 waits for ever. */
  call<N extends AgentCallName>(name: N, args: AgentArgs<N>, timeoutMs = callLimitMs): Promise<AgentValue<N>> {
    return new Promise((resolve, reject) => {
      if (!this.#end) throw this.#problem("agent.lost", "the control channel to the agent is closed", "Connect again.");
      const id = this.#nextId++;
      const request = `${JSON.stringify({ id, call: name, args: agentCalls[name].args.parse(args) })}\n`;
      const expire = () => {
        this.#waiting.delete(id);
        reject(this.#problem("agent.timeout", `no answer to ${name} within ${timeoutMs / 1000} s`, "Look at the agent's log and the host's load."));
      };
      this.#waiting.set(id, { call: name, resolve: resolve as (value: unknown) => void, reject, timer: timeoutMs > 0 ? setTimeout(expire, timeoutMs) : undefined });
      this.#stream.write(request);
    });
  }

  /** Every event from now on, in order, until the answered function is called. */
  onEvent(listener: (event: AgentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the channel; the agent runs on. */
  close(): void {
    this.#finish(undefined);
  }

  #receive(line: string): void {
    const message: unknown = JSON.parse(line);
    const isEvent = typeof message === "object" && message !== null && "event" in message;
    if (isEvent) {
      const known = controlEvent.safeParse(message);
      // A newer agent may tell more than we know.
      if (known.success) for (const listener of this.#listeners) listener(known.data.event);
      return;
    }
    const reply = controlReply.parse(message);
    if (reply.id === 0 && !reply.ok) return this.#finish(this.#problem("agent.refused", `the agent ended the channel: ${reply.error.message} (${reply.error.code})`, "Connect again, and read events as they come."));
    const waiting = this.#waiting.get(reply.id);
    if (!waiting) return; // given up on before it came
    this.#waiting.delete(reply.id);
    clearTimeout(waiting.timer);
    if (!reply.ok) return waiting.reject(new AgentCallError(this.host, waiting.call, reply.error));
    const value = agentCalls[waiting.call].value.safeParse(reply.value);
    if (value.success) waiting.resolve(value.data);
    else waiting.reject(this.#problem("agent.protocol", `answered ${waiting.call} with something else than agreed`, "Deploy this manager's version of the agent."));
  }

  #finish(why: Problem | undefined): void {
    if (!this.#end) return;
    this.#end(why);
    this.#end = undefined;
    const reason = why ?? this.#problem("agent.lost", "the control channel to the agent was closed", "Connect again.");
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(reason);
    }
    this.#waiting.clear();
    this.#listeners.clear();
    this.#stream.destroy();
  }

  #problem(code: string, what: string, remedy: string): Problem {
    return new Problem({ code, host: this.host, what, remedy });
  }
}
