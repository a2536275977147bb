import { once } from "node:events";
import type { Duplex } from "node:stream";
import ssh2, { type ClientChannel } from "ssh2";
import { authenticator, type Tried } from "./authentication.ts";
import { dial } from "./dial.ts";
import { SshError } from "./errors.ts";
import { hostKeyFromBlob } from "./host-key.ts";
import { RemoteProcess, type RunOptions, type RunResult, run } from "./process.ts";
import type { SshTarget } from "./target.ts";
import { preferredAlgorithms, readTrust, refusal } from "./verify.ts";

/** AEAD and CTR only: what OpenSSL and BoringSSL (Electron) both have. */
const ciphers = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"] as const;

export interface ConnectOptions {
  /** For dialling and for the SSH handshake, each, in ms; the time a person takes to type a password counts too. */
  readonly timeoutMs?: number;
  /** A dead peer is noticed after three of these, in ms. */
  readonly keepaliveMs?: number;
}

/** The size and kind of a terminal. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * One SSH connection to one host. Everything rejects with SshError; after `closed` resolves, every call does. Not reconnecting: make a new one.
 */
export class SshConnection {
  readonly target: SshTarget;
  /** Resolves once, when the connection has ended, with the reason if it was not asked for. */
  readonly closed: Promise<SshError | undefined>;
  readonly #client: ssh2.Client;
  readonly #finish: () => void;
  #failure: Error | undefined;
  #closing = false;
  #ended = false;

  private constructor(target: SshTarget, client: ssh2.Client, jump: SshConnection | undefined) {
    this.target = target;
    this.#client = client;
    client.on("error", (error: Error & { level?: string }) => {
      if (error.level !== "agent") this.#failure = error;
    });
    let resolve: (why: SshError | undefined) => void = () => {};
    this.closed = new Promise((r) => {
      resolve = r;
    });
    this.#finish = () => {
      this.#ended = true;
      jump?.close();
      resolve(this.#closing ? undefined : this.#lost());
    };
    client.once("close", this.#finish);
  }

  /** Connects, checks the host key (failing closed), logs in. */
  static async connect(target: SshTarget, options: ConnectOptions = {}): Promise<SshConnection> {
    const timeoutMs = options.timeoutMs ?? 15_000;
    const known = await readTrust(target.trust).catch((error: Error) => {
      throw new SshError({ code: "ssh.config", host: target.host, what: `known hosts cannot be read: ${error.message}`, remedy: "Correct the file's permissions.", cause: error });
    });
    const jump = target.jump && (await SshConnection.connect(target.jump, options));
    try {
      const sock = await openTransport(target, jump, timeoutMs);
      const client = new ssh2.Client();
      const connection = new SshConnection(target, client, jump);
      await handshake(target, client, {
        sock,
        username: target.user,
        readyTimeout: timeoutMs,
        keepaliveInterval: options.keepaliveMs ?? 10_000,
        keepaliveCountMax: 3,
        algorithms: { cipher: [...ciphers], serverHostKey: preferredAlgorithms(known, target.trust) },
      }, (blob) => refusal(target.host, known, target.trust, hostKeyFromBlob(blob)));
      return connection;
    } catch (error) {
      jump?.close();
      throw error;
    }
  }

  /** Starts a command (given to the login shell) and hands over its streams. With `terminal` it gets a pseudo-terminal. */
  async start(command: string, terminal?: TerminalSize & { readonly term?: string }): Promise<RemoteProcess> {
    const pty = terminal ? { pty: { term: terminal.term ?? "xterm-256color", cols: terminal.columns, rows: terminal.rows, width: 0, height: 0 } } : {};
    return this.#channel((done) => this.#client.exec(command, pty, done), "a command", (channel) => new RemoteProcess(this.target.host, channel));
  }

  /** A login shell on a pseudo-terminal. */
  async shell(terminal: TerminalSize & { readonly term?: string }): Promise<RemoteProcess> {
    const window = { term: terminal.term ?? "xterm-256color", cols: terminal.columns, rows: terminal.rows, width: 0, height: 0 };
    return this.#channel((done) => this.#client.shell(window, done), "a shell", (channel) => new RemoteProcess(this.target.host, channel));
  }

  /** Runs a command to its end. A non-zero exit is a result, not an error. */
  async run(command: string, options: RunOptions = {}): Promise<RunResult> {
    return run(await this.start(command), command, options);
  }

  /** A stream to a Unix socket on the host. Code `ssh.channel` where nothing listens there or sshd forbids it: OpenSSH answers both alike. */
  async forwardUnix(path: string): Promise<Duplex> {
    return this.#channel((done) => this.#client.openssh_forwardOutStreamLocal(path, done), `the socket ${path}`, (channel) => channel);
  }

  /** A TCP stream from the host to an address it can reach. Code `ssh.forwardingOff` where sshd forbids it. */
  async forwardTcp(hostname: string, port: number): Promise<Duplex> {
    return this.#channel((done) => this.#client.forwardOut("127.0.0.1", 0, hostname, port, done), `${hostname} port ${port}`, (channel) => channel);
  }

  /** Ends the connection and all its streams. Safe to call twice. */
  close(): void {
    this.#closing = true;
    this.#client.end();
    // ssh2 waits for the peer to close its side; one that is gone or stuck never would.
    const timer = setTimeout(() => {
      this.#client.destroy();
      this.#finish();
    }, 500);
    void this.closed.then(() => clearTimeout(timer));
  }

  /** Opens a channel. `wrap` runs before ssh2 reads on: a short command's exit and close may be in the same packet as the answer. */
  async #channel<T>(open: (done: (error: Error | undefined, channel: ClientChannel) => void) => unknown, what: string, wrap: (channel: ClientChannel) => T): Promise<T> {
    if (this.#ended) throw this.#lost();
    return new Promise<T>((resolve, reject) => {
      const ended = () => reject(this.#lost());
      this.#client.once("close", ended);
      const done = (error: Error | undefined, channel: ClientChannel) => {
        this.#client.off("close", ended);
        if (error) reject(this.#refused(error, what));
        else resolve(wrap(channel));
      };
      try {
        open(done);
      } catch (error) {
        done(error as Error, undefined as never);
      }
    });
  }

  #refused(error: Error & { reason?: unknown }, what: string): SshError {
    const host = this.target.host;
    // RFC 4254 §5.1: 1 is "administratively prohibited", 2 "connect failed".
    if (error.reason === 1) {
      return new SshError({ code: "ssh.forwardingOff", host, what: `sshd does not allow forwarding to ${what}`, remedy: "Set AllowStreamLocalForwarding and AllowTcpForwarding to yes in sshd_config, or do without.", cause: error });
    }
    return new SshError({ code: "ssh.channel", host, what: `${what} could not be opened: ${error.message}`, remedy: "Check that it exists, that sshd_config allows it (AllowStreamLocalForwarding), and how many are open (MaxSessions).", cause: error });
  }

  #lost(): SshError {
    const why = this.#failure ? `: ${this.#failure.message}` : "";
    return new SshError({ code: "ssh.lost", host: this.target.host, what: this.#closing ? "the SSH connection was closed" : `the SSH connection was lost${why}`, remedy: "Check the host and the network, then connect again.", cause: this.#failure });
  }
}

async function openTransport(target: SshTarget, jump: SshConnection | undefined, timeoutMs: number): Promise<Duplex> {
  if (target.stream) return target.stream();
  if (jump) return jump.forwardTcp(target.hostname, target.port);
  return dial(target.host, target.hostname, target.port, timeoutMs);
}

/** Runs the handshake to its end. The host key is judged before any credential is shown; a thrown judgement refuses too. */
async function handshake(target: SshTarget, client: ssh2.Client, config: ssh2.ConnectConfig, judge: (blob: Buffer) => SshError | undefined): Promise<void> {
  const tried: Tried = [];
  let refused: SshError | undefined;
  const hostVerifier = (blob: Buffer): boolean => {
    try {
      refused = judge(blob);
    } catch (error) {
      refused = new SshError({ code: "ssh.handshake", host: target.host, what: `its host key cannot be read: ${(error as Error).message}`, remedy: "Check what listens on that port.", cause: error });
    }
    return refused === undefined;
  };
  const ended = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("ready", resolve);
      client.on("error", (error: Error & { level?: string }) => {
        if (error.level !== "agent") reject(error);
        else tried.push(`SSH agent failed: ${error.message}`);
      });
      once(client, "close", { signal: ended.signal }).then(() => reject(new Error("connection closed during the handshake")), () => {});
      client.connect({ ...config, hostVerifier, authHandler: authenticator(target.user, target.credentials, tried) });
    });
  } catch (error) {
    client.destroy();
    throw refused ?? explain(target, error as Error & { level?: string }, tried);
  } finally {
    ended.abort();
  }
}

function explain(target: SshTarget, error: Error & { level?: string }, tried: Tried): SshError {
  if (error instanceof SshError) return error; // the stream below has said it better
  const host = target.host;
  if (error.level === "client-authentication") {
    const what = tried.length > 0 ? `login as ${target.user} was refused; tried ${tried.join(", ")}` : `login as ${target.user} was refused; there was no key to try`;
    return new SshError({ code: "ssh.authentication", host, what, remedy: "Load the right key into the SSH agent (ssh-add), name it as identityFile, or add its public half to authorized_keys on the host.", details: { user: target.user, tried }, cause: error });
  }
  if (error.level === "client-timeout") {
    return new SshError({ code: "ssh.timeout", host, what: "no SSH answer in time", remedy: "Check that sshd (and not something else) listens on that port, and the load of the host.", cause: error });
  }
  return new SshError({ code: "ssh.handshake", host, what: `the SSH handshake failed: ${error.message}`, remedy: "Check that an SSH server with modern algorithms (AES-GCM or CTR; Ed25519, ECDSA or RSA-SHA2 host keys) answers there.", cause: error });
}
