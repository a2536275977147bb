import { z } from "zod";
import { type Push, push, type Reply, reply, type Request } from "../app.ts";
import { type AppArgs, type AppCallName, appCalls, type AppValue } from "./calls.ts";
import { AppError, errorFrom } from "./error.ts";
import { type AppEvent, type AppEventName, appEvents, isAppEvent } from "./events.ts";

/** Carries frames to the manager and back, in order. */
export interface Transport {
  /** Throws or ignores when not connected; the client then fails the call by `lost`. */
  send(request: Request): void;
}

/** What screens use: typed calls and events over whatever transport. */
export interface AppApi {
  call<N extends AppCallName>(name: N, args: AppArgs<N>): Promise<AppValue<N>>;
  /** Returns the function that ends the subscription. */
  on<N extends AppEventName>(name: N, listener: (payload: AppEvent<N>) => void): () => void;
}

interface Waiting {
  readonly call: AppCallName;
  resolve(value: never): void;
  reject(error: Error): void;
}

/** The window's end: checks arguments before they leave, values and events when they come. What does not fit is reported to `onDefect` and dropped. */
export class AppClient implements AppApi {
  readonly #transport: Transport;
  readonly #onDefect: (what: string) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Map<AppEventName, Set<(payload: never) => void>>();
  #next = 1;

  constructor(transport: Transport, onDefect: (what: string) => void) {
    this.#transport = transport;
    this.#onDefect = onDefect;
  }

  call<N extends AppCallName>(name: N, args: AppArgs<N>): Promise<AppValue<N>> {
    const checked = appCalls[name].args.safeParse(args);
    if (!checked.success) return Promise.reject(new AppError("bad-arguments", `${name}: ${z.prettifyError(checked.error)}`));
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { call: name, resolve, reject });
      try {
        this.#transport.send({ id, call: name, args: checked.data });
      } catch (thrown) {
        this.#waiting.delete(id);
        reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
      }
    });
  }

  on<N extends AppEventName>(name: N, listener: (payload: AppEvent<N>) => void): () => void {
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set.add(listener as (payload: never) => void));
    return () => void set.delete(listener as (payload: never) => void);
  }

  /** The transport got a frame. */
  receive(frame: unknown): void {
    const asPush = push.safeParse(frame);
    if (asPush.success) return this.#event(asPush.data);
    const asReply = reply.safeParse(frame);
    if (asReply.success) return this.#reply(asReply.data);
    this.#onDefect("a frame that is neither a reply nor an event");
  }

  /** The transport lost its connection: every call under way fails, none is repeated by itself. */
  lost(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const w of waiting) w.reject(new AppError("disconnected", "the connection to the manager broke before it answered", { remedy: "Try again when the window is connected." }));
  }

  #event({ event, payload }: Push): void {
    if (!isAppEvent(event)) return this.#onDefect(`an event that is not known: ${event}`);
    const listeners = this.#listeners.get(event);
    if (!listeners?.size) return;
    const checked = appEvents[event].payload.safeParse(payload);
    if (!checked.success) return this.#onDefect(`${event}: ${z.prettifyError(checked.error)}`);
    for (const listener of listeners) listener(checked.data as never);
  }

  #reply(frame: Reply): void {
    const waiting = this.#waiting.get(frame.id);
    if (!waiting) return this.#onDefect(`a reply to call ${frame.id}, which is not waiting`);
    this.#waiting.delete(frame.id);
    if (!frame.ok) return waiting.reject(errorFrom(frame.error));
    const checked = appCalls[waiting.call].value.safeParse(frame.value);
    if (checked.success) waiting.resolve(checked.data as never);
    else waiting.reject(new AppError("bad-value", `${waiting.call} answered something unexpected: ${z.prettifyError(checked.error)}`, { remedy: "Reload the window: it may be of another version." }));
  }
}
