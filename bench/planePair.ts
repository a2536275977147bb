import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PlaneHost, run } from "../test/support/planeWorld.ts";

export type Variant = "plain" | "kernel" | "ebpf" | "userspace";

const blaster = fileURLToPath(new URL("./blaster.ts", import.meta.url));
const home = "2001:db8:f::1";
const ends = { client: "2001:db8:1::a", node: "2001:db8:1::b" } as const;
const ports = { download: "9001", upload: "9002" } as const;

/** A client and an anycast node in namespaces of their own, one veth pair between them, and TCP to the home address over it. */
export class PlanePair {
  readonly variant: Variant;
  readonly #namespaces: { readonly client: string; readonly node: string };
  readonly #planes: PlaneHost[] = [];
  readonly #servers: ChildProcess[] = [];

  private constructor(variant: Variant, prefix: string) {
    this.variant = variant;
    this.#namespaces = { client: `${prefix}-c`, node: `${prefix}-n` };
  }

  static async open(variant: Variant, prefix: string): Promise<PlanePair> {
    const pair = new PlanePair(variant, prefix);
    try {
      pair.#connect();
      if (variant !== "plain") await pair.#startPlanes(variant);
      await pair.#startServers();
      return pair;
    } catch (error) {
      await pair.close();
      throw error;
    }
  }

  /** One stream of `seconds`. Goodput in Gbit/s as the receiver (download) or the sender (upload) counts it. */
  async stream(direction: "download" | "upload", congestion: string, seconds: number): Promise<{ gbps: number; cpuSecondsPerGB: number }> {
    const before = this.#cpuSeconds();
    const child = spawn("ip", ["netns", "exec", this.#namespaces.client, process.execPath, blaster, direction === "download" ? "receive" : "send", home, ports[direction], String(seconds), congestion], { stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.on("data", (text: Buffer) => (out += text.toString()));
    await new Promise((resolve) => child.once("close", resolve));
    const { bytes, seconds: took, cpuSeconds, allBytes } = JSON.parse(out) as Record<"bytes" | "seconds" | "cpuSeconds" | "allBytes", number>;
    const cpu = this.#cpuSeconds() - before + cpuSeconds;
    return { gbps: (8 * bytes) / took / 1e9, cpuSecondsPerGB: cpu / (allBytes / 1e9) };
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.kill("SIGKILL");
    for (const plane of this.#planes) await plane.stop();
    for (const name of Object.values(this.#namespaces)) {
      try {
        run("ip", "netns", "del", name);
      } catch {
        // Not made yet.
      }
    }
  }

  #connect(): void {
    const { client, node } = this.#namespaces;
    for (const name of [client, node]) {
      run("ip", "netns", "add", name);
      // Without saved metrics, or one unlucky stream would slow the start of all that follow it in the same namespaces.
      run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0", "net.ipv4.tcp_no_metrics_save=1");
      run("ip", "-n", name, "link", "set", "lo", "up");
    }
    run("ip", "link", "add", "eth0", "netns", client, "type", "veth", "peer", "name", "eth0", "netns", node);
    for (const [name, address] of [[client, ends.client], [node, ends.node]] as const) {
      run("ip", "-n", name, "addr", "add", `${address}/64`, "dev", "eth0", "nodad");
      run("ip", "-n", name, "link", "set", "eth0", "up");
    }
    run("ip", "-n", client, "-6", "route", "add", home, "via", ends.node);
    if (this.variant === "plain") run("ip", "-n", node, "addr", "add", `${home}/128`, "dev", "lo", "nodad");
  }

  async #startPlanes(kind: string): Promise<void> {
    const { client, node } = this.#namespaces;
    const [atClient, atNode] = [new PlaneHost(client, kind, "eth0", ends.client), new PlaneHost(node, kind, "eth0", ends.node)];
    this.#planes.push(atClient, atNode);
    await Promise.all([atClient.ready, atNode.ready]);
    await atNode.call("addHome", home, { careOf: ends.node, homeAgent: ends.client, via: ends.client });
    await atNode.call("optimise", home, ends.client);
    await atClient.call("bind", home, ends.node);
  }

  async #startServers(): Promise<void> {
    for (const [mode, port] of [["source", ports.download], ["sink", ports.upload]] as const) {
      const server = spawn("ip", ["netns", "exec", this.#namespaces.node, process.execPath, blaster, mode, home, port], { stdio: ["ignore", "pipe", "inherit"] });
      this.#servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.stdout?.once("data", () => resolve());
        server.once("exit", () => reject(new Error(`the ${mode} server ended`)));
      });
    }
  }

  #cpuSeconds(): number {
    return [...this.#servers, ...this.#planes.map((plane) => plane.child)].reduce((sum, { pid }) => sum + cpuSecondsOf(pid as number), 0);
  }
}

/** Seconds that a process's threads have been on a CPU, what interrupts did meanwhile included; 0 when it is gone. */
function cpuSecondsOf(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`).map((thread) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1"));
    return threads.reduce((sum, line) => sum + Number(line.split(" ")[0]) / 1e9, 0);
  } catch {
    return 0;
  }
}
