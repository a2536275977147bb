import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { AgentEventBody } from "../../src-shared/api/events.ts";
import { AgentWorld, pause, until } from "../support/agentWorld.ts";
import { findTshark } from "../vectors/oracles.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const tshark = findTshark();
/** On h's own link, whose prefix is 2001:db8:1::/64. */
const onLink = "2001:db8:1::7a:b";
const echo = [{ kind: "echo", name: "echo", port: 7 }] as const;
const python = "/usr/bin/python3";
const say = `
import socket, sys
s = socket.create_connection((sys.argv[1], 7), timeout=5)
s.sendall(b"hello\\n")
print(s.recv(100).decode().strip())
`;

let world: AgentWorld;
const watchers: ChildProcess[] = [];
beforeAll(() => AgentWorld.prepare());
afterEach(async () => {
  for (const child of watchers.splice(0)) child.kill("SIGKILL");
  await world?.close();
});

/** What a host hears from the service at X. */
const ask = (host: string): string => world.exec(host, python, "-c", say, world.homeAddress).trim();
const ethernetOf = (host: string): string => world.exec(host, "cat", "/sys/class/net/eth0/address").trim();
const eventsOf = <T extends AgentEventBody["type"]>(host: string, type: T): Extract<AgentEventBody, { type: T }>[] =>
  world.host(host).events.flatMap(({ body }) => (body.type === type ? [body as Extract<AgentEventBody, { type: T }>] : []));
const homeOf = async (): Promise<Record<string, unknown>> => ((await world.call("h", "inspect", {})) as { homes: Record<string, unknown>[] }).homes[0] ?? {};
const register = async (...keys: { spi: number; key: string }[]): Promise<unknown> => world.call("h", "serveHome", { homeAddress: world.homeAddress, associations: keys, maxLifetimeSeconds: 420 });
/** `neigh` of a stock host about X: its Ethernet address, or the state it is in. */
const neighbourX = (host: string): string => world.exec(host, "ip", "-6", "neigh", "show", world.homeAddress, "dev", "eth0").trim();

/** Neighbor Discovery about X, as tshark reads it on h's wire. */
interface Seen {
  readonly at: number;
  readonly from: string;
  readonly to: string;
  readonly hopLimit: string;
  readonly type: string;
  readonly flags: string;
  readonly linkLayer: string;
  readonly nonce: string;
  readonly complaint: string;
}

async function watchNeighborDiscovery(): Promise<() => Seen[]> {
  const fields = ["frame.time_epoch", "ipv6.src", "ipv6.dst", "ipv6.hlim", "icmpv6.type", "icmpv6.nd.na.flag.r", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.o", "icmpv6.opt.linkaddr", "icmpv6.opt.nonce", "_ws.expert.message", "icmpv6.checksum.status", "icmpv6.nd.ns.target_address", "icmpv6.nd.na.target_address"];
  const args = ["-i", "to-h", "-l", "-f", "icmp6 and (ip6[40] == 135 or ip6[40] == 136)", "-T", "fields", "-E", "separator=|", ...fields.flatMap((field) => ["-e", field])];
  const child = spawn("ip", ["netns", "exec", world.namespace("r"), "tshark", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  watchers.push(child);
  let said = "";
  let ready = false;
  child.stdout?.on("data", (text: Buffer) => (said += text.toString()));
  child.stderr?.on("data", (text: Buffer) => (ready ||= text.toString().includes("Capturing")));
  await until(() => ready, "tshark to capture");
  await pause(300);
  return () =>
    said.split("\n").slice(0, -1).flatMap((line) => {
      const [at, from = "", to = "", hopLimit = "", type = "", r, s, o, linkLayer = "", nonce = "", complaint = "", checksum = "", solicited, advertised] = line.split("|");
      const flag = (name: string, value: string | undefined): string => (value === "True" || value === "1" ? name : "");
      return (solicited || advertised) === world.homeAddress ? [{ at: Number(at), from, to, hopLimit, type, flags: flag("R", r) + flag("S", s) + flag("O", o), linkLayer, nonce, complaint: checksum === "1" ? complaint : "wrong checksum" }] : [];
    });
}

async function start(dataPlane: "ebpf" | "userspace", homeAddress: string, hosts: readonly string[], neighbours: readonly string[]): Promise<void> {
  world = new AgentWorld(dataPlane === "ebpf" ? "alne" : "alnu", homeAddress);
  world.build(hosts);
  if (neighbours.length > 0) world.shareLink("h", neighbours);
  await Promise.all(hosts.map((name) => world.startAgent(name, dataPlane)));
}

describe.skipIf(!isRoot)("a home address on the home agent's link (needs root on Linux)", () => {
  it.skipIf("missing" in tshark).each(["ebpf", "userspace"] as const)("is looked for, defended, reached by stock neighbours through the tunnel, and given up, data plane %s", async (dataPlane) => {
    await start(dataPlane, onLink, ["h", "k", "c"], ["s"]);
    const seen = await watchNeighborDiscovery();
    await world.formGroup(["k"], [], [...echo]);
    expect(await homeOf()).toMatchObject({ phase: "registered", homeLink: "onLink", defence: "defending" });

    // One solicitation of duplicate address detection, a second of silence, then three advertisements to all.
    await until(() => seen().length >= 4, "three advertisements", () => JSON.stringify(seen()));
    const [first, ...announcements] = seen();
    const mac = ethernetOf("h");
    expect(first).toMatchObject({ from: "::", to: "ff02::1:ff7a:b", hopLimit: "255", type: "135", linkLayer: "", nonce: expect.stringMatching(/^[0-9a-f]{12}$/), complaint: "" });
    for (const each of announcements) expect(each).toMatchObject({ from: "2001:db8:1::1", to: "ff02::1", hopLimit: "255", type: "136", flags: "O", linkLayer: mac, complaint: "" });
    expect((announcements[0]?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(0.999);

    // A stock neighbour asks the link for X, and everybody gets through, from the link and from elsewhere.
    expect(ask("s")).toBe("hello");
    expect(neighbourX("s")).toContain(mac);
    expect(ask("c")).toBe("hello");
    const answer = (): Seen | undefined => seen().find(({ to }) => to === world.host("s").address);
    await until(() => answer() !== undefined, "the answer to the neighbour", () => JSON.stringify(seen()));
    expect(answer()).toMatchObject({ from: "2001:db8:1::1", hopLimit: "255", type: "136", flags: "S", linkLayer: mac, complaint: "" });
    const { dataPlane: moved } = (await world.call("h", "counters", {})) as { dataPlane: { tunnelledOut: { packets: number }; tunnelledIn: { packets: number } } };
    expect(moved.tunnelledOut.packets).toBeGreaterThan(8);
    expect(moved.tunnelledIn.packets).toBeGreaterThan(6);

    // A stock kernel that wants the address is told that it is taken.
    const wants = (): string => world.exec("s", "ip", "-6", "addr", "show", "dev", "eth0", "to", world.homeAddress);
    world.exec("s", "ip", "addr", "add", `${world.homeAddress}/64`, "dev", "eth0");
    await until(() => wants().includes("dadfailed"), "the kernel's own duplicate address detection", wants);
    world.exec("s", "ip", "addr", "del", `${world.homeAddress}/64`, "dev", "eth0");

    // Given back: nobody answers, and the address is free.
    await world.call("k", "leave", { group: "g" });
    await until(() => eventsOf("h", "bindingRemoved").length > 0, "the deregistration", () => world.describe());
    expect(await homeOf()).toMatchObject({ phase: "unregistered", defence: "idle" });
    world.exec("s", "ip", "-6", "neigh", "flush", "to", world.homeAddress);
    expect(() => ask("s")).toThrow();
    world.exec("s", "ip", "addr", "add", `${world.homeAddress}/64`, "dev", "eth0");
    await until(() => !/tentative|dadfailed/.test(wants()), "the address to be free", wants);
    const traces = world.traces("h");
    await world.call("h", "retireHome", { homeAddress: world.homeAddress });
    expect(world.traces("h")).toBe(traces);
  });

  it("that another node has is refused with 134, and granted once that is gone", async () => {
    await start("ebpf", onLink, ["h", "k"], ["s"]);
    world.exec("s", "ip", "addr", "add", `${onLink}/64`, "dev", "eth0", "nodad");
    const key = world.newKey(1000);
    await register(key);
    await world.join("k", ["k"], [...echo], key);
    await until(() => eventsOf("k", "homeRegistrationFailed").length > 0, "a refusal", () => world.describe());
    expect(eventsOf("k", "homeRegistrationFailed")[0]).toMatchObject({ status: 134 });
    expect(await homeOf()).toMatchObject({ phase: "unregistered", defence: "idle" });

    world.exec("s", "ip", "addr", "del", `${onLink}/64`, "dev", "eth0");
    await world.call("k", "leave", { group: "g" });
    await world.join("k", ["k"], [...echo], key);
    await until(() => eventsOf("k", "homeRegistered").length > 0, "the registration", () => world.describe());
    expect(ask("s")).toBe("hello");
  });

  it("is bound no longer than its prefix is valid", async () => {
    await start("ebpf", onLink, ["h", "k"], []);
    // The route apart, so that it does not end with the address.
    world.exec("h", "ip", "addr", "change", "2001:db8:1::1/64", "dev", "eth0", "valid_lft", "101", "preferred_lft", "90", "noprefixroute");
    world.exec("h", "ip", "-6", "route", "replace", "2001:db8:1::/64", "dev", "eth0");
    await world.formGroup(["k"], [], []);
    expect(eventsOf("k", "homeRegistered")[0]?.lifetimeSeconds).toBeLessThanOrEqual(100);
    expect(eventsOf("k", "homeRegistered")[0]?.lifetimeSeconds).toBeGreaterThan(60);
  });

  it("is refused where no prefix of the link covers it, if it is said to be there", async () => {
    await start("ebpf", "2001:db8:f::1", ["h"], []);
    const config = { homeAddress: world.homeAddress, associations: [world.newKey(1000)], maxLifetimeSeconds: 420 };
    await expect(world.call("h", "serveHome", { ...config, homeLink: "onLink" })).rejects.toThrow(/no prefix of the data interface covers it/);
    await world.call("h", "serveHome", config);
    expect(await homeOf()).toMatchObject({ phase: "unregistered", homeLink: "routed" });
  });
});

/** Home registrations as they arrive at h, to send them again. */
async function captureUpdates(): Promise<{ readonly replay: () => void }> {
  const file = join(world.directory("h"), "updates.pcap");
  const child = spawn("ip", ["netns", "exec", world.namespace("r"), "dumpcap", "-q", "-i", "to-h", "-w", file, "-f", "ip6 proto 60"], { stdio: ["ignore", "ignore", "pipe"] });
  watchers.push(child);
  let ready = false;
  child.stderr?.on("data", (text: Buffer) => (ready ||= text.toString().includes("File: ")));
  await until(() => ready, "dumpcap to capture");
  const script = "import sys; from scapy.all import rdpcap, sendp; sendp(rdpcap(sys.argv[1])[-1], iface='to-h', verbose=False)";
  return { replay: () => void execFileSync("ip", ["netns", "exec", world.namespace("r"), python, "-c", script, file], { stdio: ["ignore", "ignore", "pipe"] }) };
}

const refusals = async (): Promise<Record<string, number>> => ((await world.call("h", "counters", {})) as { drops: Record<string, number> }).drops;

describe.skipIf(!isRoot)("a home agent that is killed (needs root on Linux)", () => {
  it("goes on with its binding before it has its keys back, and with them refuses what came before", async () => {
    await start("ebpf", onLink, ["h", "k", "c"], ["s"]);
    const key = world.newKey(1000);
    await register(key);
    const updates = await captureUpdates();
    await world.join("k", ["k"], [...echo], key);
    await until(() => eventsOf("k", "homeRegistered").length > 0, "the registration", () => world.describe());
    const file = join(world.directory("h"), "homes", `${onLink}.json`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, "utf8")).not.toContain(key.key);

    await world.killAgent("h");
    await world.startAgent("h", "ebpf");
    expect(await homeOf()).toMatchObject({ phase: "registered", careOf: world.host("k").address, defence: "defending" });
    expect(ask("c")).toBe("hello");
    world.exec("s", "ip", "-6", "neigh", "flush", "to", onLink);
    expect(ask("s")).toBe("hello");
    updates.replay();
    await until(() => eventsOf("h", "drop").some(({ reason }) => reason.includes("before the manager has given its keys")), "the replayed update", () => world.describe());

    await register(key);
    updates.replay();
    await until(() => eventsOf("h", "drop").some(({ reason }) => reason.includes("(144)")), "a refusal", () => world.describe());
    expect(await homeOf()).toMatchObject({ phase: "registered", careOf: world.host("k").address });
  });

  it("without what it had written takes nothing from before, and the contact's next registration", async () => {
    await start("ebpf", "2001:db8:f::1", ["h", "k", "c"], []);
    const [old, key] = [world.newKey(1000), world.newKey(1001)];
    await register(old, key);
    const updates = await captureUpdates();
    await world.join("k", ["k"], [...echo], key);
    await until(() => eventsOf("k", "homeRegistered").length > 0, "the registration", () => world.describe());
    await world.killAgent("h");
    writeFileSync(join(world.directory("h"), "homes", "2001:db8:f::1.json"), '{"version":1,"home"');
    await world.startAgent("h", "ebpf");
    await register(old, key);
    const told = eventsOf("h", "log").find(({ level }) => level === "error");
    expect(told?.text).toMatch(/2001:db8:f::1.*cannot be used.*only the newest epoch may register/);
    updates.replay();
    await until(() => eventsOf("h", "drop").some(({ reason }) => reason.includes("(144)")), "a refusal", () => world.describe());
    expect(await homeOf()).toMatchObject({ phase: "unregistered" });

    await world.call("k", "leave", { group: "g" });
    await world.join("k", ["k"], [...echo], old);
    await until(() => eventsOf("k", "homeRegistrationFailed").some(({ status }) => status === 129), "the old epoch's refusal", () => world.describe());
    await world.call("k", "leave", { group: "g" });
    await world.join("k", ["k"], [...echo], key);
    await until(() => eventsOf("k", "homeRegistered").length > 1, "the registration", () => world.describe());
    expect(ask("c")).toBe("hello");
    expect(JSON.parse(readFileSync(join(world.directory("h"), "homes", "2001:db8:f::1.json"), "utf8"))).toMatchObject({ newestSpi: 1001, binding: { spi: 1001 } });
  });
});

describe.skipIf(!isRoot)("a backup that takes over at the home agent (needs root on Linux)", () => {
  it("gets the tunnel by a newer epoch, and the old contact can neither take it back nor end it", async () => {
    await start("ebpf", onLink, ["h", "k", "b", "c"], ["s"]);
    const [first, second] = [world.newKey(1000), world.newKey(1001)];
    await register(first, second);
    await world.join("k", ["k"], [...echo], first);
    await until(() => eventsOf("k", "homeRegistered").length > 0, "the first registration", () => world.describe());
    expect(ask("c")).toBe("hello");

    const seen = "missing" in tshark ? null : await watchNeighborDiscovery();
    await world.join("b", ["b"], [...echo], second);
    await until(() => eventsOf("b", "homeRegistered").length > 0, "the takeover", () => world.describe());
    const taken = { phase: "registered", careOf: world.host("b").address, spi: 1001 };
    expect(await homeOf()).toMatchObject(taken);
    if (seen) await until(() => seen().some(({ type, flags }) => type === "136" && flags === "O"), "the link to be told again");

    // The old contact's farewell is a deregistration with an old key.
    await world.call("k", "leave", { group: "g" });
    await until(() => eventsOf("h", "drop").some(({ reason }) => reason.includes("(129)")), "its refusal", () => world.describe());
    expect(await homeOf()).toMatchObject(taken);
    await world.join("k", ["k"], [...echo], first);
    await until(() => eventsOf("k", "homeRegistrationFailed").some(({ status }) => status === 129), "the old epoch's refusal", () => world.describe());
    expect(await homeOf()).toMatchObject(taken);
    expect(Object.entries(await refusals()).find(([reason]) => reason.includes("(129)"))?.[1]).toBeGreaterThan(1);
    for (const host of ["c", "s"]) expect(ask(host)).toBe("hello");

    // Nobody could register any more with the old keys alone: said when they are given, not found out later.
    await expect(register(first)).rejects.toThrow(/SPI 1001 has registered/);
  });
});
