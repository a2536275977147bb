import type { WebSocket } from "ws";
import type { AppBackend, AppWindow } from "../../../src-shared/api/app.ts";
import { dispatch } from "../../../src-shared/api/app/dispatch.ts";
import { errorText } from "../../../src-shared/api/app/error.ts";
import { appEvents, type AppEventName } from "../../../src-shared/api/app/events.ts";
import { pushFrame } from "../../../src-shared/api/app/push.ts";
import { decodeFrame, encodeFrame } from "../../../src-shared/api/wire.ts";

/** Above this a window does not keep up: events that can be spared are left out and counted. */
const congestedBytes = 4 * 1024 * 1024;
/** Above this it is given up; it will connect again and ask for the state. */
const hopelessBytes = 64 * 1024 * 1024;
const heartbeatMs = 15_000;
const maxCallsUnderWay = 500;

let next = 1;

/** Serves one window over its WebSocket until either side ends it. `onDefect` is told what should not have happened. */
export function serveWindow(socket: WebSocket, backend: AppBackend, onDefect: (what: string) => void): void {
  const gone = new AbortController();
  const window = new SocketWindow(socket, gone.signal, onDefect);
  let underWay = 0;
  let alive = true;
  const heartbeat = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, heartbeatMs);
  heartbeat.unref();
  socket.on("pong", () => (alive = true));
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    clearInterval(heartbeat);
    gone.abort();
  });
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    alive = true;
    if (!isBinary) return socket.close(1003, "binary frames only");
    if (++underWay > maxCallsUnderWay) return socket.close(1008, "too many calls at once");
    void answer(data)
      .catch((thrown: unknown) => onDefect(errorText(thrown).message))
      .finally(() => underWay--);
  });
  const answer = async (data: Buffer) => {
    let frame: unknown;
    try {
      frame = decodeFrame(data);
    } catch {
      return socket.close(1007, "not a frame");
    }
    const reply = await dispatch(backend, frame, window);
    if (!reply) return socket.close(1008, "not a request");
    try {
      window.send(encodeFrame(reply));
    } catch (thrown) {
      window.send(encodeFrame({ id: reply.id, ok: false, error: errorText(thrown) }));
    }
  };
  backend.connect(window);
}

/** A window behind a WebSocket. */
class SocketWindow implements AppWindow {
  readonly id = `window-${next++}`;
  readonly shell = "serve";
  readonly gone: AbortSignal;
  readonly #socket: WebSocket;
  readonly #onDefect: (what: string) => void;
  #lost = 0;

  constructor(socket: WebSocket, gone: AbortSignal, onDefect: (what: string) => void) {
    this.#socket = socket;
    this.gone = gone;
    this.#onDefect = onDefect;
  }

  emit(name: AppEventName, payload: never): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (appEvents[name].sheddable && this.#socket.bufferedAmount > congestedBytes) {
      this.#lost += 1;
      return;
    }
    try {
      if (this.#lost > 0 && this.#socket.bufferedAmount < congestedBytes / 4) {
        const count = this.#lost;
        this.#lost = 0;
        this.send(encodeFrame(pushFrame("events.lost", { count })));
      }
      this.send(encodeFrame(pushFrame(name, payload)));
    } catch (thrown) {
      this.#onDefect(errorText(thrown).message);
    }
  }

  send(frame: Uint8Array): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > hopelessBytes) return this.#socket.terminate();
    this.#socket.send(frame, { binary: true });
  }
}
