import type { AppHandlers, AppWindow } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import { type Terminal, terminalWindowBytes } from "../../../src-shared/api/app/terminal.ts";
import type { RemoteProcess } from "../../ssh/process.ts";
import type { Labs } from "./labs.ts";
import type { LabStore } from "./store.ts";

const scrollbackBytes = 256 * 1024;
const mostTerminals = 100;

interface Kept {
  terminal: Terminal;
  readonly process: RemoteProcess;
  readonly scrollback: Scrollback;
  /** The window that draws it; null while it is drawn nowhere, when output goes to the scrollback alone. */
  window: AppWindow | null;
  /** Bytes on their way to that window. */
  underWay: number;
}

/** Shells on hosts, over their SSH connections. They belong to the manager and outlive windows. */
export class Terminals {
  readonly #labs: Labs;
  readonly #store: LabStore;
  readonly #all = new Map<string, Kept>();
  #next = 1;

  constructor(labs: Labs, store: LabStore) {
    this.#labs = labs;
    this.#store = store;
  }

  readonly handlers = {
    "terminal.open": ({ lab, host, columns, rows }, window) => this.#open(lab, host, { columns, rows }, window),
    "terminal.list": () => [...this.#all.values()].map(({ terminal }) => terminal),
    "terminal.attach": ({ terminal, columns, rows }, window) => this.#attach(this.#find(terminal), { columns, rows }, window),
    "terminal.write": ({ terminal, data }) => {
      const { process, terminal: now } = this.#find(terminal);
      if (now.state === "open") process.stdin.write(Buffer.from(data));
      return {};
    },
    "terminal.resize": ({ terminal, columns, rows }) => {
      const { process, terminal: now } = this.#find(terminal);
      if (now.state === "open") process.resize(columns, rows);
      return {};
    },
    "terminal.consumed": ({ terminal, bytes }) => {
      const kept = this.#find(terminal);
      kept.underWay = Math.max(0, kept.underWay - bytes);
      if (kept.underWay < terminalWindowBytes) kept.process.stdout.resume();
      return {};
    },
    "terminal.close": ({ terminal }) => {
      const kept = this.#find(terminal);
      this.#all.delete(terminal);
      kept.process.close();
      return {};
    },
  } satisfies Partial<AppHandlers>;

  close(): void {
    for (const { process } of this.#all.values()) process.close();
    this.#all.clear();
  }

  async #open(lab: string, host: string, size: { readonly columns: number; readonly rows: number }, window: AppWindow): Promise<Terminal> {
    if (this.#all.size >= mostTerminals) throw new AppError("too-many", `${mostTerminals} terminals are open`, { remedy: "Close some first." });
    const { name } = this.#store.item(lab, "hosts", host);
    const connection = await this.#labs.get(lab).host(host).connect();
    const process = await connection.shell(size);
    const terminal: Terminal = { id: `terminal-${this.#next++}`, host, title: name, state: "open", detail: null };
    const kept: Kept = { terminal, process, scrollback: new Scrollback(), window: null, underWay: 0 };
    this.#all.set(terminal.id, kept);
    this.#direct(kept, window);
    process.stdout.on("data", (data: Buffer) => this.#print(kept, new Uint8Array(data)));
    void process.exit.then(
      ({ code, signal }) => this.#ended(kept, { state: "ended", detail: signal ? `the shell was ended by ${signal}` : `the shell ended with status ${code ?? "unknown"}` }),
      (error: Error) => this.#ended(kept, { state: "lost", detail: error.message }),
    );
    return terminal;
  }

  #attach(kept: Kept, { columns, rows }: { readonly columns: number; readonly rows: number }, window: AppWindow): { terminal: Terminal; scrollback: Uint8Array } {
    this.#direct(kept, window);
    if (kept.terminal.state === "open") kept.process.resize(columns, rows);
    return { terminal: kept.terminal, scrollback: kept.scrollback.bytes() };
  }

  #direct(kept: Kept, window: AppWindow): void {
    kept.window = window;
    kept.underWay = 0;
    kept.process.stdout.resume();
    window.gone.addEventListener(
      "abort",
      () => {
        if (kept.window !== window) return;
        kept.window = null;
        kept.underWay = 0;
        kept.process.stdout.resume();
      },
      { once: true },
    );
  }

  /** A window that does not keep up makes the host wait: what is not read from SSH is not sent by it. */
  #print(kept: Kept, data: Uint8Array): void {
    kept.scrollback.add(data);
    if (!kept.window) return;
    kept.underWay += data.length;
    kept.window.emit("terminal.data", { terminal: kept.terminal.id, data });
    if (kept.underWay >= terminalWindowBytes) kept.process.stdout.pause();
  }

  #ended(kept: Kept, how: Pick<Terminal, "state" | "detail">): void {
    kept.terminal = { ...kept.terminal, ...how };
    if (this.#all.has(kept.terminal.id)) kept.window?.emit("terminal.changed", kept.terminal);
  }

  #find(id: string): Kept {
    const kept = this.#all.get(id);
    if (!kept) throw new AppError("not-found", `there is no terminal "${id}"`, { remedy: "Open a new one." });
    return kept;
  }
}

/** The last bytes that a terminal printed, in pieces. */
class Scrollback {
  readonly #pieces: Uint8Array[] = [];
  #size = 0;

  add(data: Uint8Array): void {
    this.#pieces.push(data);
    this.#size += data.length;
    while (this.#size - (this.#pieces[0]?.length ?? 0) >= scrollbackBytes) this.#size -= this.#pieces.shift()?.length ?? 0;
  }

  bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#pieces));
  }
}
