import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { AgentEventBody } from "../../src-shared/api/events.ts";
import { AgentWorld, pause, until } from "./agentWorld.ts";

/** On h's own link, whose prefix is 2001:db8:1::/64. */
export const onLink = "2001:db8:1::7a:b";
export const echo = [{ kind: "echo", name: "echo", port: 7 }] as const;
const python = "/usr/bin/python3";
const say = `
import socket, sys
s = socket.create_connection((sys.argv[1], 7), timeout=5)
s.sendall(b"hello\\n")
print(s.recv(100).decode().strip())
`;

/** The world of the test that runs. */
export let world: AgentWorld;
const watchers: ChildProcess[] = [];

export async function endWorld(): Promise<void> {
  for (const child of watchers.splice(0)) child.kill("SIGKILL");
  await world?.close();
}

/** What a host hears from the service at X. */
export const ask = (host: string): string => world.exec(host, python, "-c", say, world.homeAddress).trim();
export const ethernetOf = (host: string): string => world.exec(host, "cat", "/sys/class/net/eth0/address").trim();
export const eventsOf = <T extends AgentEventBody["type"]>(host: string, type: T): Extract<AgentEventBody, { type: T }>[] =>
  world.host(host).events.flatMap(({ body }) => (body.type === type ? [body as Extract<AgentEventBody, { type: T }>] : []));
export const homeOf = async (): Promise<Record<string, unknown>> => ((await world.call("h", "inspect", {})) as { homes: Record<string, unknown>[] }).homes[0] ?? {};
export const register = async (...keys: { spi: number; key: string }[]): Promise<unknown> => world.call("h", "serveHome", { homeAddress: world.homeAddress, associations: keys, maxLifetimeSeconds: 420 });
/** `neigh` of a stock host about X: its Ethernet address, or the state it is in. */
export const neighbourX = (host: string): string => world.exec(host, "ip", "-6", "neigh", "show", world.homeAddress, "dev", "eth0").trim();

/** Neighbor Discovery about X, as tshark reads it on h's wire. */
export interface Seen {
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

export async function watchNeighborDiscovery(): Promise<() => Seen[]> {
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

export async function start(dataPlane: "ebpf" | "userspace", homeAddress: string, hosts: readonly string[], neighbours: readonly string[]): Promise<void> {
  world = new AgentWorld(dataPlane === "ebpf" ? "alne" : "alnu", homeAddress);
  world.build(hosts);
  if (neighbours.length > 0) world.shareLink("h", neighbours);
  await Promise.all(hosts.map((name) => world.startAgent(name, dataPlane)));
}

/** Home registrations as they arrive at h, to send them again. */
export async function captureUpdates(): Promise<{ readonly replay: () => void }> {
  const file = join(world.directory("h"), "updates.pcap");
  const child = spawn("ip", ["netns", "exec", world.namespace("r"), "dumpcap", "-q", "-i", "to-h", "-w", file, "-f", "ip6 proto 60"], { stdio: ["ignore", "ignore", "pipe"] });
  watchers.push(child);
  let ready = false;
  child.stderr?.on("data", (text: Buffer) => (ready ||= text.toString().includes("File: ")));
  await until(() => ready, "dumpcap to capture");
  const script = "import sys; from scapy.all import rdpcap, sendp; sendp(rdpcap(sys.argv[1])[-1], iface='to-h', verbose=False)";
  return { replay: () => void execFileSync("ip", ["netns", "exec", world.namespace("r"), python, "-c", script, file], { stdio: ["ignore", "ignore", "pipe"] }) };
}
