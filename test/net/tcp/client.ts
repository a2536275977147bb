import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** What the test asks; one JSON object a line on stdin, answered by a ClientState line each. */
export type ClientCommand =
  /** Connects, and resolves when connected. */
  | { readonly do: "connect"; readonly host: string; readonly port: number; readonly allowHalfOpen: boolean }
  /** Sends `bytes` of the pattern, from where the last `send` stopped. */
  | { readonly do: "send"; readonly bytes: number }
  | { readonly do: "text"; readonly text: string }
  /** Sends `bytes` of the pattern every millisecond until the next `quiet`. */
  | { readonly do: "stream"; readonly bytes: number }
  | { readonly do: "quiet" | "end" | "reset" | "state" };

export interface ClientState {
  readonly connected: boolean;
  readonly sent: number;
  readonly received: number;
  /** Offset of the first received byte that is not the pattern's, or null. */
  readonly mismatch: number | null;
  /** The server ended its side. */
  readonly ended: boolean;
  readonly error: string | null;
  /** The last bytes received, as text. */
  readonly text: string;
}

/** Byte `offset` of the pattern: no period that a power of two would hide. */
export function patternByte(offset: number): number {
  return (offset * 7 + (offset >>> 8) * 13 + (offset >>> 16)) & 0xff;
}

class Client {
  #socket: Socket | null = null;
  #sent = 0;
  #received = 0;
  #mismatch: number | null = null;
  #ended = false;
  #error: string | null = null;
  #text = "";
  #timer: NodeJS.Timeout | null = null;

  state(): ClientState {
    return { connected: this.#socket !== null, sent: this.#sent, received: this.#received, mismatch: this.#mismatch, ended: this.#ended, error: this.#error, text: this.#text };
  }

  async carryOut(command: ClientCommand): Promise<ClientState> {
    switch (command.do) {
      case "connect":
        await this.#connect(command.host, command.port, command.allowHalfOpen);
        break;
      case "send":
        this.#send(command.bytes);
        break;
      case "text":
        this.#socket?.write(command.text);
        break;
      case "stream":
        this.#timer = setInterval(() => this.#send(command.bytes), 1);
        break;
      case "quiet":
        if (this.#timer) clearInterval(this.#timer);
        break;
      case "end":
        this.#socket?.end();
        break;
      case "reset":
        this.#socket?.resetAndDestroy();
        break;
      case "state":
        break;
    }
    return this.state();
  }

  async #connect(host: string, port: number, allowHalfOpen: boolean): Promise<void> {
    const socket = connect({ host, port, allowHalfOpen });
    socket.on("data", (bytes) => this.#onData(bytes));
    socket.on("end", () => (this.#ended = true));
    await new Promise<void>((resolve) => {
      socket.once("connect", () => {
        this.#socket = socket;
        resolve();
      });
      socket.on("error", (error) => {
        this.#error = (error as NodeJS.ErrnoException).code ?? error.message;
        resolve();
      });
    });
  }

  #send(count: number): void {
    const from = this.#sent;
    this.#sent += count;
    this.#socket?.write(Buffer.from({ length: count } as ArrayLike<number>).map((_, i) => patternByte(from + i)));
  }

  #onData(bytes: Buffer): void {
    for (let i = 0; i < bytes.length && this.#mismatch === null; i++) if (bytes[i] !== patternByte(this.#received + i)) this.#mismatch = this.#received + i;
    this.#received += bytes.length;
    this.#text = (this.#text + bytes.toString("latin1")).slice(-2000);
  }
}

if (process.argv[1] === import.meta.filename) {
  const client = new Client();
  createInterface({ input: process.stdin }).on("line", (line) => {
    void client.carryOut(JSON.parse(line) as ClientCommand).then((state) => process.stdout.write(`${JSON.stringify(state)}\n`));
  });
}
