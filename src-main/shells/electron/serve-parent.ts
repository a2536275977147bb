import type { AppBackend, AppWindow } from "../../../src-shared/api/app.ts";
import { dispatch } from "../../../src-shared/api/app/dispatch.ts";
import { errorText } from "../../../src-shared/api/app/error.ts";
import type { AppEventName } from "../../../src-shared/api/app/events.ts";
import { pushFrame } from "../../../src-shared/api/app/push.ts";
import type { FromManager, ToManager } from "./frames.ts";

/** The part of a forked process that talks to its parent; `process` is one. */
export interface Parent {
  on(event: "message", listener: (message: unknown) => void): unknown;
  on(event: "disconnect", listener: () => void): unknown;
  send?(message: FromManager, done: () => void): boolean;
}

/** Serves the windows of the process that forked this one. Resolves when it asked for the end, or is gone: then what ran has been ended cleanly. */
export function serveParent(backend: AppBackend, parent: Parent, onDefect: (what: string) => void): Promise<void> {
  const windows = new Map<number, ParentWindow>();
  const receive = async (message: ToManager): Promise<void> => {
    if ("open" in message) {
      const window = new ParentWindow(message.open, parent, onDefect);
      windows.set(message.open, window);
      backend.connect(window);
    } else if ("close" in message) {
      windows.get(message.close)?.end();
      windows.delete(message.close);
    } else if ("window" in message) {
      const window = windows.get(message.window);
      const reply = window && (await dispatch(backend, message.frame, window));
      if (reply) window.send(reply);
      else onDefect("a frame that is no request, or of no window, was ignored");
    }
  };
  return new Promise((resolve) => {
    const end = () => void backend.close().finally(resolve);
    parent.on("message", (message) => ("end" in (message as ToManager) ? end() : void receive(message as ToManager)));
    parent.on("disconnect", () => {
      for (const window of windows.values()) window.end();
      end();
    });
  });
}

/** A window of the parent process. */
class ParentWindow implements AppWindow {
  readonly id: string;
  readonly shell = "electron";
  readonly #number: number;
  readonly #gone = new AbortController();
  readonly #parent: Parent;
  readonly #onDefect: (what: string) => void;

  constructor(number: number, parent: Parent, onDefect: (what: string) => void) {
    this.id = `window-${number}`;
    this.#number = number;
    this.#parent = parent;
    this.#onDefect = onDefect;
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  end(): void {
    this.#gone.abort();
  }

  emit(name: AppEventName, payload: never): void {
    try {
      this.send(pushFrame(name, payload));
    } catch (thrown) {
      this.#onDefect(errorText(thrown).message);
    }
  }

  send(frame: unknown): void {
    // A parent that dies is told by `disconnect`; a frame on its way then goes nowhere, and must not be an error that nobody catches.
    if (!this.gone.aborted) this.#parent.send?.({ window: this.#number, frame }, () => undefined);
  }
}
