import { AppClient } from "../../src-shared/api/app/client.ts";
import { AppError } from "../../src-shared/api/app/error.ts";
import { decodeFrame, encodeFrame } from "../../src-shared/api/wire.ts";
import type { Connection, ConnectionState } from "./connection.ts";

const firstWaitMs = 300;
const longestWaitMs = 5000;

/** Connects to the serve shell that this page came from, again and again. */
export class SocketConnection implements Connection {
  readonly api: AppClient;
  state: ConnectionState = { is: "connecting" };
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  #socket: WebSocket | null = null;
  #waitMs = firstWaitMs;
  #timer = 0;

  constructor(onDefect: (what: string) => void) {
    this.api = new AppClient({ send: (request) => this.#send(encodeFrame(request)) }, onDefect);
    window.addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.retry());
    this.#open();
  }

  onState(listener: (state: ConnectionState) => void): void {
    this.#listeners.add(listener);
  }

  retry(): void {
    if (this.state.is !== "lost") return;
    clearTimeout(this.#timer);
    this.#open();
  }

  #send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) throw new AppError("disconnected", "this window is not connected to the manager", { remedy: "It reconnects by itself; try again then." });
    this.#socket.send(frame);
  }

  #open(): void {
    this.#change({ is: "connecting" });
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api`);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      this.#waitMs = firstWaitMs;
      this.#change({ is: "open" });
    });
    socket.addEventListener("message", ({ data }) => this.#receive(data as ArrayBuffer));
    socket.addEventListener("close", () => void this.#closed());
  }

  #receive(data: ArrayBuffer): void {
    try {
      this.api.receive(decodeFrame(new Uint8Array(data)));
    } catch (error) {
      console.error("frame not understood", error);
      this.#socket?.close();
    }
  }

  /** A socket does not say why it was refused; a plain request does. */
  async #closed(): Promise<void> {
    this.api.lost();
    const status = await fetch("./", { method: "HEAD", cache: "no-store" }).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 401) return this.#change({ is: "refused", reason: "This window's pass is no longer valid: the manager was started anew. Open the link that it printed." });
    const wait = this.#waitMs;
    this.#waitMs = Math.min(longestWaitMs, wait * 2);
    this.#change({ is: "lost", retryAt: Date.now() + wait });
    this.#timer = window.setTimeout(() => this.#open(), wait);
  }

  #change(state: ConnectionState): void {
    this.state = state;
    for (const listener of this.#listeners) listener(state);
  }
}
