import type { AppApi } from "../../src-shared/api/app/client.ts";

/** `refused`: the manager does not let this window in; trying again is of no use. */
export type ConnectionState = { readonly is: "connecting" } | { readonly is: "open" } | { readonly is: "lost"; readonly retryAt: number } | { readonly is: "refused"; readonly reason: string };

/** The window's way to the manager, whichever shell it runs in. */
export interface Connection {
  readonly api: AppApi;
  readonly state: ConnectionState;
  /** Called on every change of state. */
  onState(listener: (state: ConnectionState) => void): void;
  /** Tries at once instead of at `retryAt`. */
  retry(): void;
}
