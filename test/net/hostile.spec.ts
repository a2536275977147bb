import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cannotHaveNamespaces, type PlaneHost, PlaneWorld } from "../support/planeWorld.ts";

/** What a stranger can send to data planes: nothing of it ends them, fills memory, or makes them send more than they got for somebody else. */

const reason = cannotHaveNamespaces();
if (reason) console.warn(`hostile packets to data planes: skipped, ${reason}`);

const flood = fileURLToPath(new URL("../support/flood.py", import.meta.url));
const X = "2001:db8:a:f::1";
const [h, k, m] = ["2001:db8:a::2", "2001:db8:1::2", "2001:db8:2::2"];
/** ICMPv6 errors that a data plane sends to others: the bucket, and what comes into it while a flood lasts. */
const errorRate = { burst: 100, perSecond: 100 };

describe.skipIf(reason).each([{ kind: "ebpf" }, { kind: "userspace" }])("hostile packets to a data plane $kind", ({ kind }) => {
  let world: PlaneWorld;
  const planes = new Map<string, PlaneHost>();
  const plane = (host: string): PlaneHost => planes.get(host) as PlaneHost;

  beforeAll(async () => {
    world = new PlaneWorld(`ho${kind[0]}`);
    for (const [host, net] of [["h", "a"], ["k", "1"], ["m", "2"], ["e", "e"]] as const) world.addHost(host, net);
    world.routeTo("2001:db8:a:f::/64", "h", "a");
    // Everybody that the hostile sender pretends to be.
    world.routeTo("2001:db8:dead::/48", "e", "e");
    world.exec("e", "ip", "-6", "route", "add", "blackhole", "2001:db8:dead::/48");
    for (const [host, address] of [["h", h], ["k", k], ["m", m]] as const) planes.set(host, await world.plane(host, kind, address));
    await plane("h").call("tunnel", X, k);
    await plane("k").call("addHome", X, { careOf: k, homeAgent: h, via: h });
    await plane("k").call("setMembers", X, [m]);
    world.exec("r", "nft", `add table ip6 watch; add chain ip6 watch in { type filter hook prerouting priority 0; };
      add rule ip6 watch in iifname { "to-h", "to-k", "to-m" } icmpv6 type { 1, 2, 3, 4 } counter comment "errors"; add rule ip6 watch in iifname "to-e" counter comment "received"; add rule ip6 watch in iifname { "to-h", "to-k" } ip6 daddr 2001:db8:dead::/48 counter comment "reflected"`);
  });
  afterAll(async () => {
    await world?.close();
  });

  /** Packets and bytes that the router has counted. */
  const counted = (comment: string): { packets: number; bytes: number } => {
    const [, packets, bytes] = new RegExp(`counter packets (\\d+) bytes (\\d+) comment "${comment}"`).exec(world.exec("r", "nft", "list", "table", "ip6", "watch")) ?? [];
    return { packets: Number(packets), bytes: Number(bytes) };
  };

  /** Sends `count` packets from e; answers how much of what was counted came with it, and how long it took, s. */
  async function send(count: number, expression: string): Promise<{ errors: number; reflectedBytes: number; receivedBytes: number; seconds: number }> {
    const before = [counted("errors"), counted("reflected"), counted("received")] as const;
    const begun = performance.now();
    const child = world.start("e", "/usr/bin/python3", flood, String(count), "7");
    let said = "";
    child.stdout?.on("data", (text: Buffer) => (said += text.toString()));
    child.stderr?.on("data", (text: Buffer) => (said += text.toString()));
    child.stdin?.end(expression);
    await new Promise((resolve) => child.once("close", resolve));
    if (!(Number(said.split(" ")[0]) > count / 2)) throw new Error(said);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const after = [counted("errors"), counted("reflected"), counted("received")] as const;
    const seconds = (performance.now() - begun) / 1000;
    return { errors: after[0].packets - before[0].packets, reflectedBytes: after[1].bytes - before[1].bytes, receivedBytes: after[2].bytes - before[2].bytes, seconds };
  }

  const residentMb = (host: string): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${plane(host).child.pid}/status`, "utf8"))?.[1]) / 1024;
  const drops = (host: string) => plane(host).drops();

  it("answers packets that do not fit at a limited rate, with less than it got", async () => {
    const { errors, reflectedBytes, receivedBytes, seconds } = await send(4000, `IPv6(src=anybody(), dst="${X}")/UDP(dport=9)/Raw(bytes(1440))`);
    expect(errors).toBeGreaterThan(10);
    expect(errors).toBeLessThanOrEqual(errorRate.burst + errorRate.perSecond * seconds);
    expect(reflectedBytes).toBeLessThan(receivedBytes);
    const refused = await drops("h");
    expect(refused["too big for the tunnel"]).toBeGreaterThan(3000);
  });

  it("passes no error on about tunnels that it does not have", async () => {
    // The far end is not the registered one; the tunnel is another host's; nobody is relayed there.
    const forged = (at: string, from: string, to: string) => `IPv6(src=anybody(), dst="${at}")/ICMPv6PacketTooBig(mtu=1300)/IPv6(src="${from}", dst="${to}")/IPv6(src=anybody(), dst="${X}")/UDP(dport=9)`;
    for (const [at, from, to] of [[h, h, m], [h, m, k], [k, k, m], [k, k, h]] as const) expect((await send(300, forged(at, from, to))).reflectedBytes).toBe(0);
    // Of the real one they are, at their rate, and never larger than they came.
    const { errors, reflectedBytes, receivedBytes, seconds } = await send(4000, forged(h, h, k));
    expect(errors).toBeLessThanOrEqual(errorRate.burst + errorRate.perSecond * seconds);
    expect(reflectedBytes).toBeLessThan(receivedBytes);
  });

  it("goes on under everything at once, spoilt and cut, in bounded memory", async () => {
    const before = ["h", "k"].map(residentMb);
    const any = [
      `IPv6(src=anybody(), dst="${k}")/IPv6(src=anybody(), dst="${X}")/TCP(dport=80)`,
      `IPv6(src="${h}", dst="${k}")/IPv6(src=anybody(), dst="${X}")/UDP(dport=9)/Raw(bytes(r.randrange(1400)))`,
      `IPv6(src="${m}", dst="${k}")/IPv6(src=anybody(), dst="${X}")/TCP(dport=80, flags="A")/Raw(bytes(1000))`,
      `IPv6(src=anybody(), dst="${k}")/IPv6ExtHdrRouting(type=2, segleft=1, addresses=["${X}"])/TCP(dport=81)`,
      `IPv6(src=anybody(), dst="${k}")/IPv6ExtHdrDestOpt(options=[HAO(hoa=anybody())])/UDP(dport=9)`,
      `IPv6(src=anybody(), dst=r.choice(["${h}", "${k}"]))/ICMPv6PacketTooBig(mtu=r.randrange(2000))/IPv6(src=r.choice(["${h}", "${k}"]), dst="${k}")/IPv6(src="${X}", dst=anybody())/TCP()`,
      `IPv6(src=anybody(), dst="${h}")/IPv6(src="${X}", dst=anybody())/UDP(dport=9)`,
      `IPv6(src=anybody(), dst="${k}")/MIP6MH_HoTI(cookie=b"abcdefgh")`,
      `IPv6(src=anybody(), dst="${X}")/Raw(bytes(r.randrange(1, 1400)))`,
    ].map((packet) => `(lambda: ${packet})`);
    const { reflectedBytes, receivedBytes } = await send(20_000, `r.choice([${any.join(", ")}])()`);
    expect(reflectedBytes).toBeLessThan(receivedBytes);
    for (const [i, host] of ["h", "k"].entries()) {
      expect(plane(host).child.exitCode).toBeNull();
      await plane(host).call("counters");
      // Packets kept for unannounced clients have a bound of 64 MB.
      expect(residentMb(host) - (before[i] as number)).toBeLessThan(150);
    }
    const refused = await drops("k");
    for (const why of ["tunnel from a stranger", "home address option without binding", "relayed packet of a client that nobody announced"]) expect(refused[why], why).toBeGreaterThan(0);
    // And still serves: X answers a stranger's echo request through the home agent.
    const { sent, answered } = JSON.parse(world.exec("e", "/usr/bin/python3", fileURLToPath(new URL("../support/datagramClient.py", import.meta.url)), "ping", X, "0")) as { sent: number; answered: number };
    expect(answered).toBe(sent);
  });
});


