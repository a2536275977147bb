import { z } from "zod";
import type { AppArgs, AppCallName, AppValue } from "./app/calls.ts";
import type { AppEvent, AppEventName } from "./app/events.ts";

/**
 * Window <-> manager. Calls are in app/calls.ts, events in app/events.ts; app/dispatch.ts is the manager's end, app/client.ts the window's.
 * A transport carries `Request` one way, `Reply` and `Push` the other, and preserves their order.
 */
export interface Request {
  readonly id: number;
  readonly call: string;
  readonly args: unknown;
}

/** An error on its way to a person: what was wrong, and what to do about it. `code` is stable. */
export const appError = z.object({ code: z.string().max(100), message: z.string().max(4000), remedy: z.string().max(4000).nullable(), host: z.string().max(300).nullable() });
export type AppErrorText = z.infer<typeof appError>;

export const reply = z.union([z.object({ id: z.number().int(), ok: z.literal(true), value: z.unknown() }), z.object({ id: z.number().int(), ok: z.literal(false), error: appError })]);
export type Reply = z.infer<typeof reply>;

export const push = z.object({ event: z.string().max(100), payload: z.unknown() });
export type Push = z.infer<typeof push>;

/** One window, as the manager sees it. */
export interface AppWindow {
  readonly id: string;
  readonly shell: "electron" | "serve" | "memory";
  /** Sends an event to this window alone. Never throws; events to a window that is gone go nowhere. */
  emit<N extends AppEventName>(name: N, payload: AppEvent<N>): void;
  /** Aborted when the window closed or its connection broke. What belongs to the window alone ends then; labs, runs and terminals go on. */
  readonly gone: AbortSignal;
}

/** One function per call. It may throw any Error; `code`, `remedy` and `host` on it are passed on, others become `internal`. */
export type AppHandlers = { readonly [N in AppCallName]: (args: AppArgs<N>, window: AppWindow) => AppValue<N> | Promise<AppValue<N>> };

/** What a shell needs of the manager. src-main implements it; the simulated lab of the tests does too. */
export interface AppBackend {
  readonly handlers: AppHandlers;
  /** From now on the window gets every broadcast event, until `window.gone`. */
  connect(window: AppWindow): void;
  close(): Promise<void>;
}
