import { libc } from "../linux/libc.ts";
import { setRepair, tcpInfo, tcpState } from "../linux/tcpRepair.ts";
import type { Connection } from "./connection.ts";

const everyMs = 50;
/** Then the kernel finishes on its own, and the connection can no longer be moved. In ms. */
const longestMs = 60_000;
const SHUT_RDWR = 2;

/**
 * Connections that their services have finished, while the kernel still delivers the last bytes and the FIN. Our descriptor stays open meanwhile, so
 * that they can be moved like any other; `shutdown` gives the client what a close would.
 */
export class ClosingWatch {
  readonly #closing = new Map<Connection, number>();
  readonly #onGone: (connection: Connection) => void;
  #timer: NodeJS.Timeout | null = null;

  constructor(onGone: (connection: Connection) => void) {
    this.#onGone = onGone;
  }

  add(connection: Connection): void {
    connection.phase = "closing";
    libc.shutdown(connection.fd, SHUT_RDWR);
    this.#closing.set(connection, Date.now());
    this.#timer ??= setInterval(() => this.#look(), everyMs);
  }

  /** It moves away, or was reset. */
  delete(connection: Connection): void {
    this.#closing.delete(connection);
    this.#stopWhenEmpty();
  }

  close(): void {
    this.#closing.clear();
    this.#stopWhenEmpty();
  }

  #look(): void {
    for (const [connection, since] of this.#closing) {
      if (!isOver(connection) && Date.now() - since < longestMs) continue;
      this.#closing.delete(connection);
      this.#onGone(connection);
    }
    this.#stopWhenEmpty();
  }

  #stopWhenEmpty(): void {
    if (this.#closing.size > 0 || !this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}

/** Everything is delivered and both sides have ended. A client that had ended before a move sends no second FIN: closing must then stay silent. */
function isOver(connection: Connection): boolean {
  const { state } = tcpInfo(connection.fd);
  if (state === tcpState.close) return true;
  if (state !== tcpState.finWait2 || !connection.peerEnded) return false;
  setRepair(connection.fd, true);
  return true;
}
