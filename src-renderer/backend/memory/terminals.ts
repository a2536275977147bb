import type { AppWindow } from "../../../src-shared/api/app.ts";
import { AppError } from "../../../src-shared/api/app/error.ts";
import { type Terminal, terminalWindowBytes } from "../../../src-shared/api/app/terminal.ts";

type Done = Record<string, never>;

const scrollbackBytes = 256 * 1024;

interface Kept {
  terminal: Terminal;
  window: AppWindow;
  scrollback: Uint8Array;
  columns: number;
  underWay: number;
  held: Uint8Array[];
  typed: string;
  flood: ReturnType<typeof setInterval> | null;
}

/** Simulated shells: they echo, know a few commands, and keep to flow control. */
export class Terminals {
  readonly #all = new Map<string, Kept>();
  readonly #banner: string;
  #next = 1;

  constructor(banner: string) {
    this.#banner = banner;
  }

  open(host: string, title: string, columns: number, window: AppWindow): Terminal {
    const terminal: Terminal = { id: `term-${this.#next++}`, host, title, state: "open", detail: null };
    const kept: Kept = { terminal, window, scrollback: new Uint8Array(), columns, underWay: 0, held: [], typed: "", flood: null };
    this.#all.set(terminal.id, kept);
    setTimeout(() => this.#print(kept, `${this.#banner}\r\nLinux ${title} 6.1.0-31-amd64\r\n\r\n${this.#prompt(kept)}`), 20);
    return terminal;
  }

  list(): Terminal[] {
    return [...this.#all.values()].map((kept) => kept.terminal);
  }

  attach(id: string, columns: number, window: AppWindow): { terminal: Terminal; scrollback: Uint8Array } {
    const kept = this.#find(id);
    Object.assign(kept, { window, columns, underWay: 0, held: [] });
    return { terminal: kept.terminal, scrollback: kept.scrollback };
  }

  resize(id: string, columns: number): Done {
    this.#find(id).columns = columns;
    return {};
  }

  consumed(id: string, bytes: number): Done {
    const kept = this.#find(id);
    kept.underWay = Math.max(0, kept.underWay - bytes);
    while (kept.held.length > 0 && kept.underWay < terminalWindowBytes) this.#emit(kept, kept.held.shift() as Uint8Array);
    return {};
  }

  /** Bytes that a terminal has printed but may not send yet: for tests of the flow control. */
  underWay(id: string): number {
    return this.#find(id).underWay;
  }

  write(id: string, data: Uint8Array): Done {
    const kept = this.#find(id);
    for (const char of new TextDecoder().decode(data)) this.#key(kept, char);
    return {};
  }

  /** The SSH connection breaks, as after sleep. */
  lose(host: string): void {
    for (const kept of this.#all.values()) if (kept.terminal.host === host) this.#change(kept, { state: "lost", detail: "the SSH connection broke: keepalive not answered for 15 s" });
  }

  close(id: string): Done {
    const kept = this.#find(id);
    if (kept.flood) clearInterval(kept.flood);
    this.#all.delete(id);
    return {};
  }

  closeAll(): void {
    for (const id of this.#all.keys()) this.close(id);
  }

  #find(id: string): Kept {
    const kept = this.#all.get(id);
    if (!kept) throw new AppError("not-found", `there is no terminal "${id}"`, { remedy: "Open a new one." });
    return kept;
  }

  #prompt(kept: Kept): string {
    return `\u001b[1;32mlab@${kept.terminal.host}\u001b[0m:\u001b[1;34m~\u001b[0m$ `;
  }

  #key(kept: Kept, char: string): void {
    if (kept.flood) {
      if (char === "\u0003") this.#stopFlood(kept);
      return;
    }
    if (char === "\r") {
      const command = kept.typed.trim();
      kept.typed = "";
      this.#print(kept, "\r\n");
      this.#command(kept, command);
    } else if (char === "\u007f") {
      if (kept.typed) this.#print(kept, "\b \b");
      kept.typed = kept.typed.slice(0, -1);
    } else if (char >= " ") {
      kept.typed += char;
      this.#print(kept, char);
    }
  }

  #command(kept: Kept, command: string): void {
    if (command === "exit") return this.#change(kept, { state: "ended", detail: "the shell ended with status 0" });
    if (command === "drop") return this.lose(kept.terminal.host);
    if (command === "flood") return this.#startFlood(kept);
    const answers: Record<string, string> = {
      "": "",
      hostname: `${kept.terminal.host}\r\n`,
      "stty size": `24 ${kept.columns}\r\n`,
      "ip -br a": "lo       UNKNOWN  ::1/128\r\neth0     UP       2001:db8:1::10/64 fe80::1/64\r\n",
      help: "simulated shell: hostname, ip -br a, stty size, flood, drop, exit\r\n",
    };
    this.#print(kept, `${answers[command] ?? `-bash: ${command.slice(0, 60)}: command not found\r\n`}${this.#prompt(kept)}`);
  }

  #startFlood(kept: Kept): void {
    const block = "0123456789abcdef".repeat(250) + "\r\n";
    kept.flood = setInterval(() => {
      for (let i = 0; i < 50 && kept.underWay < terminalWindowBytes; i++) this.#print(kept, block);
    }, 10);
  }

  #stopFlood(kept: Kept): void {
    if (kept.flood) clearInterval(kept.flood);
    kept.flood = null;
    this.#print(kept, `^C\r\n${this.#prompt(kept)}`);
  }

  #print(kept: Kept, text: string): void {
    const data = new TextEncoder().encode(text);
    kept.scrollback = tail(kept.scrollback, data);
    if (kept.underWay >= terminalWindowBytes) kept.held.push(data);
    else this.#emit(kept, data);
  }

  #emit(kept: Kept, data: Uint8Array): void {
    kept.underWay += data.length;
    kept.window.emit("terminal.data", { terminal: kept.terminal.id, data });
  }

  #change(kept: Kept, change: Partial<Terminal>): void {
    kept.terminal = { ...kept.terminal, ...change };
    kept.window.emit("terminal.changed", kept.terminal);
  }
}

function tail(before: Uint8Array, more: Uint8Array): Uint8Array {
  const all = new Uint8Array(before.length + more.length);
  all.set(before);
  all.set(more, before.length);
  return all.length > scrollbackBytes ? all.slice(all.length - scrollbackBytes) : all;
}
