import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { DataPlaneCounters } from "../../src-agent/ports.ts";
import { cannotHaveNamespaces, cannotHaveTcx, kernelCannotTranslate, type PlaneHost, PlaneWorld, run } from "../support/planeWorld.ts";

const reason = cannotHaveNamespaces();

const support = (name: string): string => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const python = "/usr/bin/python3";
const X = "2001:db8:a:f::1";
const megabytes = (n: number): string => String(n * 1_000_000);
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** For the kernel's, `attach` says what does its tunnels; for userspace, that its thread translates everything, as where nftables are missing. */
const variants = [
  { kind: "ebpf", attach: "tcx", unable: cannotHaveTcx() },
  { kind: "ebpf", attach: "clsact", unable: reason },
  { kind: "userspace", attach: undefined, unable: reason },
  { kind: "userspace", attach: "thread", unable: reason },
  { kind: "kernel", attach: "ebpf", unable: kernelCannotTranslate() },
  { kind: "kernel", attach: "userspace", unable: kernelCannotTranslate() },
] as const;
const able = variants.filter(({ unable }) => !unable);
const unable = variants.filter((variant) => variant.unable);
describe.skipIf(true).each(unable)("data plane $kind $attach: $unable", () => {
  it("moves packets", () => expect(reason).toBeNull());
});

/** Home agent h, contact k, member m, client c, and e, which is none of them, each behind the router r. */
class Scene {
  readonly world: PlaneWorld;
  readonly address: Record<"h" | "k" | "m" | "c" | "e", string>;
  readonly planes = new Map<string, PlaneHost>();
  readonly before = new Map<string, string>();
  readonly #talkers: ChildProcess[] = [];
  #nextPort = 7000;

  constructor(prefix: string) {
    this.world = new PlaneWorld(prefix);
    const { world } = this;
    this.address = { h: world.addHost("h", "a"), k: world.addHost("k", "1"), m: world.addHost("m", "2"), c: world.addHost("c", "c"), e: world.addHost("e", "e") };
    world.routeTo("2001:db8:a:f::/64", "h", "a");
    for (const host of ["h", "k", "m", "c"]) this.before.set(host, world.dump(host));
  }

  plane(host: string): PlaneHost {
    return this.planes.get(host) as PlaneHost;
  }

  async start(kind: string, attach: string | undefined): Promise<void> {
    const options = attach ? { attach } : {};
    for (const host of ["h", "k", "m", "c"] as const) this.planes.set(host, await this.world.plane(host, kind, this.address[host], options));
    const { h, k, m } = this.address;
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

  /** Every client back to unknown and nothing optimised. */
  async reset(): Promise<void> {
    for (const talker of this.#talkers.splice(0)) talker.kill("SIGKILL");
    const { c } = this.address;
    for (const host of ["k", "m"]) for (const call of ["unoptimise", "unserve", "unrelay", "discard"]) await this.plane(host).call(call, X, c);
    await this.plane("c").call("unbind", X);
  }

  counters(host: string): Promise<DataPlaneCounters> {
    return this.plane(host).call<DataPlaneCounters>("counters");
  }

  async dropsOf(host: string, why: string): Promise<number> {
    return (await this.plane(host).drops())[why] ?? 0;
  }

  fetch(bytes: string): string {
    return this.world.exec("c", "timeout", "30", python, support("tcpPeer.py"), "fetch", X, "80", bytes).trim();
  }

  put(bytes: string): string {
    return this.world.exec("c", "timeout", "30", python, support("tcpPeer.py"), "put", X, "80", bytes).trim();
  }

  /** An echo connection from the client; `said` grows as it hears things. */
  talk(port = "80"): Talker {
    const child = this.world.start("c", python, support("tcpPeer.py"), "talk", X, port);
    this.#talkers.push(child);
    return new Talker(child);
  }

  inject(host: string, expression: string): Promise<string[]> {
    return this.world.inject(host, expression);
  }

  /** A UDP listener at the home address on `host`: what the client tells it, and what it has heard. */
  async listen(host: string): Promise<{ port: string; tell: (...words: string[]) => void; heard: () => string[] }> {
    const port = String(this.#nextPort++);
    const listener = this.world.start(host, python, support("tcpPeer.py"), "hear", X, port);
    this.#talkers.push(listener);
    let said = "";
    listener.stdout?.on("data", (text: Buffer) => (said += text.toString()));
    await new Promise((resolve) => listener.stdout?.once("data", resolve));
    return {
      port,
      tell: (...words) => void this.world.exec("c", python, support("tcpPeer.py"), "tell", X, port, ...words),
      heard: () => said.trim().split("\n").slice(1),
    };
  }
}

class Talker {
  readonly child: ChildProcess;
  said = "";

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on("data", (text: Buffer) => (this.said += text.toString()));
    child.stderr?.on("data", (text: Buffer) => (this.said += text.toString()));
  }

  say(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  /** Resolves with everything heard, once `what` is in it, or after ten seconds. */
  async heard(what: string): Promise<string> {
    for (const end = Date.now() + 10_000; !this.said.includes(what) && Date.now() < end; ) await wait(20);
    return this.said;
  }
}

const pattern = (bytes: string): string => run(python, support("tcpPeer.py"), "pattern", bytes).trim();

describe.each(able)("data plane $kind $attach", ({ kind, attach }) => {
  let scene: Scene;
  beforeAll(async () => {
    scene = new Scene(`dp${kind[0]}${attach?.[0] ?? ""}`);
    await scene.start(kind, attach);
  });
  afterAll(async () => {
    await scene?.world.close();
  });
  afterEach(async () => {
    await scene.reset();
  });

  it("carries TCP through the home agent's tunnel, both ways", async () => {
    const size = megabytes(5);
    expect(scene.fetch(size)).toBe(pattern(size));
    expect(scene.put(size)).toBe(pattern(size));
    const [h, k, c] = await Promise.all(["h", "k", "c"].map((host) => scene.counters(host)));
    expect(h?.tunnelledOut.bytes).toBeGreaterThan(5_000_000);
    expect(h?.tunnelledIn.bytes).toBeGreaterThan(5_000_000);
    expect(k?.tunnelledOut.bytes).toBeGreaterThan(5_000_000);
    expect(c?.translatedIn.packets).toBe(0);
    // The contact learnt of the client from its first packet.
    const { c: client, h: homeAgent } = scene.address;
    expect(scene.plane("k").events).toContainEqual({ event: "syn", args: [client, X, homeAgent, expect.any(Number)] });
  });

  it("carries TCP route-optimised, both ways, past the home agent", async () => {
    await scene.plane("k").call("optimise", X, scene.address.c);
    await scene.plane("c").call("bind", X, scene.address.k);
    const before = await scene.counters("h");
    const used = (): Promise<unknown> => scene.plane("c").call("takeUse", X);
    expect(await used()).toBe(false);
    const size = megabytes(20);
    expect(scene.fetch(size)).toBe(pattern(size));
    expect(scene.put(size)).toBe(pattern(size));
    const [h, c] = await Promise.all([scene.counters("h"), scene.counters("c")]);
    // But for the last words of earlier connections.
    expect(h.tunnelledOut.bytes - before.tunnelledOut.bytes).toBeLessThan(10_000);
    expect(h.tunnelledIn.bytes - before.tunnelledIn.bytes).toBeLessThan(10_000);
    expect(c.translatedIn.bytes).toBeGreaterThan(20_000_000);
    expect(c.translatedOut.bytes).toBeGreaterThan(20_000_000);
    // Once for each question, and not for a binding that is gone.
    expect([await used(), await used()]).toEqual([true, false]);
    scene.fetch("1000");
    await scene.plane("c").call("unbind", X);
    expect(await used()).toBe(false);
  });

  it("puts on the wire what an independent decoder takes for a Home Address option and a type 2 routing header", async () => {
    await scene.plane("k").call("optimise", X, scene.address.c);
    await scene.plane("c").call("bind", X, scene.address.k);
    const fields = ["ipv6.src", "ipv6.dst", "ipv6.opt.mipv6.home_address", "ipv6.routing.mipv6.home_address", "_ws.malformed"].flatMap((field) => ["-e", field]);
    const capture = scene.world.start("r", "tshark", "-i", "to-c", "-l", "-f", "ip6 proto 43 or ip6 proto 60", "-c", "8", "-T", "fields", ...fields);
    let seen = "";
    capture.stdout?.on("data", (text: Buffer) => (seen += text.toString()));
    await new Promise<void>((resolve) => capture.stderr?.on("data", (text: Buffer) => (text.toString().includes("Capturing") ? setTimeout(resolve, 300) : undefined)));
    scene.fetch("100000");
    await expect.poll(() => seen.trim().split("\n").length, { timeout: 10_000 }).toBe(8);
    const { k, c } = scene.address;
    const lines = new Set(seen.trim().split("\n").map((line) => line.replace(/\s+$/, "")));
    expect([...lines].toSorted()).toEqual([`${k}\t${c}\t${X}`, `${c}\t${k}\t\t${X}`].toSorted());
  });

  it("relays tunnelled and route-optimised packets of a client to the member that serves it", async () => {
    const { c, k, m } = scene.address;
    const size = megabytes(2);
    await scene.plane("m").call("serve", X, c);
    await scene.plane("k").call("relay", X, c, m);
    expect(scene.fetch(size)).toBe(pattern(size));
    await scene.plane("c").call("bind", X, k);
    expect(scene.put(size)).toBe(pattern(size));
    const counters = await scene.counters("k");
    expect(counters.relayed.bytes).toBeGreaterThan(4_000_000);
    expect(counters.translatedIn.bytes).toBeGreaterThan(2_000_000);
  });

  it.each([{ optimised: false }, { optimised: true }])("keeps packets while a client is held, and delivers them in order, optimised $optimised", async ({ optimised }) => {
    const { c, k } = scene.address;
    if (optimised) await scene.plane("c").call("bind", X, k);
    const { tell, heard } = await scene.listen("k");
    tell("one");
    await expect.poll(heard).toEqual(["one"]);
    await scene.plane("k").call("hold", X, c);
    tell("two", "three", "four");
    await wait(200);
    expect(heard()).toEqual(["one"]);
    await scene.plane("k").call("release", X, c);
    tell("five");
    await expect.poll(heard).toEqual(["one", "two", "three", "four", "five"]);
  });

  it("drops what was kept when a hold is discarded", async () => {
    const { c } = scene.address;
    const { tell, heard } = await scene.listen("k");
    await scene.plane("k").call("hold", X, c);
    tell("one", "two");
    await scene.plane("k").call("discard", X, c);
    tell("three");
    await expect.poll(heard).toEqual(["three"]);
  });

  it("delivers in order what came for an unannounced client, when it is announced", async () => {
    const { c, m } = scene.address;
    const { tell, heard } = await scene.listen("m");
    await scene.plane("k").call("relay", X, c, m);
    tell("one", "two");
    await wait(200);
    expect(heard()).toEqual([]);
    await scene.plane("m").call("hold", X, c);
    // Longer than an unannounced client would be kept.
    await wait(1500);
    tell("three");
    await scene.plane("m").call("release", X, c);
    await expect.poll(heard).toEqual(["one", "two", "three"]);
  });

  it("relays what it had kept, in order, when a held client moves on", async () => {
    const { c, m } = scene.address;
    const { tell, heard } = await scene.listen("m");
    await scene.plane("k").call("hold", X, c);
    tell("one", "two");
    const talker = scene.talk();
    await wait(300);
    expect(talker.said).toBe("");
    await scene.plane("m").call("serve", X, c);
    await scene.plane("k").call("relay", X, c, m);
    tell("three");
    await expect.poll(heard).toEqual(["one", "two", "three"]);
    expect(await talker.heard("connected")).toContain("connected");
    talker.say("hello");
    expect(await talker.heard("hello\n")).toContain("hello\n");
    expect((await scene.counters("k")).relayed.packets).toBeGreaterThan(0);
  });

  it("wears out no packet between two members that each take the other for the client's server, until one of them holds it", async () => {
    const { c, k, m } = scene.address;
    const { tell, heard } = await scene.listen("m");
    await scene.plane("m").call("relay", X, c, k);
    await scene.plane("k").call("relay", X, c, m);
    tell("one", "two");
    await wait(200);
    expect(await scene.dropsOf("k", "hop limit exceeded") + (await scene.dropsOf("m", "hop limit exceeded"))).toBe(0);
    await scene.plane("m").call("hold", X, c);
    await scene.plane("m").call("release", X, c);
    await expect.poll(() => heard().toSorted()).toEqual(["one", "two"]);
  });

  it("keeps relayed packets of a client that nobody announced from the stack, which would reset it", async () => {
    const { c, m } = scene.address;
    await scene.plane("k").call("relay", X, c, m);
    // Nobody listens on port 81 there: delivered, the SYN would be answered by an RST.
    const refused = scene.talk("81");
    const accepted = scene.talk("80");
    await expect.poll(() => scene.dropsOf("m", "relayed packet of a client that nobody announced"), { timeout: 10_000 }).toBeGreaterThan(0);
    expect(refused.said).toBe("");
    expect(accepted.said).toBe("");
    await scene.plane("m").call("serve", X, c);
    expect(await accepted.heard("connected")).toContain("connected");
  });

  it("refuses tunnels of strangers", async () => {
    const { h, k, m, c } = scene.address;
    const syn = `IPv6(src="${c}", dst="${X}")/TCP(sport=5, dport=80, flags="S")`;
    expect(await scene.inject("e", `IPv6(dst="${k}")/${syn}`)).toEqual([]);
    expect(await scene.dropsOf("k", "tunnel from a stranger")).toBe(1);
    const fromX = `IPv6(src="${X}", dst="${c}")/UDP(dport=9)`;
    expect(await scene.inject("e", `IPv6(dst="${h}")/${fromX}`)).toEqual([]);
    expect(await scene.dropsOf("h", "reverse tunnel not from the registered care-of address")).toBe(1);
    expect(await scene.inject("e", `IPv6(dst="${k}")/${fromX}`)).toEqual([]);
    expect(await scene.dropsOf("k", "reverse tunnel from a stranger")).toBe(1);
    expect(await scene.inject("k", `IPv6(dst="${m}")/${fromX}`)).toEqual([]);
    expect(await scene.dropsOf("m", "reverse tunnel to a member that is not the contact")).toBe(1);
    expect(await scene.inject("e", `IPv6(dst="${h}")/${syn}`)).toEqual([]);
    expect(await scene.dropsOf("h", "tunnel from a stranger")).toBe(1);
    expect(scene.world.exec("k", "ss", "-Htn", "state", "syn-recv")).toBe("");
  });

  it("leaves foreign tunnels to the kernel", async () => {
    const { k, c } = scene.address;
    const answers = await scene.inject("e", `IPv6(dst="${k}")/IPv6(src="2001:db8:e::2", dst="${c}")/UDP(dport=9)`);
    expect(answers).toEqual([expect.stringContaining("ICMPv6ParamProblem")]);
  });

  it("leaves alone what a switch floods to it", async () => {
    const { c } = scene.address;
    const { port, heard } = await scene.listen("k");
    const datagram = (text: string) => `IPv6(src="${c}", dst="${X}")/UDP(dport=${port})/Raw(b"${text}")`;
    const mac = scene.world.exec("h", "cat", "/sys/class/net/eth0/address").trim();
    await scene.world.inject("r", `Ether(dst="02:00:00:00:00:99")/${datagram("flooded")}`, "to-h");
    await scene.world.inject("r", `Ether(dst="${mac}")/${datagram("meant")}`, "to-h");
    await expect.poll(heard).toEqual(["meant"]);
  });

  it("drops a Home Address option without binding before the kernel can answer, and says so", async () => {
    const { k, c, e } = scene.address;
    const udp = `IPv6(dst="${c}")/IPv6ExtHdrDestOpt(options=[HAO(hoa="${X}")])/UDP(dport=9)`;
    expect(await scene.inject("e", udp)).toEqual([]);
    expect(await scene.dropsOf("c", "home address option without binding")).toBe(1);
    await expect.poll(() => scene.plane("c").events).toContainEqual({ event: "unbound", args: [X, e, c] });
    // Bound, but to another care-of address.
    await scene.plane("c").call("bind", X, k);
    expect(await scene.inject("e", udp)).toEqual([]);
    expect(await scene.dropsOf("c", "home address option without binding")).toBe(2);
  });

  it("takes type 2 routing headers for its own home addresses only", async () => {
    const { k } = scene.address;
    const routed = (home: string) => `IPv6(dst="${k}")/IPv6ExtHdrRouting(type=2, segleft=1, addresses=["${home}"])/UDP(dport=9)`;
    expect(await scene.inject("e", routed("2001:db8:a:f::2"))).toEqual([]);
    expect(await scene.dropsOf("k", "type 2 routing header for an address that is not ours")).toBe(1);
    // Delivered: nobody listens there, and the home address says so, through its home agent.
    expect(await scene.inject("e", routed(X))).toEqual([expect.stringContaining("ICMPv6DestUnreach")]);
  });

  it("takes no packet for a home address that comes as it is", async () => {
    run("ip", "-n", scene.world.namespace("r"), "-6", "route", "add", `${X}/128`, "via", scene.address.k);
    try {
      expect(await scene.inject("e", `IPv6(dst="${X}")/UDP(dport=9)`)).toEqual([]);
      expect(await scene.dropsOf("k", "for a home address, but neither tunnelled nor with a routing header")).toBeGreaterThan(0);
    } finally {
      run("ip", "-n", scene.world.namespace("r"), "-6", "route", "del", `${X}/128`);
    }
  });

  it("takes signalling from the kernel and hands it on, with the time at which it arrived", async () => {
    const { k, m, c, e } = scene.address;
    const header = "MIP6MH_HoTI(cookie=b'abcdefgh')";
    const heard = (host: string): { hex: string; at: number }[] =>
      scene.plane(host).events.flatMap(({ event, args }) => (event === "packet" ? [{ hex: args[0] as string, at: args[1] as number }] : []));
    const countOf = (host: string) => heard(host).length;

    const unbound = await scene.dropsOf("c", "home address option without binding");
    const sentAfter = Number(process.hrtime.bigint()) / 1e6;
    expect(await scene.inject("e", `IPv6(dst="${c}")/${header}`)).toEqual([]);
    await expect.poll(() => countOf("c")).toBe(1);
    const [plain] = heard("c");
    expect(plain?.hex.slice(80)).toContain(Buffer.from("abcdefgh").toString("hex"));
    expect(plain?.at).toBeGreaterThan(sentAfter);
    expect(plain?.at).toBeLessThan(Number(process.hrtime.bigint()) / 1e6);

    expect(await scene.inject("e", `IPv6(dst="${c}")/IPv6ExtHdrDestOpt(options=[HAO(hoa="${X}")])/MIP6MH_BU()`)).toEqual([]);
    await expect.poll(() => countOf("c")).toBe(2);
    // What asks for a binding is no data without one.
    expect(await scene.dropsOf("c", "home address option without binding")).toBe(unbound);
    expect(await scene.inject("e", `IPv6(dst="${m}")/IPv6ExtHdrRouting(type=2, segleft=1, addresses=["${X}"])/MIP6MH_BA()`)).toEqual([]);
    await expect.poll(() => countOf("m")).toBe(1);
    // Through the home agent: the contact sees it in its tunnel, and the home agent on its way.
    expect(await scene.inject("e", `IPv6(dst="${X}")/MIP6MH_HoT()`)).toEqual([]);
    await expect.poll(() => countOf("k")).toBe(1);
    expect(countOf("h")).toBe(1);
    expect(heard("k")[0]?.hex.slice(12, 14)).toBe("29");
    for (const host of ["h", "k", "m", "c"]) expect(await scene.plane(host).call("lost")).toBe(0);

    // A host without Mobile IPv6 says so: | IPv6 | MH: no next header, length 1, HoTI, checksum, cookie |.
    const hex = (address: string) => address.replace("::2", "").split(":").map((group) => group.padStart(4, "0")).join("").padEnd(31, "0") + "2";
    await scene.plane("k").call("send", `6000000000108740${hex(k)}${hex(e)}3b010100000000006162636465666768`);
    await scene.plane("k").until(() => scene.plane("k").events.some(({ event }) => event === "error"), "an ICMPv6 error");
  });
});
