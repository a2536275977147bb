import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { release } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** What a data plane host reports on its own account. */
export interface HostEvent {
  readonly event: string;
  readonly args: readonly unknown[];
}

const hostProgram = fileURLToPath(new URL("./planeHost.ts", import.meta.url));

/** Why tests with namespaces cannot run here, or null. */
export function cannotHaveNamespaces(): string | null {
  if (process.platform !== "linux") return "needs Linux";
  if (process.getuid?.() !== 0) return "needs root";
  return null;
}

/** Why the kernel's own Mobile IPv6 cannot be tested here, or null. */
export function kernelCannotTranslate(): string | null {
  const why = cannotHaveNamespaces();
  if (why) return why;
  try {
    run("unshare", "--net", "ip", "xfrm", "state", "add", "src", "100::1", "dst", "100::2", "proto", "hao", "mode", "ro", "coa", "100::3");
    return null;
  } catch {
    return "this kernel has no CONFIG_IPV6_MIP6 (test/long/stockKernel.spec.ts runs these on one that has)";
  }
}

/** Why tcx cannot be tested here, or null. */
export function cannotHaveTcx(): string | null {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  return cannotHaveNamespaces() ?? (major > 6 || (major === 6 && minor >= 6) ? null : "tcx came with Linux 6.6");
}

export function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** One process with a data plane in a namespace. */
export class PlaneHost {
  readonly events: HostEvent[] = [];
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  #nextId = 1;
  #stderr = "";
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #watchers: (() => void)[] = [];

  constructor(namespace: string, kind: string, device: string, address: string, options: { attach?: string; wrap?: readonly string[] } = {}) {
    const node = [process.execPath, hostProgram, kind, device, address, ...(options.attach ? [options.attach] : [])];
    this.child = spawn("ip", ["netns", "exec", namespace, ...(options.wrap ?? []), ...node], { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stderr?.on("data", (text: Buffer) => (this.#stderr += text.toString()));
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on("line", (line) => this.#take(line));
    this.child.on("exit", () => this.#fail());
    this.ready = this.until(() => this.events.some((e) => e.event === "ready"), "the data plane's start", process.env["EMULATED"] ? 600_000 : 30_000).then(() => {});
  }

  call<T = unknown>(call: string, ...args: readonly unknown[]): Promise<T> {
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.child.stdin?.write(`${JSON.stringify({ id, call, args })}\n`);
    });
  }

  /** Resolves once `condition` holds; looked at after each event and every 20 ms. */
  async until(condition: () => boolean, what = "condition", limitMs = 10_000): Promise<void> {
    const end = Date.now() + limitMs;
    while (!condition()) {
      if (this.child.exitCode !== null) throw new Error(`the data plane ended: ${this.#stderr}`);
      if (Date.now() > end) throw new Error(`${what} did not come true in ${limitMs} ms; stderr: ${this.#stderr}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20);
        this.#watchers.push(() => (clearTimeout(timer), resolve()));
      });
    }
  }

  drops(): Promise<Record<string, number>> {
    return this.call<{ drops: Record<string, number> }>("counters").then((counters) => counters.drops);
  }

  /** An orderly end. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.stdin?.end();
    await gone;
  }

  /** SIGKILL, to the process itself (`ip netns exec` replaces itself by it). */
  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await gone;
  }

  #take(line: string): void {
    const message = JSON.parse(line) as { id?: number; value?: unknown; error?: string } & HostEvent;
    if (message.id === undefined) this.events.push(message);
    else {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.value);
      else waiting?.reject(new Error(message.error));
    }
    for (const watcher of this.#watchers.splice(0)) watcher();
  }

  #fail(): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(`the data plane ended: ${this.#stderr}`));
    this.#waiting.clear();
    for (const watcher of this.#watchers.splice(0)) watcher();
  }
}

/** Removes the namespaces of runs that were killed, with what still runs in them. */
function removeAbandoned(prefix: string): void {
  for (const line of run("ip", "netns", "list").split("\n")) {
    const [name = ""] = line.split(" ");
    const [, owner] = new RegExp(`^${prefix}-(\\d+)-`).exec(name) ?? [];
    if (!owner || existsSync(`/proc/${owner}`)) continue;
    for (const pid of run("ip", "netns", "pids", name).split("\n").filter(Boolean)) process.kill(Number(pid), "SIGKILL");
    run("ip", "netns", "del", name);
  }
}

/** Network namespaces around one router, each with a /64 of its own; everything goes when `close` is called. */
export class PlaneWorld {
  readonly prefix: string;
  readonly #names: string[] = [];
  readonly #processes: ChildProcess[] = [];
  readonly #hosts: PlaneHost[] = [];
  readonly #forwarders = new Map<string, { output: string }>();
  readonly #injectors = new Map<string, { readonly child: ChildProcess; readonly next: () => Promise<string> }>();

  /** `prefix` says whose namespaces these are; the process's number is added, so that two runs do not meet. */
  constructor(prefix: string) {
    this.prefix = `${prefix}-${process.pid}`;
    removeAbandoned(prefix);
    this.#add("r");
    run("ip", "netns", "exec", this.namespace("r"), "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1");
  }

  namespace(host: string): string {
    return `${this.prefix}-${host}`;
  }

  /**
   * A host on the network 2001:db8:`net`::/64 with address ::2, its interface `eth0`, and the router as its default route. With `forwarder`, that
   * program (given two device names) joins host and router instead of a veth pair.
   */
  addHost(host: string, net: string, options: { forwarder?: readonly string[] } = {}): string {
    this.#add(host);
    const [inside, outside] = [this.namespace(host), this.namespace("r")];
    if (options.forwarder) this.#joinBy(options.forwarder, host);
    else run("ip", "link", "add", "eth0", "netns", inside, "type", "veth", "peer", "name", `to-${host}`, "netns", outside);
    for (const [namespace, device, address] of [
      [inside, "eth0", `2001:db8:${net}::2/64`],
      [outside, `to-${host}`, `2001:db8:${net}::1/64`],
    ] as const) {
      run("ip", "-n", namespace, "addr", "add", address, "dev", device, "nodad");
      run("ip", "-n", namespace, "link", "set", device, "up");
    }
    run("ip", "-n", inside, "-6", "route", "add", "default", "via", `2001:db8:${net}::1`);
    return `2001:db8:${net}::2`;
  }

  /** Resolves when every forwarder runs. */
  async forwarding(): Promise<void> {
    const end = Date.now() + 10_000;
    while ([...this.#forwarders.values()].some(({ output }) => !output.includes("forwarding"))) {
      if (Date.now() > end) throw new Error(`a forwarder does not start: ${[...this.#forwarders.values()].map(({ output }) => output).join(" ")}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  forwarderOutput(host: string): string {
    return this.#forwarders.get(host)?.output ?? "";
  }

  /** The router sends `prefix` to `host`, and refuses what is larger than `mtu`. */
  routeTo(prefix: string, host: string, net: string, mtu?: number): void {
    run("ip", "-n", this.namespace("r"), "-6", "route", "replace", prefix, "via", `2001:db8:${net}::2`, "dev", `to-${host}`, ...(mtu ? ["mtu", String(mtu)] : []));
  }

  /** The router refuses what is larger than `mtu` on its way to `host`, as if a narrower link came behind it. */
  narrow(host: string, net: string, mtu: number): void {
    run("ip", "-n", this.namespace("r"), "-6", "route", "change", `2001:db8:${net}::/64`, "dev", `to-${host}`, "proto", "kernel", "metric", "256", "mtu", String(mtu));
  }

  async plane(host: string, kind: string, address: string, options: { attach?: string; wrap?: readonly string[] } = {}): Promise<PlaneHost> {
    const plane = new PlaneHost(this.namespace(host), kind, "eth0", address, options);
    this.#hosts.push(plane);
    await plane.ready;
    return plane;
  }

  exec(host: string, ...command: readonly string[]): string {
    return run("ip", "netns", "exec", this.namespace(host), ...command);
  }

  start(host: string, ...command: readonly string[]): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.namespace(host), ...command], { stdio: ["pipe", "pipe", "pipe"] });
    this.#processes.push(child);
    return child;
  }

  /** Sends a packet (a scapy expression) from a host; resolves with the ICMPv6 errors that it got for it within 0.3 s. */
  async inject(host: string, expression: string, device = "eth0"): Promise<string[]> {
    const key = `${host} ${device}`;
    let injector = this.#injectors.get(key);
    if (!injector) {
      const child = this.start(host, "/usr/bin/python3", fileURLToPath(new URL("./inject.py", import.meta.url)), device);
      let trouble = "";
      child.stderr?.on("data", (text: Buffer) => (trouble += text.toString()));
      const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
      const next = async (): Promise<string> => {
        const { value, done } = (await lines.next()) as { value: string; done?: boolean };
        if (done) throw new Error(`scapy ended: ${trouble}`);
        return value;
      };
      injector = { child, next };
      this.#injectors.set(key, injector);
      await next();
    }
    injector.child.stdin?.write(`${expression}\n`);
    return JSON.parse(await injector.next()) as string[];
  }

  /** Everything that tools can see of a namespace's network setup. */
  dump(host: string): string {
    const sections = [
      ["ip", "-o", "link"],
      ["ip", "-o", "-6", "addr"],
      ["ip", "-6", "rule"],
      ["ip", "-6", "route", "show", "table", "all"],
      ["tc", "qdisc"],
      ["tc", "filter", "show", "dev", "eth0", "ingress"],
      ["tc", "filter", "show", "dev", "eth0", "egress"],
      ["nft", "list", "ruleset"],
      ["ip", "xfrm", "state"],
      ["ip", "xfrm", "policy"],
    ].map((command) => `# ${command.join(" ")}\n${this.exec(host, ...command)}`);
    // Lifetimes, statistics and what the kernel learns by itself.
    return sections.join("\n").replace(/ (expires|used|age) \S+/g, "").replace(/^.* cache .*$/gm, "");
  }

  async close(): Promise<void> {
    for (const child of this.#processes) child.kill("SIGKILL");
    await Promise.all(this.#hosts.map((host) => (host.child.exitCode === null && host.child.signalCode === null ? host.kill() : undefined)));
    for (const name of this.#names) run("ip", "netns", "del", name);
  }

  #joinBy(forwarder: readonly string[], host: string): void {
    const middle = `x-${host}`;
    this.#add(middle);
    for (const [device, namespace, end] of [["eth0", host, "inner"], [`to-${host}`, "r", "outer"]] as const) {
      run("ip", "link", "add", device, "netns", this.namespace(namespace), "type", "veth", "peer", "name", end, "netns", this.namespace(middle));
      run("ip", "-n", this.namespace(middle), "link", "set", end, "up");
    }
    const state = { output: "" };
    this.#forwarders.set(host, state);
    const child = this.start(middle, ...forwarder, "inner", "outer");
    child.stdout?.on("data", (text: Buffer) => (state.output += text.toString()));
    child.stderr?.on("data", (text: Buffer) => (state.output += text.toString()));
  }

  #add(host: string): void {
    const name = this.namespace(host);
    run("ip", "netns", "add", name);
    this.#names.push(name);
    run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=0");
    run("ip", "-n", name, "link", "set", "lo", "up");
  }
}
