import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import "reflect-metadata";
import { webcrypto, randomBytes } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { AgentArgs, AgentCallName, AgentValue, GroupConfig } from "../../src-shared/api/control.ts";
import type { AgentEvent } from "../../src-shared/api/events.ts";

const root = resolve(import.meta.dirname, "../..");
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A host of the world: a network namespace with one interface, and perhaps an agent in it. */
export interface WorldHost {
  readonly name: string;
  readonly address: string;
  readonly events: AgentEvent[];
  agent: ChildProcess | null;
  control: Socket | null;
  /** What the agent printed last. */
  said: string;
}

/**
 * Real agents in namespaces around one router, without SSH and without delay: what the protocol does on real packets, seen by
 * itself. `close` removes everything, also after a failure half-way.
 */
export class AgentWorld {
  readonly homeAddress: string;
  readonly hosts = new Map<string, WorldHost>();
  readonly #prefix: string;
  readonly #directory: string;
  #nextId = 1;

  constructor(prefix: string, homeAddress = "2001:db8:f::1") {
    this.homeAddress = homeAddress;
    this.#prefix = prefix;
    this.#directory = mkdtempSync(join(tmpdir(), `${prefix}-`));
  }

  namespace(host: string): string {
    return `${this.#prefix}-${host}`;
  }

  /** The bundle that hosts get, made anew when sources are newer. */
  static async prepare(): Promise<void> {
    const { agentIsBuilt, buildAgent } = await import("../../scripts/build-agent.mjs");
    if (!agentIsBuilt()) await buildAgent();
  }

  /** Makes the router and the hosts; the home prefix is routed to host `h`. */
  build(names: readonly string[]): void {
    const ip = (...args: string[]) => execFileSync("ip", args);
    const sysctl = (host: string, ...values: string[]) => execFileSync("ip", ["netns", "exec", this.namespace(host), "sysctl", "-qw", ...values]);
    const quiet = ["net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.default.accept_ra=0"];
    ip("netns", "add", this.namespace("r"));
    sysctl("r", ...quiet, "net.ipv6.conf.all.forwarding=1");
    for (const [i, name] of names.entries()) {
      const [ns, router] = [this.namespace(name), this.namespace("r")];
      const prefix = `2001:db8:${i + 1}`;
      this.hosts.set(name, { name, address: `${prefix}::1`, events: [], agent: null, control: null, said: "" });
      ip("netns", "add", ns);
      sysctl(name, ...quiet);
      ip("-n", ns, "link", "set", "lo", "up");
      ip("-n", router, "link", "add", `to-${name}`, "type", "veth", "peer", "name", "eth0", "netns", ns);
      ip("-n", router, "link", "set", `to-${name}`, "up");
      ip("-n", ns, "link", "set", "eth0", "up");
      ip("-n", router, "addr", "add", `${prefix}::ff/64`, "dev", `to-${name}`, "nodad");
      ip("-n", ns, "addr", "add", `${prefix}::1/64`, "dev", "eth0", "nodad");
      ip("-n", ns, "route", "add", "default", "via", `${prefix}::ff`);
      if (name === "h") ip("-n", router, "route", "add", "2001:db8:f::/64", "via", `${prefix}::1`);
    }
  }

  /** Puts a switch between the router and `host`, and stock hosts on the same link: no agent, addresses ::51, ::52, … of its prefix. */
  shareLink(host: string, neighbours: readonly string[]): void {
    const ip = (...args: string[]) => execFileSync("ip", args);
    const router = this.namespace("r");
    const prefix = this.host(host).address.replace(/::1$/, "");
    ip("-n", router, "link", "add", "switch", "type", "bridge", "mcast_snooping", "0");
    ip("-n", router, "link", "set", "switch", "up");
    ip("-n", router, "addr", "del", `${prefix}::ff/64`, "dev", `to-${host}`);
    ip("-n", router, "link", "set", `to-${host}`, "master", "switch");
    ip("-n", router, "addr", "add", `${prefix}::ff/64`, "dev", "switch", "nodad");
    // Gone with the address.
    if (host === "h") ip("-n", router, "route", "replace", "2001:db8:f::/64", "via", `${prefix}::1`);
    for (const [i, name] of neighbours.entries()) {
      const ns = this.namespace(name);
      const address = `${prefix}::5${i + 1}`;
      this.hosts.set(name, { name, address, events: [], agent: null, control: null, said: "" });
      ip("netns", "add", ns);
      execFileSync("ip", ["netns", "exec", ns, "sysctl", "-qw", "net.ipv6.conf.all.accept_ra=0"]);
      ip("-n", ns, "link", "set", "lo", "up");
      ip("-n", router, "link", "add", `to-${name}`, "type", "veth", "peer", "name", "eth0", "netns", ns);
      ip("-n", router, "link", "set", `to-${name}`, "master", "switch", "up");
      ip("-n", ns, "addr", "add", `${address}/64`, "dev", "eth0", "nodad");
      ip("-n", ns, "link", "set", "eth0", "up");
      ip("-n", ns, "route", "add", "default", "via", `${prefix}::ff`);
    }
  }

  /** What a command in a host's namespace prints. */
  exec(name: string, ...command: readonly string[]): string {
    return execFileSync("ip", ["netns", "exec", this.namespace(name), ...command], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }

  /** The run directory of a host's agent; it stays when the agent ends. */
  directory(name: string): string {
    return join(this.#directory, name);
  }

  host(name: string): WorldHost {
    const host = this.hosts.get(name);
    if (!host) throw new Error(`no host ${name}`);
    return host;
  }

  /** Starts the agent of a host and waits until it answers. */
  async startAgent(name: string, dataPlane: "kernel" | "ebpf" | "userspace", more: readonly string[] = []): Promise<void> {
    const host = this.host(name);
    const dir = this.directory(name);
    const args = ["run", "--dir", dir, "--host", name, "--interface", "eth0", "--address", host.address, "--data-plane", dataPlane, ...more];
    host.agent = spawn("ip", ["netns", "exec", this.namespace(name), process.execPath, join(root, "out/agent/agent.mjs"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const hear = (chunk: Buffer): void => void (host.said = (host.said + chunk.toString()).slice(-20_000));
    host.agent.stdout?.on("data", hear);
    host.agent.stderr?.on("data", hear);
    for (let attempt = 0; attempt < 800 * (process.env["EMULATED"] ? 10 : 1) && !host.control; attempt++) {
      if (host.agent.exitCode !== null) throw new Error(`agent ${name} ended: ${host.said}`);
      host.control = await dial(join(dir, "control.sock"));
      if (!host.control) await pause(50);
    }
    if (!host.control) throw new Error(`agent ${name} does not answer: ${host.said}`);
    createInterface({ input: host.control }).on("line", (line) => this.#receive(host, line));
  }

  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();

  call<N extends AgentCallName>(name: string, call: N, args: AgentArgs<N>): Promise<AgentValue<N>> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.host(name).control?.write(`${JSON.stringify({ id, call, args })}\n`);
    });
  }

  #receive(host: WorldHost, line: string): void {
    const message = JSON.parse(line) as { event?: AgentEvent; id?: number; ok?: boolean; value?: unknown; error?: { message: string } };
    if (message.event) {
      host.events.push(message.event);
      return;
    }
    const waiting = this.#waiting.get(message.id as number);
    this.#waiting.delete(message.id as number);
    if (message.ok) waiting?.resolve(message.value);
    else waiting?.reject(new Error(message.error?.message));
  }

  /** Forms one group: home agent `h`, the named members (the first is the contact), correspondents; resolves when registered and linked. */
  async formGroup(members: readonly string[], correspondents: readonly string[], services: GroupConfig["services"], maxLifetimeSeconds?: number): Promise<void> {
    const registration = this.newKey(1000);
    await this.call("h", "serveHome", { homeAddress: this.homeAddress, associations: [registration], maxLifetimeSeconds: 420 });
    for (const name of correspondents) await this.call(name, "serveCorrespondent", maxLifetimeSeconds ? { maxLifetimeSeconds } : {});
    for (const name of members) await this.join(name, members, services, name === members[0] ? registration : undefined);
    const linked = (name: string) => this.host(name).events.filter((e) => e.body.type === "memberUp").length >= members.length - 1;
    await until(() => members.every(linked) && this.host(members[0] as string).events.some((e) => e.body.type === "homeRegistered"), "the group to stand", () => this.describe());
  }

  newKey(spi: number): { spi: number; key: string } {
    return { spi, key: randomBytes(32).toString("base64") };
  }

  #authority: Promise<{ readonly keys: webcrypto.CryptoKeyPair; readonly certificate: x509.X509Certificate }> | null = null;

  /** Has a host join the group of `members`, whose first is the contact. */
  async join(name: string, members: readonly string[], services: GroupConfig["services"], registration: GroupConfig["registration"]): Promise<void> {
    this.#authority ??= newAuthority();
    const { keys, certificate: ca } = await this.#authority;
    const { publicKey } = await this.call(name, "memberKey", { group: "g" });
    const certificate = await x509.X509CertificateGenerator.create({
      subject: `CN=${name}`,
      issuer: ca.subject,
      publicKey: new x509.PublicKey(x509.PemConverter.decodeFirst(publicKey)),
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: "url", value: `urn:anycast-lab:group:g:member:${name}` }])],
    });
    await this.call(name, "join", {
      id: "g",
      homeAddress: this.homeAddress,
      homeAgent: this.host("h").address,
      self: name,
      contact: members[0] as string,
      backups: [],
      members: members.map((m) => ({ name: m, address: this.host(m).address, port: 7135 })),
      services,
      epoch: 1,
      ...(registration ? { registration } : {}),
      authority: ca.toString("pem"),
      certificate: certificate.toString("pem"),
      ...(process.env["EMULATED"] ? { patience: 4 } : {}),
    });
  }

  /** Every event so far, for a failing test's message. */
  describe(): string {
    const end = (h: WorldHost): string => (h.agent && h.agent.exitCode !== null ? `\n   its agent has ended: ${h.said}` : "");
    return [...this.hosts.values()].map((h) => `${h.name}: ${h.events.map((e) => JSON.stringify(e.body)).join("\n   ")}${end(h)}`).join("\n");
  }

  async stopAgent(name: string): Promise<void> {
    const host = this.host(name);
    host.control?.destroy();
    host.control = null;
    if (!host.agent || host.agent.exitCode !== null || host.agent.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => host.agent?.once("exit", () => resolve()));
    host.agent.kill("SIGTERM");
    await ended;
  }

  /** SIGKILL: nothing is said and nothing tidied up. */
  async killAgent(name: string): Promise<void> {
    const host = this.host(name);
    host.control?.destroy();
    host.control = null;
    const ended = new Promise<void>((resolve) => host.agent?.once("exit", () => resolve()));
    // `ip netns exec` has replaced itself by the agent.
    host.agent?.kill("SIGKILL");
    await ended;
  }

  async close(): Promise<void> {
    for (const name of this.hosts.keys()) await this.stopAgent(name);
    for (const name of [...this.hosts.keys(), "r"]) {
      try {
        execFileSync("ip", ["netns", "del", this.namespace(name)], { stdio: "ignore" });
      } catch {
        // was never made
      }
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** What `ip` and `tc` show of a host, to compare before and after. */
  traces(name: string): string {
    const ns = this.namespace(name);
    const show = (...args: string[]) => execFileSync(args[0] as string, args.slice(1), { encoding: "utf8" });
    return [
      show("ip", "-n", ns, "addr"),
      show("ip", "-n", ns, "-6", "route", "show", "table", "all").replace(/ expires \d+sec/g, ""),
      show("ip", "-n", ns, "-6", "rule"),
      show("tc", "-n", ns, "qdisc", "show"),
      show("tc", "-n", ns, "filter", "show", "dev", "eth0", "ingress"),
      readFileSync(`/proc/sys/net/ipv6/conf/all/forwarding`, "utf8"),
    ].join("---\n");
  }
}

async function newAuthority(): Promise<{ readonly keys: webcrypto.CryptoKeyPair; readonly certificate: x509.X509Certificate }> {
  x509.cryptoProvider.set(globalThis.crypto);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({ name: "CN=group", keys, signingAlgorithm: algorithm, extensions: [new x509.BasicConstraintsExtension(true, 0, true)] });
  return { keys, certificate };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for a condition; throws naming it after `limitMs`. */
export async function until(condition: () => boolean, what: string, describe: () => string = () => "", limitMs = 10_000): Promise<void> {
  for (let i = 0; i < (limitMs / 10) * (process.env["EMULATED"] ? 10 : 1); i++) {
    if (condition()) return;
    await pause(10);
  }
  throw new Error(`waited in vain for ${what}\n${describe()}`);
}

function dial(path: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", () => resolve(null));
  });
}
