import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { kernelCannotTranslate, type PlaneHost, PlaneWorld, run } from "../support/planeWorld.ts";

/** The kernel's Mobile IPv6, set up by hand with `ip xfrm`, as the other end of our data planes: it accepts only what is right, and sends what we must take. */

const unable = kernelCannotTranslate();
if (unable) console.warn(`the kernel's own Mobile IPv6: skipped, ${unable}`);

const support = (name: string): string => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const python = "/usr/bin/python3";
const X = "2001:db8:a:f::1";
const size = "3000000";
const pattern = (): string => run(python, support("tcpPeer.py"), "pattern", size).trim();

const planes = [
  { kind: "ebpf", attach: "clsact" },
  { kind: "userspace", attach: undefined },
  { kind: "kernel", attach: "ebpf" },
  { kind: "kernel", attach: "userspace" },
] as const;
const options = (attach: string | undefined) => (attach ? { attach } : {});

/** `ip xfrm` on a host, a line for each call. */
function byHand(world: PlaneWorld, host: string, lines: string): void {
  for (const line of lines.trim().split("\n")) world.exec(host, "ip", ...line.trim().split(" "));
}

/** A correspondent node's side of a binding. */
const correspondent = (client: string, careOf: string): string => `
  xfrm state add src ${client} dst ${X} proto route2 mode ro coa ${careOf}
  xfrm policy add src ${client} dst ${X} dir out priority 10 tmpl src ${client} dst ${X} proto route2 mode ro level use
  xfrm state add src ${X} dst ${client} proto hao mode ro coa ${careOf}
  xfrm policy add src ${X} dst ${client} dir in priority 10 tmpl src ${X} dst ${client} proto hao mode ro level use`;

/** A mobile node's side. Nothing but these headers leads to or from its home address. */
const mobileNode = (client: string, careOf: string): string => `
  addr add ${X}/128 dev lo home nodad preferred_lft 0
  xfrm state add src ${X} dst ${client} proto hao mode ro coa ${careOf}
  xfrm policy add src ${X} dst ${client} dir out priority 10 tmpl src ${X} dst ${client} proto hao mode ro
  xfrm state add src :: dst :: proto route2 mode ro coa ${careOf} flag wildrecv
  xfrm policy add src ::/0 dst ${X} dir in priority 9 tmpl src :: dst :: proto route2 mode ro level required`;

let world: PlaneWorld;
afterEach(() => world?.close());

function hosts(prefix: string): { readonly k: string; readonly c: string; readonly h: string } {
  world = new PlaneWorld(prefix);
  return { h: world.addHost("h", "a"), k: world.addHost("k", "1"), c: world.addHost("c", "c") };
}

async function serve(): Promise<void> {
  const server = world.start("k", python, support("tcpPeer.py"), "serve", X, "80");
  await new Promise((resolve) => server.stdout?.once("data", resolve));
}

const exchange = (): string[] => ["fetch", "put"].map((call) => world.exec("c", "timeout", "60", python, support("tcpPeer.py"), call, X, "80", size).trim());

/** Why the kernel refused packets: of /proc/net/xfrm_stat, what is not zero. */
const refused = (host: string): string[] => world.exec(host, "cat", "/proc/net/xfrm_stat").split("\n").filter((line) => /^XfrmIn.*[1-9]\d*$/.test(line.trim()));

describe.skipIf(unable)("the kernel's own Mobile IPv6", () => {
  it.each(planes)("as a correspondent takes what an anycast node $kind $attach sends, and reaches it", async ({ kind, attach }) => {
    const { h, k, c } = hosts(`kc${kind[0]}${attach?.[0] ?? ""}`);
    const plane = await world.plane("k", kind, k, options(attach));
    await plane.call("addHome", X, { careOf: k, homeAgent: h, via: h });
    await plane.call("optimise", X, c);
    byHand(world, "c", correspondent(c, k));
    await serve();
    expect(exchange()).toEqual([pattern(), pattern()]);
    expect(refused("c")).toEqual([]);
    const counters = await plane.call<{ translatedOut: { bytes: number }; translatedIn: { bytes: number }; tunnelledOut: { packets: number } }>("counters");
    expect(counters.translatedOut.bytes).toBeGreaterThan(3_000_000);
    expect(counters.translatedIn.bytes).toBeGreaterThan(3_000_000);
    expect(counters.tunnelledOut.packets).toBe(0);
  });

  it.each(planes)("as a mobile node takes what a correspondent $kind $attach sends, and reaches it", async ({ kind, attach }) => {
    const { k, c } = hosts(`km${kind[0]}${attach?.[0] ?? ""}`);
    const plane = await world.plane("c", kind, c, options(attach));
    await plane.call("bind", X, k);
    byHand(world, "k", mobileNode(c, k));
    await serve();
    expect(exchange()).toEqual([pattern(), pattern()]);
    expect(refused("k")).toEqual([]);
  });
});

describe.skipIf(unable).each([{ attach: "ebpf" }, { attach: "userspace" }])("the kernel data plane, tunnels $attach", ({ attach }) => {
  const plane = (host: string, address: string): Promise<PlaneHost> => world.plane(host, "kernel", address, { attach });

  it("sends packets of established connections to the new neighbour when a binding changes", async () => {
    world = new PlaneWorld(`kn${attach[0]}`);
    const address = { k: world.addHost("k", "1"), m: world.addHost("m", "2"), c: world.addHost("c", "c") };
    // All three on one link, the router's bridge.
    world.exec("r", "ip", "link", "add", "lan", "type", "bridge");
    world.exec("r", "ip", "link", "set", "lan", "up");
    for (const host of ["k", "m", "c"]) {
      world.exec("r", "ip", "link", "set", `to-${host}`, "master", "lan");
      world.exec(host, "ip", "-6", "route", "add", "2001:db8::/32", "dev", "eth0");
    }
    const { k, m, c } = address;
    for (const [host, own] of [["k", k], ["m", m]] as const) {
      const node = await plane(host, own);
      await node.call("addHome", X, { careOf: own, homeAgent: "2001:db8:a::2", via: "2001:db8:a::2" });
      await node.call("optimise", X, c);
    }
    const client = await plane("c", c);
    await client.call("bind", X, k);
    await serve();
    const talker = world.start("c", python, support("tcpPeer.py"), "talk", X, "80");
    let said = "";
    talker.stdout?.on("data", (text: Buffer) => (said += text.toString()));
    await expect.poll(() => said).toContain("connected");
    talker.stdin?.write("one\n");
    await expect.poll(() => said).toContain("one\n");

    const capture = world.start("m", "tshark", "-i", "eth0", "-l", "-f", "ip6 proto 43", "-c", "1", "-T", "fields", "-e", "eth.dst", "-e", "ipv6.routing.mipv6.home_address");
    let seen = "";
    capture.stdout?.on("data", (text: Buffer) => (seen += text.toString()));
    await new Promise<void>((resolve) => capture.stderr?.on("data", (text: Buffer) => (text.toString().includes("Capturing") ? setTimeout(resolve, 300) : undefined)));
    await client.call("bind", X, m);
    talker.stdin?.write("two\n");
    await expect.poll(() => seen.trim()).toBe(`${world.exec("m", "cat", "/sys/class/net/eth0/address").trim()}\t${X}`);
  });

  it("goes on counting when bindings change and go", async () => {
    const { k, c } = hosts(`kk${attach[0]}`);
    const client = await plane("c", c);
    const sent = async () => (await client.call<{ translatedOut: { packets: number } }>("counters")).translatedOut.packets;
    const tell = () => world.exec("c", python, support("tcpPeer.py"), "tell", X, "9", "word");
    await client.call("bind", X, k);
    tell();
    expect(await sent()).toBe(1);
    await client.call("bind", X, "2001:db8:a::2");
    tell();
    expect(await sent()).toBe(2);
    await client.call("unbind", X);
    expect(await sent()).toBe(2);
  });

  it("binds anew after somebody flushed the kernel's states", async () => {
    const { k, c } = hosts(`kf${attach[0]}`);
    const client = await plane("c", c);
    await client.call("bind", X, k);
    world.exec("c", "ip", "xfrm", "state", "flush");
    await client.call("bind", X, "2001:db8:a::2");
    const states = world.exec("c", "ip", "xfrm", "state");
    expect(states).toContain(`src ${c} dst ${X}`);
    expect(states).toContain(`src ${X} dst ${c}`);
    expect(states.match(/coa 2001:db8:a::2/g)).toHaveLength(2);
  });

  it("does not start beside another Mobile IPv6 program, and leaves its states alone", async () => {
    const { k, c } = hosts(`kp${attach[0]}`);
    byHand(world, "c", mobileNode("2001:db8:1::9", k));
    const before = world.dump("c");
    await expect(plane("c", c)).rejects.toThrow(/add XFRM state any -> any: EEXIST/);
    expect(world.dump("c")).toBe(before);
  });

  it("leaves signalling untranslated", async () => {
    const { k, c } = hosts(`ks${attach[0]}`);
    const client = await plane("c", c);
    await client.call("bind", X, k);
    const capture = world.start("r", "tshark", "-i", "to-c", "-l", "-f", `ip6 src ${c} and (proto 135 or proto 43)`, "-c", "1", "-T", "fields", "-e", "ipv6.dst", "-e", "ipv6.nxt");
    let seen = "";
    capture.stdout?.on("data", (text: Buffer) => (seen += text.toString()));
    await new Promise<void>((resolve) => capture.stderr?.on("data", (text: Buffer) => (text.toString().includes("Capturing") ? setTimeout(resolve, 300) : undefined)));
    // | IPv6 | HoT: no next header, length 1, type 3 … |, from the client to the home address.
    const hex = (...groups: string[]) => groups.map((group) => group.padStart(4, "0")).join("");
    await client.call("send", `6000000000188740${hex("2001", "db8", "c", "0", "0", "0", "0", "2")}${hex("2001", "db8", "a", "f", "0", "0", "0", "1")}3b02030000000001${"61".repeat(16)}`);
    await expect.poll(() => seen.trim()).toBe(`${X}\t135`);
  });
});
