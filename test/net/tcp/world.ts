import { execFileSync, fork, spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { HostAnswer, HostCommand } from "./host.ts";

const prefix = "tcpmove";
/** X, on both members, and the client's address. */
export const home = "2001:db8:ffff::1";
export const client = "2001:db8:a::2";

/** Why the tests that need a world of their own cannot run here, or null. */
export function whyNoWorld(): string | null {
  if (process.platform !== "linux") return "needs Linux";
  if (process.getuid?.() !== 0) return "needs root (network namespaces, CAP_NET_ADMIN)";
  try {
    execFileSync("ip", ["netns", "list"], { stdio: "pipe" });
    execFileSync("setpriv", ["--version"], { stdio: "pipe" });
    return null;
  } catch (error) {
    return `needs ip (iproute2) and setpriv (util-linux): ${(error as Error).message.split("\n")[0]}`;
  }
}

/** A member's host process with its own network namespace and services. */
export class Member {
  readonly namespace: string;
  readonly log: string[] = [];
  readonly process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #next = 1;

  constructor(namespace: string, directory: string) {
    this.namespace = namespace;
    this.process = fork(resolve(import.meta.dirname, "host.ts"), [join(directory, `${namespace}.sock`)], {
      execPath: "/usr/bin/env",
      execArgv: ["ip", "netns", "exec", namespace, process.execPath],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.process.on("message", (message: HostAnswer) => this.#receive(message));
    this.process.on("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${namespace}: the host process ended`));
    });
  }

  /** Calls the host; rejects with its error, whose `code` is kept. */
  call<T = unknown>(command: HostCommand): Promise<T> {
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.process.send({ id, command });
    });
  }

  #receive(message: HostAnswer): void {
    if (message.kind === "log") {
      this.log.push(message.text);
      if (process.env["VERBOSE"]) console.log(`${this.namespace}: ${message.text}`);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.kind === "value") waiting?.resolve(message.value as never);
    else waiting?.reject(Object.assign(new Error(message.message), { code: message.code }));
  }
}

/** client -- router -- members a and b; the router decides who is X. Everything is removed by `close`, or when this process ends. */
export class World {
  readonly directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
  readonly a: Member;
  readonly b: Member;
  readonly #names = ["c", "r", "a", "b"].map((name) => `${prefix}${process.pid}${name}`);
  #moves = 0;
  readonly #children = new Set<ChildProcess>();
  readonly #onExit = () => this.#cleanUp();
  readonly #onTerminate = () => process.exit(143);

  constructor() {
    removeLeftovers();
    process.on("exit", this.#onExit);
    process.on("SIGTERM", this.#onTerminate);
    const [c, r, a, b] = this.#names as [string, string, string, string];
    for (const name of this.#names) {
      ip("netns", "add", name);
      ip("-n", name, "link", "set", "lo", "up");
      execFileSync("ip", ["netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.forwarding=1"]);
    }
    for (const [name, site] of [[c, "a"], [a, "b1"], [b, "b2"]] as const) {
      ip("-n", name, "link", "add", "net0", "type", "veth", "peer", "name", site, "netns", r);
      ip("-n", name, "link", "set", "net0", "up");
      ip("-n", r, "link", "set", "dev", site, "up");
      ip("-n", name, "addr", "add", `2001:db8:${site}::2/64`, "dev", "net0", "nodad");
      ip("-n", r, "addr", "add", `2001:db8:${site}::1/64`, "dev", site, "nodad");
      ip("-n", name, "-6", "route", "add", "default", "via", `2001:db8:${site}::1`);
    }
    for (const name of [a, b]) ip("-n", name, "addr", "add", `${home}/128`, "dev", "lo", "nodad");
    this.a = new Member(a, this.directory);
    this.b = new Member(b, this.directory);
    this.route(this.a);
  }

  get clientNamespace(): string {
    return this.#names[0] as string;
  }

  /** From now the client's packets for X go to `member`. */
  route(member: Member): void {
    const site = member === this.a ? "b1" : "b2";
    ip("-n", this.#names[1] as string, "-6", "route", "replace", `${home}/128`, "via", `2001:db8:${site}::2`);
  }

  /** Offers a service on both members. */
  async offer(name: string, port: number, serve: readonly string[] | null, test = false): Promise<void> {
    await Promise.all([this.a, this.b].map((m) => m.call({ do: "offer", home, name, port, serve, test })));
  }

  /** Moves everything of the client from `from` to the other member, as an agent does it. */
  async move(from: Member): Promise<{ readonly to: Member; readonly connections: number; readonly bytes: number; readonly failed: readonly string[] }> {
    const to = this.other(from);
    const handoff = `move${this.#moves++}`;
    const { bundle, connections } = await from.call<{ bundle: Uint8Array; connections: number }>({ do: "release", home, client, handoff });
    await to.call({ do: "prepareAdopt", home, client, handoff, bundle });
    this.route(to);
    await from.call({ do: "destroy", handoff });
    const { failed } = await to.call<{ failed: string[] }>({ do: "activate", handoff });
    return { to, connections, bytes: bundle.length, failed };
  }

  /** A TCP counter of a namespace, by its name in /proc/net/snmp. */
  tcpCounter(namespace: string, name: string): number {
    const lines = execFileSync("ip", ["netns", "exec", namespace, "cat", "/proc/net/snmp"], { encoding: "utf8" }).split("\n").filter((line) => line.startsWith("Tcp:"));
    const [names = [], values = []] = lines.map((line) => line.split(" "));
    return Number(values[names.indexOf(name)]);
  }

  /** Packets to the client vanish at the router, or no longer. */
  cutOffClient(cut: boolean): void {
    ip("-n", this.#names[1] as string, "-6", "route", cut ? "add" : "del", "blackhole", `${client}/128`);
  }

  other(member: Member): Member {
    return member === this.a ? this.b : this.a;
  }

  /** A program in the client's namespace, or another's. */
  run(command: readonly string[], options: SpawnOptions = {}, namespace = this.clientNamespace): ChildProcess {
    const child = spawn("ip", ["netns", "exec", namespace, ...command], options);
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  async close(): Promise<void> {
    await Promise.all([this.a, this.b].map((m) => (m.process.connected ? m.call({ do: "close" }).catch(() => {}) : undefined)));
    process.off("exit", this.#onExit);
    process.off("SIGTERM", this.#onTerminate);
    this.#cleanUp();
  }

  #cleanUp(): void {
    for (const child of [...this.#children, this.a?.process, this.b?.process]) child?.kill("SIGKILL");
    for (const name of this.#names) {
      try {
        execFileSync("ip", ["netns", "del", name], { stdio: "pipe" });
      } catch {
        // It was not made yet.
      }
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Namespaces of test processes that died without cleaning up, and what still runs in them. */
function removeLeftovers(): void {
  const names = execFileSync("ip", ["netns", "list"], { encoding: "utf8" }).match(new RegExp(`^${prefix}\\d+[crab]\\b`, "gm")) ?? [];
  for (const name of names) {
    const owner = Number(/\d+/.exec(name.slice(prefix.length))?.[0]);
    if (existsSync(`/proc/${owner}`)) continue;
    for (const pid of execFileSync("ip", ["netns", "pids", name], { encoding: "utf8" }).split("\n").filter(Boolean)) process.kill(Number(pid), "SIGKILL");
    ip("netns", "del", name);
  }
}

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: "pipe" });
}
