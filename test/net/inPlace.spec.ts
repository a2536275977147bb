import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { DataPlaneCounters } from "../../src-agent/ports.ts";
import { cannotHaveNamespaces, type PlaneHost, PlaneWorld, run } from "../support/planeWorld.ts";

const tcpPeer = fileURLToPath(new URL("../support/tcpPeer.py", import.meta.url));
const python = "/usr/bin/python3";
const X = "2001:db8:a:f::1";
const size = "3000000";

/** The userspace data plane where nftables translate for it: what `nft` says that they did, and when they must not. What arrives is test/net/dataplane.spec.ts's. */
describe.skipIf(cannotHaveNamespaces())("translation in place", () => {
  const world = new PlaneWorld("inp");
  const address = { k: world.addHost("k", "1"), c: world.addHost("c", "c") };
  let k: PlaneHost;
  let c: PlaneHost;

  beforeAll(async () => {
    [k, c] = await Promise.all([world.plane("k", "userspace", address.k), world.plane("c", "userspace", address.c)]);
    await k.call("addHome", X, { careOf: address.k, homeAgent: address.c, via: address.c });
    await k.call("optimise", X, address.c);
    await c.call("bind", X, address.k);
    const server = world.start("k", python, tcpPeer, "serve", X, "80");
    await new Promise((resolve) => server.stdout?.once("data", resolve));
  });
  afterAll(() => world.close());

  const put = (): void => {
    const got = world.exec("c", "timeout", "30", python, tcpPeer, "put", X, "80", size).trim();
    expect(got).toBe(run(python, tcpPeer, "pattern", size).trim());
  };
  /** Bytes that the rules of a host have counted. */
  const counted = (host: string): number => {
    const { nftables } = JSON.parse(world.exec(host, "nft", "-j", "list", "table", "ip6", "anycast-lab-arriving")) as { nftables: { rule?: { expr: { counter?: { bytes: number } }[] } }[] };
    return nftables.flatMap(({ rule }) => rule?.expr ?? []).reduce((sum, { counter }) => sum + (counter?.bytes ?? 0), 0);
  };
  const added = (host: string, during: () => void): number => {
    const before = counted(host);
    during();
    return counted(host) - before;
  };

  it("is done at both ends, and counted", async () => {
    // Acknowledgements, at the least those of the connection's start and end.
    expect(added("k", () => expect(added("c", put)).toBeGreaterThan(200))).toBeGreaterThan(3_000_000);
    await expect.poll(async () => (await k.call<DataPlaneCounters>("counters")).translatedIn.bytes - counted("k")).toBe(0);
  });

  it("keeps counts of rules that are gone", async () => {
    const before = await c.call<DataPlaneCounters>("counters");
    expect(before.translatedIn.packets).toBeGreaterThan(0);
    await c.call("unbind", X);
    expect(added("c", () => {})).toBe(0);
    expect((await c.call<DataPlaneCounters>("counters")).translatedIn.packets).toBeGreaterThanOrEqual(before.translatedIn.packets);
    await c.call("bind", X, address.k);
  });

  it("leaves to the thread what is not written as everybody does, and the kernel answers nothing", async () => {
    const listener = world.start("k", python, tcpPeer, "hear", X, "7001");
    let said = "";
    listener.stdout?.on("data", (text: Buffer) => (said += text.toString()));
    await expect.poll(() => said).not.toBe("");
    const before = await k.call<DataPlaneCounters>("counters");
    const counts = counted("k");
    // The checksum is over the home address; a reserved field is ignored (RFC 6275, section 6.4).
    const udp = `UDP(bytes(IPv6(src="${address.c}",dst="${X}")/UDP(sport=7000,dport=7001)/b"hello")[40:])`;
    const header = `IPv6ExtHdrRouting(nh=17,type=2,segleft=1,reserved=7,addresses=["${X}"])`;
    expect(await world.inject("c", `IPv6(src="${address.c}",dst="${address.k}",nh=43)/${header}/${udp}`)).toEqual([]);
    await expect.poll(() => said).toContain("hello");
    expect(counted("k")).toBe(counts);
    expect((await k.call<DataPlaneCounters>("counters")).translatedIn.packets).toBe(before.translatedIn.packets + 1);
  });

  it("is left to the thread for all while many clients are held, and taken up again", async () => {
    const others = Array.from({ length: 70 }, (_, i) => `2001:db8:c:1::${(i + 1).toString(16)}`);
    for (const client of others) await k.call("hold", X, client);
    expect(added("k", put)).toBe(0);
    for (const client of others.slice(10)) await k.call("discard", X, client);
    expect(added("k", put)).toBeGreaterThan(3_000_000);
  });
});
