import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cannotHaveNamespaces, cannotHaveTcx, kernelCannotTranslate, type PlaneHost, PlaneWorld, run } from "../support/planeWorld.ts";

/** What data planes do to their host: rights, traces, sizes, and links that carry large packets in their own way. */

const reason = cannotHaveNamespaces();
if (reason) console.warn(`data planes and their hosts: skipped, ${reason}`);

const support = (name: string): string => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
const python = "/usr/bin/python3";
const X = "2001:db8:a:f::1";
const client = "2001:db8:c::2";
const node = "2001:db8:1::2";
const homeAgent = "2001:db8:a::2";
const pattern = (bytes: number): string => run(python, support("tcpPeer.py"), "pattern", String(bytes)).trim();

/** For the kernel's, `attach` says what does its tunnels. */
const variants = [
  { kind: "ebpf", attach: "tcx", unable: cannotHaveTcx() },
  { kind: "ebpf", attach: "clsact", unable: reason },
  { kind: "userspace", attach: undefined, unable: reason },
  { kind: "kernel", attach: "ebpf", unable: kernelCannotTranslate() },
  { kind: "kernel", attach: "userspace", unable: kernelCannotTranslate() },
] as const;
const able = variants.filter(({ unable }) => !unable);
const unable = variants.filter((variant) => variant.unable);
describe.skipIf(true).each(unable)("host of a data plane $kind $attach: $unable", () => {
  it("is left as it was", () => expect(reason).toBeNull());
});

/** Everything that a data plane can make, made. */
async function useAll(plane: PlaneHost): Promise<void> {
  await plane.call("addHome", X, { careOf: node, homeAgent, via: homeAgent });
  await plane.call("setMembers", X, ["2001:db8:2::2"]);
  for (const call of ["optimise", "hold"]) await plane.call(call, X, client);
  await plane.call("relay", X, "2001:db8:c::3", "2001:db8:2::2");
  await plane.call("bind", "2001:db8:b::1", "2001:db8:2::2");
  await plane.call("tunnel", "2001:db8:b::2", "2001:db8:2::2");
}

const plain = (options: { attach?: string | undefined; wrap?: readonly string[] }) => ({
  ...(options.attach ? { attach: options.attach } : {}),
  ...(options.wrap ? { wrap: options.wrap } : {}),
});

describe.each(able)("host of a data plane $kind $attach", ({ kind, attach }) => {
  let world: PlaneWorld;
  beforeEach(() => {
    world = new PlaneWorld(`dh${kind[0]}${attach?.[0] ?? ""}`);
  });
  afterEach(() => world.close());

  it("leaves nothing behind, after a stop and after SIGKILL and the next start", async () => {
    world.addHost("k", "1");
    const before = world.dump("k");
    const features = () => world.exec("k", python, "-c", offloadScript);
    const offloads = features();

    const first = await world.plane("k", kind, node, plain({ attach }));
    await useAll(first);
    expect(world.dump("k")).not.toBe(before);
    await first.stop();
    expect(world.dump("k")).toBe(before);
    expect(features()).toBe(offloads);

    const second = await world.plane("k", kind, node, plain({ attach }));
    await useAll(second);
    await second.kill();
    expect(world.dump("k")).not.toBe(before);
    const third = await world.plane("k", kind, node, plain({ attach }));
    await third.stop();
    expect(world.dump("k")).toBe(before);
    expect(features()).toBe(offloads);

    const fourth = await world.plane("k", kind, node, plain({ attach }));
    await useAll(fourth);
    await fourth.kill();
    world.exec("k", process.execPath, "-e", `import("${fileURLToPath(new URL("../../src-agent/dataplane/steering.ts", import.meta.url))}").then((m) => m.cleanUp())`);
    expect(world.dump("k")).toBe(before);
    expect(features()).toBe(offloads);
  });

  it("leaves the filters, rules and addresses of others alone", async () => {
    world.addHost("k", "1");
    world.exec("k", "tc", "qdisc", "add", "dev", "eth0", "clsact");
    world.exec("k", "tc", "filter", "add", "dev", "eth0", "ingress", "pref", "9", "protocol", "ipv6", "u32", "match", "ip6", "protocol", "17", "0xff", "action", "mirred", "egress", "redirect", "dev", "lo");
    world.exec("k", "ip", "-6", "rule", "add", "pref", "7134", "from", "2001:db8:99::/64", "lookup", "99");
    world.exec("k", "ip", "addr", "add", "2001:db8:77::1/128", "dev", "lo", "nodad");
    // An administrator's IPsec, for the very packets that we translate, and with numbers like ours.
    const esp = ["proto", "esp", "reqid", "7135", "mode", "transport"];
    world.exec("k", "ip", "xfrm", "policy", "add", "src", X, "dst", client, "dir", "out", "priority", "7135", "tmpl", ...esp, "level", "use");
    world.exec("k", "ip", "xfrm", "policy", "add", "src", "::/0", "dst", X, "dir", "in", "priority", "7134");
    // The state of it where the kernel knows ESP.
    world.exec("k", "sh", "-c", `ip xfrm state add src ${X} dst ${client} spi 7135 ${esp.join(" ")} enc cipher_null '' auth digest_null '' 2>/dev/null || true`);
    const before = world.dump("k");
    const plane = await world.plane("k", kind, node, plain({ attach }));
    await useAll(plane);
    await plane.kill();
    const next = await world.plane("k", kind, node, plain({ attach }));
    await next.stop();
    expect(world.dump("k")).toBe(before);
  });

  it("refuses to run twice in one network namespace", async () => {
    world.addHost("k", "1");
    const plane = await world.plane("k", kind, node, plain({ attach }));
    await useAll(plane);
    const running = world.dump("k");
    await expect(world.plane("k", kind, node, plain({ attach }))).rejects.toThrow(/another agent's data plane runs/);
    expect(world.dump("k")).toBe(running);
  });

  it("follows addresses and routes that change while it runs", async () => {
    world.addHost("k", "1");
    world.addHost("c", "c");
    await (await world.plane("k", kind, node, plain({ attach }))).call("addHome", X, { careOf: node, homeAgent, via: homeAgent });
    const clientPlane = await world.plane("c", kind, client, plain({ attach }));
    await clientPlane.call("bind", X, node);
    // A second router address: the default route of the client moves there.
    run("ip", "-n", world.namespace("r"), "addr", "add", "2001:db8:c::9/64", "dev", "to-c", "nodad");
    world.exec("c", "ip", "-6", "route", "replace", "default", "via", "2001:db8:c::9");
    // In userspace the next hop is looked up for each packet; what routes show is our own device.
    await expect.poll(() => world.exec("c", "ip", "-6", "route", "get", X), { timeout: 5000 }).toContain(kind === "ebpf" || attach === "ebpf" ? "via 2001:db8:c::9" : "dev alab0");
    // An address that comes later takes signalling, too.
    world.exec("c", "ip", "addr", "add", "2001:db8:c::7/64", "dev", "eth0", "nodad");
    await expect
      .poll(() => world.inject("k", 'IPv6(dst="2001:db8:c::7")/MIP6MH_HoTI()'), { timeout: 20_000, interval: 200 })
      .toEqual([]);
  });

  it("leaves a neighbour alone whose address somebody has set for good", async () => {
    world.addHost("k", "1");
    world.addHost("c", "c");
    const [, mac] = /link\/ether (\S+)/.exec(run("ip", "-n", world.namespace("r"), "link", "show", "to-c")) as unknown as [string, string];
    world.exec("c", "ip", "neigh", "replace", "2001:db8:c::1", "lladdr", mac, "dev", "eth0", "nud", "permanent");
    const clientPlane = await world.plane("c", kind, client, plain({ attach }));
    await clientPlane.call("bind", X, node);
    const sent = (): number => Number(run("ip", "netns", "exec", world.namespace("r"), "cat", "/sys/class/net/to-c/statistics/rx_packets"));
    const before = sent();
    world.exec("c", python, "-c", `import socket, time; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); [(s.sendto(b"x", ("${X}", 9)), time.sleep(0.2)) for _ in range(2)]`);
    expect(sent() - before).toBeGreaterThanOrEqual(2);
    expect(world.exec("c", "ip", "neigh", "show", "2001:db8:c::1")).toContain(`lladdr ${mac} PERMANENT`);
  });

  it("runs as an ordinary user with just its capabilities", async () => {
    world.addHost("k", "1");
    const wanted = kind === "ebpf" || attach === "ebpf" ? "+net_admin,+net_raw,+bpf" : "+net_admin,+net_raw";
    const wrap = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", `--inh-caps=-all,${wanted}`, `--ambient-caps=-all,${wanted}`, `--bounding-set=-all,${wanted}`];
    const before = world.dump("k");
    const plane = await world.plane("k", kind, node, plain({ attach, wrap }));
    await useAll(plane);
    await plane.stop();
    expect(world.dump("k")).toBe(before);
  });
});

const hosts = [["h", "a"], ["k", "1"], ["c", "c"]] as const;

/** Two hosts and the home agent, route-optimised or tunnelled, over links with a twist. */
async function serve(world: PlaneWorld, kind: string, attach: string | undefined): Promise<Record<"h" | "k" | "c", PlaneHost>> {
  world.routeTo("2001:db8:a:f::/64", "h", "a");
  const options = plain({ attach });
  const [h, k, c] = [await world.plane("h", kind, homeAgent, options), await world.plane("k", kind, node, options), await world.plane("c", kind, client, options)];
  await h.call("tunnel", X, node);
  await k.call("addHome", X, { careOf: node, homeAgent, via: homeAgent });
  const server = world.start("k", python, support("tcpPeer.py"), "serve", X, "80");
  await new Promise((resolve) => server.stdout?.once("data", resolve));
  return { h, k, c };
}

/** What downloading and uploading so many bytes gave. */
const exchange = (world: PlaneWorld, bytes: number): string[] =>
  ["fetch", "put"].map((call) => world.exec("c", "timeout", "30", python, support("tcpPeer.py"), call, X, "80", String(bytes)).trim());
const intact = (bytes: number): string[] => [pattern(bytes), pattern(bytes)];

describe.each(able.filter(({ attach }) => attach !== "tcx"))("links of a data plane $kind $attach", ({ kind, attach }) => {
  let world: PlaneWorld;
  beforeEach(() => {
    world = new PlaneWorld(`dl${kind[0]}${attach?.[0] ?? ""}`);
  });
  afterEach(() => world.close());

  it("gets large packets through links that carry them with a virtio_net_hdr", async () => {
    for (const [host, net] of hosts) world.addHost(host, net, { forwarder: [python, support("forward.py")] });
    await world.forwarding();
    const { k, c } = await serve(world, kind, attach);
    expect(exchange(world, 3_000_000)).toEqual(intact(3_000_000));
    await k.call("optimise", X, client);
    await c.call("bind", X, node);
    expect(exchange(world, 20_000_000)).toEqual(intact(20_000_000));
    await expect.poll(() => world.forwarderOutput("k")).toContain("large");
    expect(world.forwarderOutput("k")).not.toContain("lost");
  });

  it("keeps within the MTU where the hosts cut packets and make checksums themselves", async () => {
    for (const [host, net] of hosts) {
      world.addHost(host, net);
      for (const [namespace, device] of [[host, "eth0"], ["r", `to-${host}`]] as const) world.exec(namespace, python, "-c", plainDeviceScript, device);
    }
    const { k, c } = await serve(world, kind, attach);
    const longest = world.start("r", "tshark", "-i", "to-k", "-l", "-f", "greater 1515", "-T", "fields", "-e", "frame.len");
    let seen = "";
    longest.stdout?.on("data", (text: Buffer) => (seen += text.toString()));
    expect(exchange(world, 1_000_000)).toEqual(intact(1_000_000));
    await k.call("optimise", X, client);
    await c.call("bind", X, node);
    expect(exchange(world, 1_000_000)).toEqual(intact(1_000_000));
    expect(seen).toBe("");
  });

  it.each([
    { where: "the client's", narrow: "c", optimised: true },
    { where: "the client's", narrow: "c", optimised: false },
    { where: "the home agent's", narrow: "h", optimised: false },
    { where: "the node's", narrow: "k", optimised: true },
    { where: "the node's", narrow: "k", optimised: false },
  ])("finds the path MTU past a narrower link, $where, optimised $optimised", async ({ narrow, optimised }) => {
    for (const [host, net] of hosts) world.addHost(host, net);
    const { k, c } = await serve(world, kind, attach);
    for (const [host, net] of hosts) if (host === narrow) world.narrow(host, net, 1400);
    if (narrow === "h") world.routeTo("2001:db8:a:f::/64", "h", "a", 1400);
    if (optimised) {
      await k.call("optimise", X, client);
      await c.call("bind", X, node);
    }
    expect(exchange(world, 1_000_000)).toEqual(intact(1_000_000));
  });

  it("finds the path MTU of a client that another member serves through the contact", async () => {
    for (const [host, net] of hosts) world.addHost(host, net);
    const member = world.addHost("m", "2");
    const { k } = await serve(world, kind, attach);
    world.narrow("c", "c", 1400);
    const m = await world.plane("m", kind, member, plain({ attach }));
    await m.call("addHome", X, { careOf: member, homeAgent, via: node });
    for (const [plane, other] of [[m, node], [k, member]] as const) await plane.call("setMembers", X, [other]);
    const server = world.start("m", python, support("tcpPeer.py"), "serve", X, "80");
    await new Promise((resolve) => server.stdout?.once("data", resolve));
    await m.call("serve", X, client);
    await k.call("relay", X, client, member);
    expect(exchange(world, 1_000_000)).toEqual(intact(1_000_000));
  });

  it("tells a client when its packets do not fit the home agent's tunnel", async () => {
    for (const [host, net] of hosts) world.addHost(host, net);
    const { h } = await serve(world, kind, attach);
    const datagram = (bytes: number) => `IPv6(dst="${X}")/UDP(sport=9, dport=9)/Raw(bytes(${bytes} - 48))`;
    expect(await world.inject("c", datagram(1480))).toEqual([expect.stringContaining("ICMPv6PacketTooBig")]);
    expect((await h.drops())["too big for the tunnel"]).toBe(1);
    // Fits, gets there, and nobody listens.
    expect(await world.inject("c", datagram(1460))).toEqual([expect.stringContaining("ICMPv6DestUnreach")]);
  });
});

describe.skipIf(reason)("choosing a data plane", () => {
  const script = `import("${fileURLToPath(new URL("../../src-agent/dataplane/choose.ts", import.meta.url))}").then(({ chooseDataPlane }) => {
    try {
      const { plane, reason } = chooseDataPlane(process.argv[1], { device: process.argv[2], address: "2001:db8:1::2" });
      console.log(plane.kind + ": " + reason);
      plane.close();
    } catch (error) { console.log(error.code + ": " + error.message); }
    process.exit(0);
  })`;
  let world: PlaneWorld;
  beforeEach(() => {
    world = new PlaneWorld("dc");
    world.addHost("k", "1");
  });
  afterEach(() => world.close());
  const choose = (preference: string, device: string, ...wrap: string[]): string => world.exec("k", ...wrap, process.execPath, "-e", script, preference, device).trim();
  const capabilities = (list: string) => ["setpriv", "--reuid", "65534", "--clear-groups", `--inh-caps=-all,${list}`, `--ambient-caps=-all,${list}`, `--bounding-set=-all,${list}`];

  it.skipIf(kernelCannotTranslate())("takes the kernel's own where there is one, with tunnels by whatever may", () => {
    expect(choose("auto", "eth0")).toMatch(/^kernel: the kernel does Mobile IPv6 itself; tunnels by eBPF, attached by (tcx|clsact)$/);
    expect(choose("auto", "eth0", ...capabilities("+net_admin,+net_raw"))).toMatch(/^kernel: the kernel does Mobile IPv6 itself; tunnels in userspace \(eBPF cannot be used here: .*CAP_BPF/);
    expect(choose("kernel", "eth0")).toMatch(/^kernel: asked for; tunnels by eBPF/);
    expect(choose("ebpf", "eth0")).toMatch(/^ebpf: asked for/);
    expect(choose("kernel", "eth0", ...capabilities("+net_raw"))).toMatch(/^no-data-plane: .*CAP_NET_ADMIN and CAP_NET_RAW/);
  });

  it.skipIf(!kernelCannotTranslate())("takes eBPF where it may, says why not where it may not, and falls back", () => {
    expect(choose("auto", "eth0")).toMatch(/^ebpf: the kernel takes eBPF programs; attached by (tcx|clsact); not the kernel's own Mobile IPv6: .*CONFIG_IPV6_MIP6/);
    expect(choose("auto", "eth0", ...capabilities("+net_admin,+net_raw"))).toMatch(/^userspace: eBPF cannot be used here: .*CAP_BPF.*; not the kernel's own Mobile IPv6: /);
    expect(choose("ebpf", "eth0", ...capabilities("+net_admin,+net_raw"))).toMatch(/^no-data-plane: the eBPF data plane cannot run here: .*CAP_BPF/);
    expect(choose("auto", "eth0", ...capabilities("+net_raw"))).toMatch(/^no-data-plane: .*CAP_NET_ADMIN and CAP_NET_RAW/);
    expect(choose("userspace", "eth0")).toBe("userspace: asked for");
    expect(choose("kernel", "eth0")).toMatch(/^no-data-plane: the kernel data plane cannot run here: .*CONFIG_IPV6_MIP6.*EPROTONOSUPPORT/);
    expect(choose("auto", "eth7")).toBe("no-data-plane: the userspace data plane cannot run here: there is no network device named eth7 here");
    expect(choose("auto", "lo")).toContain("not an Ethernet device");
  });

  it("runs in userspace in a user namespace, without any rights outside", () => {
    const inner = [
      "ip link set lo up; ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up; ip addr add 2001:db8:1::2/64 dev eth0 nodad",
      `exec "$@"`,
    ].join("; ");
    const out = execFileSync("setpriv", ["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "--user", "--map-root-user", "--net", "sh", "-c", inner, "sh", process.execPath, "-e", script, "auto", "eth0"], { encoding: "utf8" });
    expect(out).toMatch(/^userspace: eBPF cannot be used here: /);
  });
});

/** Prints the offloads of eth0 by SIOCETHTOOL, as `ethtool -k` would. */
const offloadScript = `
import array, fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def call(data):
    b = array.array("B", data)
    fcntl.ioctl(s, 0x8946, struct.pack("16sP", b"eth0", b.buffer_info()[0]) + bytes(16))
    return b.tobytes()
count = struct.unpack_from("I", call(struct.pack("IIQI", 0x37, 0, 1 << 4, 0) + bytes(8)), 16)[0]
words = (count + 31) // 32
print(call(struct.pack("II", 0x3a, words) + bytes(16 * words))[8:].hex())
`;

/** Turns segmentation and checksum offloads of a device off: what leaves it is what an old network card would send. */
const plainDeviceScript = `
import array, fcntl, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for command in (0x17, 0x1f, 0x24, 0x2c):  # ETHTOOL_STXCSUM, STSO, SGSO, SGRO
    b = array.array("B", struct.pack("II", command, 0))
    fcntl.ioctl(s, 0x8946, struct.pack("16sP", sys.argv[1].encode(), b.buffer_info()[0]) + bytes(16))
`;
