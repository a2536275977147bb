import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { cannotHaveNamespaces, type PlaneHost, PlaneWorld, run } from "../support/planeWorld.ts";

const reason = cannotHaveNamespaces();
if (reason) console.warn(`the home agent's tunnel on real packets: skipped, ${reason}`);

const X = "2001:db8:a:f::1";
const [homeAgent, node, client] = ["2001:db8:a::2", "2001:db8:1::2", "2001:db8:c::2"] as const;
const python = "/usr/bin/python3";
const peer = fileURLToPath(new URL("../support/tcpPeer.py", import.meta.url));
const pattern = (bytes: number): string => run(python, peer, "pattern", String(bytes)).trim();

/** Home agent h, contact k that serves everybody, client c, each behind the router. */
async function build(prefix: string, kind: string): Promise<{ world: PlaneWorld; h: PlaneHost; k: PlaneHost }> {
  const world = new PlaneWorld(prefix);
  for (const [host, net] of [["h", "a"], ["k", "1"], ["c", "c"]] as const) world.addHost(host, net);
  world.routeTo("2001:db8:a:f::/64", "h", "a");
  const [h, k] = [await world.plane("h", kind, homeAgent), await world.plane("k", kind, node)];
  await h.call("tunnel", X, node);
  await k.call("addHome", X, { careOf: node, homeAgent, via: homeAgent });
  return { world, h, k };
}

/** What tshark sees at one of the router's interfaces, a line of fields for each packet, outer headers first. */
async function watch(world: PlaneWorld, device: string, filter: string, fields: readonly string[]): Promise<() => string[][]> {
  const capture = world.start("r", "tshark", "-i", device, "-l", "-f", filter, "-T", "fields", "-E", "separator=|", ...fields.flatMap((field) => ["-e", field]));
  let seen = "";
  capture.stdout?.on("data", (text: Buffer) => (seen += text.toString()));
  await new Promise<void>((resolve) => capture.stderr?.on("data", (text: Buffer) => (text.toString().includes("Capturing") ? setTimeout(resolve, 300) : undefined)));
  return () => seen.split("\n").slice(0, -1).map((line) => line.split("|"));
}

/** tshark gives a field of each header, also of those inside. */
const outermost = (values: string | undefined): string => values?.split(",")[0] ?? "";

/** A UDP listener at X on the contact: what the client tells it, and the lengths of what it has heard. */
async function listen(world: PlaneWorld): Promise<{ tell: (bytes: number) => void; heard: () => number[] }> {
  const listener = world.start("k", python, peer, "hear", X, "7000");
  let said = "";
  listener.stdout?.on("data", (text: Buffer) => (said += text.toString()));
  await new Promise((resolve) => listener.stdout?.once("data", resolve));
  return {
    tell: (bytes) => void world.exec("c", python, peer, "tell", X, "7000", "x".repeat(bytes - 48)),
    heard: () => said.trim().split("\n").slice(1).map((line) => line.length + 48),
  };
}

describe.skipIf(reason).each([{ kind: "ebpf" }, { kind: "userspace" }])("the home agent's tunnel, data plane $kind", ({ kind }) => {
  let world: PlaneWorld;
  afterEach(async () => {
    await world?.close();
  });

  it("is one hop for what goes through it, with a hop limit of its own, answers when that hop is one too many, and ends where the registration is", async () => {
    const scene = await build(`ht${kind[0]}`, kind);
    ({ world } = scene);
    const seen = await watch(world, "to-k", "ip6 proto 41", ["ipv6.src", "ipv6.hlim"]);
    const back = await watch(world, "to-c", `udp and src host ${X}`, ["ipv6.hlim"]);
    const datagram = (hops: number): string => `IPv6(dst="${X}", hlim=${hops})/UDP(sport=7001, dport=7001)/Raw(b"x")`;
    // The router takes one: the home agent would have to forward it with none.
    expect(await world.inject("c", datagram(2))).toEqual([expect.stringContaining("ICMPv6TimeExceeded")]);
    expect((await scene.h.drops())["hop limit exceeded"]).toBe(1);
    expect(seen()).toEqual([]);
    world.start("k", python, "-c", `
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("${X}", 7001))
while True:
    data, sender = s.recvfrom(100)
    s.sendto(data, sender)
`);
    await expect.poll(() => world.exec("k", "ss", "-Hlun"), { timeout: 10_000 }).toContain(":7001");
    await world.inject("c", datagram(3));
    // What follows is the client's kernel: nobody listens there.
    const ways = (): unknown[] => seen().slice(0, 2).map(([addresses, hops]) => [outermost(addresses), hops]);
    await expect.poll(ways, { timeout: 10_000 }).toEqual([[homeAgent, "63,1"], [node, "64,64"]]);
    // Out of the tunnel, over the router.
    await expect.poll(back, { timeout: 10_000 }).toEqual([["62"]]);

    // Somebody else is registered now: the old care-of address is one like any other.
    await scene.h.call("tunnel", X, client);
    await world.inject("k", `IPv6(dst="${homeAgent}")/IPv6(src="${X}", dst="${client}")/UDP(dport=9)`);
    expect((await scene.h.drops())["reverse tunnel not from the registered care-of address"]).toBe(1);
  });

  it("carries packets of the minimum MTU in fragments where the way is too narrow for them, both ways", async () => {
    const scene = await build(`hn${kind[0]}`, kind);
    ({ world } = scene);
    world.narrow("k", "1", 1300);
    world.narrow("h", "a", 1300);
    const fragments = await watch(world, "to-k", "ip6 proto 44", ["ipv6.src", "ipv6.dst", "ipv6.fraghdr.offset", "ipv6.fraghdr.more", "ipv6.plen", "ipv6.fraghdr.ident"]);
    const { tell, heard } = await listen(world);
    // The first is lost: by it the home agent learns what the way carries.
    tell(1280);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(heard()).toEqual([]);
    tell(1280);
    await expect.poll(heard, { timeout: 10_000 }).toEqual([1280]);
    await expect.poll(() => fragments().length, { timeout: 10_000 }).toBe(2);
    const [first, second] = fragments();
    const isSet = expect.stringMatching(/^(1|True)$/);
    expect(first?.slice(0, 4).map(outermost)).toEqual([homeAgent, node, "0", isSet]);
    expect(Number(outermost(first?.[4])) + 40).toBeLessThanOrEqual(1280);
    expect(second?.slice(0, 4).map(outermost)).toEqual([homeAgent, node, expect.stringMatching(/^[1-9]\d*/), expect.stringMatching(/^(0|False)$/)]);
    expect(second?.[5]).toBe(first?.[5]);
    // What fits is not touched.
    tell(1240);
    await expect.poll(heard, { timeout: 10_000 }).toEqual([1280, 1240]);
    expect(fragments()).toHaveLength(2);
    // Larger ones are the sender's to make smaller.
    const large = `IPv6(dst="${X}")/UDP(sport=9, dport=7000)/Raw(bytes(1290 - 48))`;
    expect(await world.inject("c", large)).toEqual([expect.stringMatching(/ICMPv6PacketTooBig/)]);

    const server = world.start("k", python, peer, "serve", X, "80");
    await new Promise((resolve) => server.stdout?.once("data", resolve));
    for (const mode of ["fetch", "put"]) expect(world.exec("c", "timeout", "60", python, peer, mode, X, "80", "300000").trim()).toBe(pattern(300_000));
    expect((await scene.k.drops())["packets for the agent that it read too slowly"]).toBeUndefined();
  });

  it("takes reassembled packets from the tunnel's ends only, and of what they carry only what is ours", async () => {
    const scene = await build(`hr${kind[0]}`, kind);
    ({ world } = scene);
    const { heard } = await listen(world);
    const inner = `IPv6(src="${client}", dst="${X}")/UDP(sport=9, dport=7000)/Raw(b"y" * 1300)`;
    const cut = (source: string, packet: string): string => `fragment6(IPv6(src="${source}", dst="${node}")/IPv6ExtHdrFragment(id=7)/${packet}, 1280)`;
    await world.inject("c", cut(homeAgent, inner));
    await expect.poll(heard, { timeout: 10_000 }).toEqual([1348]);
    // A stranger's, which the kernel answers as any packet of a protocol that it does not know.
    expect(await world.inject("c", cut(client, inner))).toEqual([expect.stringContaining("ICMPv6ParamProblem")]);
    // The home agent's, but not for X: neither delivered nor passed round in circles.
    await world.inject("c", cut(homeAgent, inner.replace(X, "2001:db8:1::2")));
    await expect.poll(async () => (await scene.k.drops())["reassembled tunnel packet that is about no home address of ours"], { timeout: 10_000 }).toBe(1);
    expect(heard()).toEqual([1348]);
  });
});
