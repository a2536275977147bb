import type { IpcMain, IpcMainEvent, WebContents } from "electron";
import { channels, isOurs } from "./origin.ts";

/** What the windows need of the manager's process. */
export interface Manager {
  open(window: number): void;
  close(window: number): void;
  frame(window: number, frame: unknown): void;
}

/** Passes frames between windows and the manager. They count only from the main frame of a window that we made, on our own page. Each page that begins is a new session. */
export class WindowFrames {
  readonly #manager: Manager;
  readonly #onDefect: (what: string) => void;
  /** Our windows, by the id of their contents, with the number of the session that their page is now. */
  readonly #sessions = new Map<number, number | null>();
  readonly #contents = new Map<number, WebContents>();
  #next = 1;

  constructor(ipc: Pick<IpcMain, "on">, manager: Manager, onDefect: (what: string) => void) {
    this.#manager = manager;
    this.#onDefect = onDefect;
    ipc.on(channels.begin, (event) => this.#ours(event) && this.#begin(event.sender));
    ipc.on(channels.toManager, (event, frame: unknown) => {
      const session = this.#ours(event) ? this.#sessions.get(event.sender.id) : null;
      if (session) this.#manager.frame(session, frame);
    });
  }

  /** A window of ours: from now on its pages may call, until it is destroyed. */
  add(contents: WebContents): void {
    const { id } = contents;
    this.#sessions.set(id, null);
    contents.once("destroyed", () => {
      this.#end(id);
      this.#sessions.delete(id);
    });
  }

  /** A frame from the manager for one session; one that has ended gets no more. */
  deliver(session: number, frame: unknown): void {
    const contents = this.#contents.get(session);
    if (contents && !contents.isDestroyed()) contents.send(channels.toWindow, frame);
  }

  #begin(contents: WebContents): void {
    this.#end(contents.id);
    const session = this.#next++;
    this.#sessions.set(contents.id, session);
    this.#contents.set(session, contents);
    this.#manager.open(session);
  }

  #end(id: number): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    this.#contents.delete(session);
    this.#manager.close(session);
  }

  #ours({ sender, senderFrame }: IpcMainEvent): boolean {
    const ours = this.#sessions.has(sender.id) && senderFrame !== null && senderFrame.parent === null && isOurs(senderFrame.url);
    if (!ours) this.#onDefect(`a message from ${senderFrame?.url ?? "a frame that is gone"} was ignored`);
    return ours;
  }
}
