import type { Readable, Writable } from "node:stream";
import type { ClientChannel } from "ssh2";
import { SshError } from "./errors.ts";

/** How a remote command ended: `code`, or the name of the signal that killed it (SIGKILL, …). */
export interface Exit {
  readonly code: number | undefined;
  readonly signal: string | undefined;
}

export interface RunOptions {
  /** Written to standard input, which is then closed. */
  readonly stdin?: string | Uint8Array;
  /** The command is ended after so many ms, with code `ssh.timeout`; forever when absent. */
  readonly timeoutMs?: number;
  /** More output than this in bytes (default 16 MiB) is an error. */
  readonly maxOutput?: number;
  readonly signal?: AbortSignal;
  /** Told how many bytes of stdin the channel has taken. */
  readonly onSent?: (bytes: number) => void;
}

export interface RunResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** A command running on a host. `stdin`, `stdout` and `stderr` are its streams; on a terminal stderr stays empty. */
export class RemoteProcess {
  readonly host: string;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when it has ended and all output is read; rejects with `ssh.lost` when the connection ends first. */
  readonly exit: Promise<Exit>;
  readonly #channel: ClientChannel;

  constructor(host: string, channel: ClientChannel) {
    this.host = host;
    this.#channel = channel;
    this.stdin = channel;
    this.stdout = channel;
    this.stderr = channel.stderr;
    this.exit = new Promise((resolve, reject) => {
      let exit: Exit | undefined;
      channel.on("exit", (code: number | null, signal?: string) => {
        exit = { code: code ?? undefined, signal: signal ?? undefined };
      });
      channel.on("close", () => {
        if (exit) resolve(exit);
        else reject(new SshError({ code: "ssh.lost", host, what: "the connection ended while a command ran", remedy: "Check the host and the network, then try again." }));
      });
    });
    this.exit.catch(() => {});
    channel.on("error", () => {});
  }

  /** Tells the terminal its new size. */
  resize(columns: number, rows: number): void {
    this.#channel.setWindow(rows, columns, 0, 0);
  }

  /** Sends a signal by its name without SIG, such as TERM; sshd before OpenSSH 7.9 ignores it. */
  signal(name: string): void {
    this.#channel.signal(name);
  }

  /** Closes the streams; the command sees its input end and, on a terminal, a hangup. */
  close(): void {
    this.#channel.close();
  }
}

/** Feeds a process, collects what it says, and waits for its end. */
export async function run(process: RemoteProcess, what: string, options: RunOptions): Promise<RunResult> {
  const limit = options.maxOutput ?? 16 * 1024 * 1024;
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let size = 0;
  let abort: (error: SshError) => void = () => {};
  const aborted = new Promise<never>((_, reject) => {
    // The command is told, but not waited for: sshd passes signals on only for ordinary users, and a command may ignore them.
    abort = (error) => {
      reject(error);
      process.signal("TERM");
      process.close();
    };
  });
  const collect = (into: Buffer[]) => (chunk: Buffer) => {
    size += chunk.length;
    if (size > limit) abort(problem(process.host, "ssh.channel", `${brief(what)} printed more than ${limit} bytes`));
    else into.push(chunk);
  };
  process.stdout.on("data", collect(stdout));
  process.stderr.on("data", collect(stderr));
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => abort(problem(process.host, "ssh.timeout", `${brief(what)} did not end within ${options.timeoutMs} ms`)), options.timeoutMs);
  const onAbort = () => abort(problem(process.host, "ssh.channel", `${brief(what)} was interrupted`));
  options.signal?.addEventListener("abort", onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  feed(process.stdin, options);
  try {
    const exit = await Promise.race([aborted, process.exit]);
    return { ...exit, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/** Writes stdin in pieces, so that progress can be told, and closes it. A command that stops reading early is not an error here. */
function feed(stdin: Writable, options: RunOptions): void {
  const bytes = Buffer.from((options.stdin ?? "") as string);
  const piece = 64 * 1024;
  let sent = 0;
  const next = () => {
    while (sent < bytes.length && stdin.writable) {
      const chunk = bytes.subarray(sent, sent + piece);
      sent += chunk.length;
      options.onSent?.(sent);
      if (!stdin.write(chunk)) {
        stdin.once("drain", next);
        return;
      }
    }
    if (stdin.writable) stdin.end();
  };
  next();
}

function brief(command: string): string {
  const line = command.trim().split("\n")[0] ?? "";
  return line.length > 60 ? `"${line.slice(0, 59)}…"` : `"${line}"`;
}

function problem(host: string, code: "ssh.channel" | "ssh.timeout", what: string): SshError {
  return new SshError({ code, host, what, remedy: "Try again; if it stays so, look at the host's load and the command." });
}
