import type { IpcMain, IpcMainEvent, WebContents } from "electron";
import type { AppBackend, AppWindow } from "../../../src-shared/api/app.ts";
import { dispatch } from "../../../src-shared/api/app/dispatch.ts";
import { errorText } from "../../../src-shared/api/app/error.ts";
import type { AppEventName } from "../../../src-shared/api/app/events.ts";
import { pushFrame } from "../../../src-shared/api/app/push.ts";
import { channels, isOurs } from "./origin.ts";

/** The manager's end of every window of this application. Frames count only from the main frame of a window we made, on our own page. */
export class ManagerEnd {
  readonly #backend: AppBackend;
  readonly #windows = new Map<number, IpcWindow>();
  readonly #onDefect: (what: string) => void;

  constructor(ipc: IpcMain, backend: AppBackend, onDefect: (what: string) => void) {
    this.#backend = backend;
    this.#onDefect = onDefect;
    ipc.on(channels.toManager, (event, frame: unknown) => void this.#receive(event, frame));
  }

  /** A window of ours: from now on it may call, and gets events until it is destroyed. Loading its page anew begins a new session. */
  add(contents: WebContents): void {
    const begin = () => {
      this.#windows.get(contents.id)?.end();
      const window = new IpcWindow(contents, this.#onDefect);
      this.#windows.set(contents.id, window);
      this.#backend.connect(window);
    };
    contents.on("did-navigate", begin);
    contents.once("destroyed", () => {
      this.#windows.get(contents.id)?.end();
      this.#windows.delete(contents.id);
    });
    begin();
  }

  async #receive(event: IpcMainEvent, frame: unknown): Promise<void> {
    const window = this.#windows.get(event.sender.id);
    const from = event.senderFrame;
    if (!window || from === null || from.parent !== null || !isOurs(from.url)) return this.#onDefect(`a frame from ${from?.url ?? "a frame that is gone"} was ignored`);
    const reply = await dispatch(this.#backend, frame, window);
    if (reply) window.send(reply);
    else this.#onDefect("a frame that is no request was ignored");
  }
}

let next = 1;

/** A window behind Electron's IPC. */
class IpcWindow implements AppWindow {
  readonly id = `window-${next++}`;
  readonly shell = "electron";
  readonly #gone = new AbortController();
  readonly #contents: WebContents;
  readonly #onDefect: (what: string) => void;

  constructor(contents: WebContents, onDefect: (what: string) => void) {
    this.#contents = contents;
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
    if (!this.gone.aborted && !this.#contents.isDestroyed()) this.#contents.send(channels.toWindow, frame);
  }
}
