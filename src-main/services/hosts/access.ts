import { Problem } from "../../problem.ts";
import { SshConnection } from "../../ssh/connection.ts";
import type { RemoteProcess, RunOptions, RunResult } from "../../ssh/process.ts";
import { quote } from "../../ssh/quote.ts";
import type { AskSecret } from "../../ssh/target.ts";
import type { HostHandle } from "../../testbeds/testbed.ts";

/** How commands get root's rights on a host: being root, sudo that does not ask, sudo that asks, or not at all. */
export type Privilege = { readonly kind: "root" } | { readonly kind: "sudo" } | { readonly kind: "sudoPassword"; readonly password: string } | { readonly kind: "none"; readonly reason: string; readonly remedy: string };

/** A host over SSH: one connection, opened when first needed and again after it was lost, and root's rights where they can be had. */
export class HostAccess {
  readonly handle: HostHandle;
  readonly #ask: AskSecret | undefined;
  #connection: Promise<SshConnection> | undefined;
  #privilege: Promise<Privilege> | undefined;
  #closed = false;

  /** `ask` is asked for the sudo password of hosts whose `sudo` is `ask`; the answer stays in memory only. */
  constructor(handle: HostHandle, ask?: AskSecret) {
    this.handle = handle;
    this.#ask = ask;
  }

  get name(): string {
    return this.handle.name;
  }

  connection(): Promise<SshConnection> {
    if (this.#closed) return Promise.reject(new Problem({ code: "host.closed", host: this.name, what: "the connection was closed by us", remedy: "Connect again." }));
    if (this.#connection) return this.#connection;
    const opening = SshConnection.connect(this.handle.ssh, this.handle.patience ? { timeoutMs: 15_000 * this.handle.patience } : {});
    this.#connection = opening;
    const forget = () => {
      if (this.#connection === opening) this.#connection = undefined;
    };
    opening.then((c) => c.closed.then(forget), forget);
    return opening;
  }

  /** Runs a POSIX sh script as the login user; `args` are its $1, $2… */
  async run(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
    const connection = await this.connection();
    return connection.run(shellCommand(script, args), { ...options, timeoutMs: this.#patient(options.timeoutMs) });
  }

  /** Which way to root there is, found out once. Never rejects for lack of rights: `none` says why. */
  privilege(): Promise<Privilege> {
    this.#privilege ??= this.#findPrivilege().catch((error: unknown) => {
      this.#privilege = undefined;
      throw error;
    });
    return this.#privilege;
  }

  /** Runs a script as root. The password, if one is needed, goes to sudo's standard input only. Throws Problem `host.noRoot` where root cannot be had. */
  async runAsRoot(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
    const privilege = await this.privilege();
    if (privilege.kind === "none") throw new Problem({ code: "host.noRoot", host: this.name, what: privilege.reason, remedy: privilege.remedy });
    const connection = await this.connection();
    const { command, stdin } = asRoot(privilege, shellCommand(script, args), options.stdin);
    return connection.run(command, { ...options, timeoutMs: this.#patient(options.timeoutMs), ...(stdin !== undefined && { stdin }) });
  }

  /** Starts a script as root and leaves its streams to the caller. Throws as `runAsRoot` does. */
  async startAsRoot(script: string, args: readonly string[] = []): Promise<RemoteProcess> {
    const privilege = await this.privilege();
    if (privilege.kind === "none") throw new Problem({ code: "host.noRoot", host: this.name, what: privilege.reason, remedy: privilege.remedy });
    const connection = await this.connection();
    const { command, stdin } = asRoot(privilege, shellCommand(script, args), undefined);
    const process = await connection.start(command);
    if (stdin !== undefined) process.stdin.write(stdin);
    return process;
  }

  /** Ends the connection. */
  async close(): Promise<void> {
    this.#closed = true;
    const connection = await this.#connection?.catch(() => undefined);
    connection?.close();
  }

  #patient(timeoutMs = 60_000): number {
    return timeoutMs * (this.handle.patience ?? 1);
  }

  async #findPrivilege(): Promise<Privilege> {
    const probe = await this.run('id -u; command -v sudo || echo -; sudo -k -n true 2>&1 </dev/null && echo granted', [], { timeoutMs: 20_000 });
    const [uid, sudo] = probe.stdout.split("\n");
    if (uid === "0") return { kind: "root" };
    if (/^granted$/m.test(probe.stdout)) return { kind: "sudo" };
    const user = this.handle.ssh.user;
    if (sudo === "-") return { kind: "none", reason: `${user} is not root there, and there is no sudo`, remedy: "Install sudo on the host, or log in as root." };
    const password = await this.#password(user);
    if (password === undefined) {
      return { kind: "none", reason: `${user} may not use sudo without a password, and no password was given`, remedy: `Give the sudo password when asked, or allow it without: "${user} ALL=(ALL) NOPASSWD: ALL" in /etc/sudoers.d/anycast-lab.` };
    }
    return this.#checkPassword(user, password);
  }

  async #password(user: string): Promise<string | undefined> {
    if (this.handle.sudo.kind === "password") return this.handle.sudo.password;
    if (this.handle.sudo.kind === "none") return undefined;
    return this.#ask?.(`sudo password of ${user} on ${this.name}`);
  }

  async #checkPassword(user: string, password: string): Promise<Privilege> {
    const candidate: Privilege = { kind: "sudoPassword", password };
    const { command, stdin } = asRoot(candidate, "true", undefined);
    const connection = await this.connection();
    const result = await connection.run(command, { stdin, timeoutMs: this.#patient(30_000) });
    if (result.code === 0) return candidate;
    const said = result.stderr.trim();
    if (/not in the sudoers|may not run|not allowed/i.test(said)) return { kind: "none", reason: `${user} may not use sudo there`, remedy: `Allow it: "${user} ALL=(ALL) ALL" in /etc/sudoers.d/anycast-lab on the host.` };
    if (/tty/i.test(said)) return { kind: "none", reason: "sudo wants a terminal there (requiretty)", remedy: `Add "Defaults:${user} !requiretty" to /etc/sudoers.d/anycast-lab on the host.` };
    return { kind: "none", reason: `sudo refused the password of ${user}`, remedy: "Check the password and whether the user may use sudo." };
  }
}

/** A script and its arguments as one command for any login shell. */
export function shellCommand(script: string, args: readonly string[]): string {
  return ["sh", "-c", quote(script), "sh", ...args.map(quote)].join(" ");
}

/** The same with root's rights. `-k` makes sudo ask even if it remembers, so that the password never reaches the command as input. */
function asRoot(privilege: Exclude<Privilege, { kind: "none" }>, command: string, stdin: RunOptions["stdin"]): { command: string; stdin: RunOptions["stdin"] } {
  switch (privilege.kind) {
    case "root":
      return { command, stdin };
    case "sudo":
      return { command: `sudo -n ${command}`, stdin };
    case "sudoPassword":
      return { command: `sudo -k -S -p '' ${command}`, stdin: Buffer.concat([Buffer.from(`${privilege.password}\n`), Buffer.from((stdin ?? "") as string)]) };
  }
}
