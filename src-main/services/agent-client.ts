import type { Duplex } from "node:stream";
import { z } from "zod";
import { agentCalls, controlEvent, controlReply, type AgentArgs, type AgentCallName, type AgentValue } from "../../src-shared/api/control.ts";
import type { AgentEvent } from "../../src-shared/api/events.ts";
import { Problem } from "../problem.ts";

interface Waiting {
  readonly call: AgentCallName;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Problem) => void;
}

/** A line from an agent may not be longer, characters. */
const maxLine = 8 << 20;

/**
 * The manager's end of one control channel (src-shared/api/control.ts). What an agent says is checked like anything else from a host. Calls reject with
 * a Problem that carries the agent's own code; when the channel ends, all of them do, with code `agent.lost`.
 */
export class AgentClient {
  readonly host: string;
  /** Resolves when the channel has ended. */
  readonly closed: Promise<void>;
  readonly #stream: Duplex;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: AgentEvent) => void>();
  #pending = "";
  #nextId = 1;
  #ended = false;

  constructor(host: string, stream: Duplex) {
    this.host = host;
    this.#stream = stream;
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => this.#read(chunk));
    stream.on("error", () => {}); // the close that follows carries the consequence
    this.closed = new Promise((resolve) => {
      const end = (): void => {
        if (this.#ended) return;
        this.#ended = true;
        for (const { call, reject } of this.#waiting.values()) reject(this.#lost(call));
        this.#waiting.clear();
        resolve();
      };
      stream.once("close", end);
      stream.once("end", end);
    });
  }

  /** `timeoutMs` 0 waits for ever. */
  call<N extends AgentCallName>(call: N, args: AgentArgs<N>, timeoutMs = 30_000): Promise<AgentValue<N>> {
    if (this.#ended) return Promise.reject(this.#lost(call));
    const id = this.#nextId++;
    return new Promise<AgentValue<N>>((resolve, reject) => {
      const timer = timeoutMs > 0 ? setTimeout(() => this.#give(id)?.reject(this.#slow(call, timeoutMs)), timeoutMs) : undefined;
      const settle = <T>(then: (value: T) => void) => (value: T) => {
        clearTimeout(timer);
        then(value);
      };
      this.#waiting.set(id, { call, resolve: settle(resolve) as (value: never) => void, reject: settle(reject) });
      this.#stream.write(`${JSON.stringify({ id, call, args })}\n`);
    });
  }

  /** Every event from now on; returns the end of it. */
  onEvent(listener: (event: AgentEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stream.destroy();
  }

  #read(chunk: string): void {
    const lines = (this.#pending + chunk).split("\n");
    this.#pending = lines.pop() ?? "";
    if (this.#pending.length > maxLine) {
      this.#stream.destroy();
      return;
    }
    for (const line of lines) if (line) this.#line(line);
  }

  #line(line: string): void {
    let parsed: unknown;
    try {
      parsed = JSON.parse(line);
    } catch {
      this.#stream.destroy();
      return;
    }
    const event = controlEvent.safeParse(parsed);
    if (event.success) {
      for (const listener of this.#listeners) listener(event.data.event);
      return;
    }
    const reply = controlReply.safeParse(parsed);
    if (!reply.success) return; // a newer agent may say more than we know
    const waiting = this.#give(reply.data.id);
    if (!waiting) return;
    if (reply.data.ok) this.#answer(waiting, reply.data.value);
    else waiting.reject(new Problem({ code: `agent.${reply.data.error.code}`, host: this.host, what: `${waiting.call}: ${reply.data.error.message}`, remedy: "See the agent's log (`lab logs`) for what led to it." }));
  }

  #answer(waiting: Waiting, value: unknown): void {
    const checked = agentCalls[waiting.call].value.safeParse(value);
    if (checked.success) return waiting.resolve(checked.data as never);
    waiting.reject(new Problem({ code: "agent.bad-answer", host: this.host, what: `${waiting.call}: the agent's answer is not understood: ${z.prettifyError(checked.error)}`, remedy: "Deploy the agent of this version again." }));
  }

  #give(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #lost(call: string): Problem {
    return new Problem({ code: "agent.lost", host: this.host, what: `${call}: the connection to the agent has ended`, remedy: "See the agent's log (`lab logs`) for why, then start it again." });
  }

  #slow(call: string, ms: number): Problem {
    return new Problem({ code: "agent.timeout", host: this.host, what: `${call}: no answer within ${ms / 1000} s`, remedy: "See the agent's log (`lab logs`) and the load of the host." });
  }
}
