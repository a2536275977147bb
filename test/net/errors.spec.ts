import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cannotHaveNamespaces, type PlaneHost, PlaneWorld, run } from "../support/planeWorld.ts";

/** ICMPv6 errors about packets that were translated or tunnelled on their way: they must mean something to the sockets that the packets came from. */

const reason = cannotHaveNamespaces();
if (reason) console.warn(`errors through translation: skipped, ${reason}`);

const support = (name: string): string => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const python = "/usr/bin/python3";
const X = "2001:db8:a:f::1";

/** A connected UDP socket of the host's own stack (test/support/socketPeer.py). */
class UdpPeer {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(child: ChildProcess) {
    this.child = child;
    this.#lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  async next(): Promise<string> {
    return ((await this.#lines.next()) as { value: string }).value;
  }

  ask(line: string): Promise<string> {
    this.child.stdin?.write(`${line}\n`);
    return this.next();
  }

  /** Sends datagrams of `bytes` (IPv6 header included) until the kernel refuses them as too big, and answers what it takes for the path MTU then. */
  async pathMtu(bytes: number): Promise<string> {
    for (let i = 0; i < 20; i++) {
      if ((await this.ask(`send ${bytes - 48}`)) === "EMSGSIZE") break;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return this.ask("mtu");
  }
}

class Transfer {
  readonly child: ChildProcess;
  readonly done: Promise<string>;
  ended = false;

  constructor(child: ChildProcess) {
    this.child = child;
    let said = "";
    child.stdout?.on("data", (text: Buffer) => (said += text.toString()));
    child.stderr?.on("data", (text: Buffer) => (said += text.toString()));
    this.done = new Promise((resolve) => child.once("close", () => ((this.ended = true), resolve(said.trim()))));
  }

  stop(): void {
    this.child.kill("SIGKILL");
  }
}

const pattern = (bytes: number): string => run(python, support("tcpPeer.py"), "pattern", String(bytes)).trim();

/** Home agent h, contact k, member m, client c behind the router r, each with its own network. */
class Scene {
  readonly world: PlaneWorld;
  readonly address = { h: "", k: "", m: "", c: "" };
  readonly nets = { h: "a", k: "1", m: "2", c: "c" } as const;
  readonly planes = new Map<string, PlaneHost>();
  /** The client's address: another one in each test, for kernels remember path MTUs. */
  client = "";
  #clients = 0;
  readonly #sockets: ChildProcess[] = [];

  constructor(prefix: string) {
    this.world = new PlaneWorld(prefix);
    for (const host of ["h", "k", "m", "c"] as const) this.address[host] = this.world.addHost(host, this.nets[host]);
    for (let i = 1; i <= 99; i++) run("ip", "-n", this.world.namespace("c"), "addr", "add", `2001:db8:c::${i}00/64`, "dev", "eth0", "nodad");
    this.world.routeTo("2001:db8:a:f::/64", "h", "a");
  }

  plane(host: string): PlaneHost {
    return this.planes.get(host) as PlaneHost;
  }

  async start(kind: string): Promise<void> {
    const { h, k, m } = this.address;
    for (const host of ["h", "k", "m", "c"] as const) this.planes.set(host, await this.world.plane(host, kind, this.address[host]));
    await this.plane("h").call("tunnel", X, k);
    await this.plane("k").call("addHome", X, { careOf: k, homeAgent: h, via: h });
    await this.plane("k").call("setMembers", X, [m]);
    await this.plane("m").call("addHome", X, { careOf: m, homeAgent: h, via: k });
    await this.plane("m").call("setMembers", X, [k]);
    for (const host of ["k", "m"]) {
      const server = this.world.start(host, python, support("tcpPeer.py"), "serve", X, "80");
      await new Promise((resolve) => server.stdout?.once("data", resolve));
    }
  }

  async optimise(): Promise<void> {
    await this.plane("k").call("optimise", X, this.client);
    await this.plane("c").call("bind", X, this.address.k);
  }

  /** The contact relays the client to the member. */
  async relay(): Promise<void> {
    await this.plane("m").call("serve", X, this.client);
    await this.plane("k").call("relay", X, this.client, this.address.m);
  }

  async take(path: string): Promise<void> {
    if (path === "route-optimised") await this.optimise();
    if (path === "relayed") await this.relay();
  }

  nextClient(): void {
    this.client = `2001:db8:c::${++this.#clients}00`;
  }

  /** The router's links are wide again, and the client is unknown. */
  async reset(): Promise<void> {
    for (const socket of this.#sockets.splice(0)) socket.kill("SIGKILL");
    for (const host of ["k", "m"]) for (const call of ["unoptimise", "unserve", "unrelay", "discard"]) await this.plane(host).call(call, X, this.client);
    await this.plane("c").call("unbind", X);
    this.widen();
    this.world.exec("c", "ip", "-6", "route", "flush", "cache");
  }

  narrow(host: keyof Scene["nets"], mtu: number): void {
    this.world.narrow(host, this.nets[host], mtu);
  }

  widen(): void {
    for (const host of ["h", "k", "m", "c"] as const) this.narrow(host, 1500);
  }

  async udp(host: string, to: string, port: string, ...source: string[]): Promise<UdpPeer> {
    const child = this.world.start(host, python, support("socketPeer.py"), to, port, ...source);
    this.#sockets.push(child);
    const peer = new UdpPeer(child);
    await peer.next();
    return peer;
  }

  /** A transfer over TCP between the client and X: "put" sends, "fetch" receives. `done` gives the number of bytes that arrived and their digest. */
  transfer(call: string, bytes: number): Transfer {
    const child = this.world.start("c", python, support("tcpPeer.py"), call, X, "80", String(bytes), this.client);
    this.#sockets.push(child);
    return new Transfer(child);
  }

  /** Path MTU of the TCP connection between the client and X, as the kernel at `host` has it. */
  pathMtuOfTcp(host: string): string {
    const [here, there] = host === "c" ? [this.client, X] : [X, this.client];
    return /pmtu:(\d+)/.exec(this.world.exec(host, "ss", "-tinOH", "state", "established", "src", `[${here}]`, "dst", `[${there}]`))?.[1] ?? "none";
  }

  /** From the client to X, or from X to the client at `host`. */
  async between(host: string): Promise<UdpPeer> {
    return host === "c" ? this.udp("c", X, "9999", this.client) : this.udp(host, this.client, "9998", X);
  }
}

describe.skipIf(reason).each([{ kind: "ebpf" }, { kind: "userspace" }])("errors through a data plane $kind", ({ kind }) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = new Scene(`er${kind[0]}`);
    await scene.start(kind);
  });
  afterAll(async () => {
    await scene?.world.close();
  });
  beforeEach(() => scene.nextClient());
  afterEach(async () => {
    await scene.reset();
  });

  // What is taken from the path MTU is what was put in front of the packet that the router refused.
  it.each([
    { sender: "c", path: "route-optimised", narrow: "k", mtu: 1376 },
    { sender: "k", path: "route-optimised", narrow: "c", mtu: 1376 },
    { sender: "k", path: "tunnelled", narrow: "h", mtu: 1360 },
    { sender: "c", path: "tunnelled", narrow: "k", mtu: 1360 },
    { sender: "k", path: "tunnelled", narrow: "c", mtu: 1400 },
    { sender: "c", path: "relayed", narrow: "m", mtu: 1360 },
    { sender: "m", path: "relayed", narrow: "k", mtu: 1360 },
    { sender: "m", path: "relayed", narrow: "h", mtu: 1360 },
    { sender: "m", path: "relayed", narrow: "c", mtu: 1400 },
  ] as const)("Packet Too Big: $sender learns $mtu of a link of 1400 before $narrow, $path", async ({ sender, path, narrow, mtu }) => {
    await scene.take(path);
    scene.narrow(narrow, 1400);
    const peer = await scene.between(sender);
    expect(await peer.pathMtu(1450)).toBe(String(mtu));
  });

  it.each(["tunnelled", "route-optimised", "relayed"])("port unreachable: a client's connected socket is refused, %s", async (path) => {
    await scene.take(path);
    const peer = await scene.between("c");
    expect(await peer.ask("send 10")).toBe("sent");
    expect(await peer.ask("receive 2")).toBe("ECONNREFUSED");
  });

  it.each([
    { server: "k", path: "tunnelled" },
    { server: "k", path: "route-optimised" },
    { server: "m", path: "relayed" },
  ])("port unreachable: a socket of X at $server is refused by the client, $path", async ({ server, path }) => {
    await scene.take(path);
    const peer = await scene.between(server);
    expect(await peer.ask("send 10")).toBe("sent");
    expect(await peer.ask("receive 2")).toBe("ECONNREFUSED");
  });

  // For the sender of a tunnelled packet an address is unreachable, whatever went wrong in the tunnel (RFC 2473 §8.2); route-optimised, the code is the router's.
  it.each([
    { sender: "c", path: "tunnelled", lost: "k", error: "EHOSTUNREACH" },
    { sender: "c", path: "route-optimised", lost: "k", error: "ENETUNREACH" },
    { sender: "c", path: "relayed", lost: "m", error: "EHOSTUNREACH" },
    { sender: "k", path: "route-optimised", lost: "c", error: "ENETUNREACH" },
    { sender: "k", path: "tunnelled", lost: "h", error: "EHOSTUNREACH" },
    { sender: "m", path: "relayed", lost: "h", error: "EHOSTUNREACH" },
  ] as const)("unreachable: $sender learns that the router has no way to $lost, $path", async ({ sender, path, lost, error }) => {
    await scene.take(path);
    const peer = await scene.between(sender);
    const route = ["unreachable", `${scene.address[lost].replace("::2", "::")}/64`, "metric", "1"];
    run("ip", "-n", scene.world.namespace("r"), "-6", "route", "add", ...route);
    try {
      expect(await peer.ask("send 10")).toBe("sent");
      expect(await peer.ask("receive 2")).toBe(error);
    } finally {
      run("ip", "-n", scene.world.namespace("r"), "-6", "route", "del", ...route);
    }
  });

  it.each([
    { sender: "c", path: "route-optimised", narrow: "k", mtu: 1376 },
    { sender: "k", path: "route-optimised", narrow: "c", mtu: 1376 },
    { sender: "c", path: "relayed", narrow: "m", mtu: 1360 },
    { sender: "m", path: "relayed", narrow: "h", mtu: 1360 },
  ] as const)("TCP from $sender goes on with segments for $mtu when the link before $narrow narrows under it, $path", async ({ sender, path, narrow, mtu }) => {
    await scene.take(path);
    const transfer = scene.transfer(sender === "c" ? "put" : "fetch", 2_000_000);
    scene.narrow(narrow, 1400);
    expect(await transfer.done).toBe(pattern(2_000_000));
    // Again, and the kernel that sends says what it takes for the path MTU.
    const again = scene.transfer(sender === "c" ? "put" : "fetch", 400_000_000);
    await expect.poll(() => scene.pathMtuOfTcp(sender), { timeout: 10_000 }).toBe(String(mtu));
    again.stop();
  });

  it.each(["tunnelled", "route-optimised", "relayed"])("the first SYN of each end asks for segments that fit, so that nothing depends on errors, %s", async (path) => {
    await scene.take(path);
    const drops = () => Promise.all(["h", "k", "m"].map((host) => scene.plane(host).drops().then((all) => all["too big for the tunnel"] ?? 0)));
    const before = await drops();
    scene.world.exec("r", "nft", "add table ip6 quiet; add chain ip6 quiet out { type filter hook postrouting priority 0; }; add rule ip6 quiet out icmpv6 type packet-too-big counter drop");
    try {
      for (const call of ["put", "fetch"]) expect(await scene.transfer(call, 300_000).done).toBe(pattern(300_000));
    } finally {
      scene.world.exec("r", "nft", "delete table ip6 quiet");
    }
    expect(await drops()).toEqual(before);
  });

  it("transfers survive their path changing from route-optimised to tunnelled through a narrower link and back", async () => {
    for (const host of ["h", "k"] as const) scene.narrow(host, 1400);
    const size = kind === "ebpf" ? 100_000_000 : 20_000_000;
    for (let changes = 0; changes < 6; ) {
      const transfers = ["put", "fetch"].map((call) => scene.transfer(call, size));
      while (!transfers.every((t) => t.ended)) {
        const optimised = changes++ % 2 === 0;
        if (optimised) await scene.plane("c").call("bind", X, scene.address.k);
        await scene.plane("k").call(optimised ? "optimise" : "unoptimise", X, scene.client);
        if (!optimised) await scene.plane("c").call("unbind", X);
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
      expect(await Promise.all(transfers.map((t) => t.done))).toEqual([pattern(size), pattern(size)]);
    }
  });
});
