import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AgentWorld, pause, until } from "../support/agentWorld.ts";
import { ask, findScapy, findTshark, pcapOf } from "../vectors/oracles.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const scapy = findScapy();
if ("missing" in scapy) console.warn(`signalling on real packets: skipped, ${scapy.missing}`);

/** What scapy makes of a packet that came back. */
interface Answer {
  readonly hex: string;
  readonly src: string;
  readonly length: number;
  readonly mh?: number;
  readonly status?: number | null;
  readonly ha?: string | null;
  readonly icmp?: number;
  readonly code?: number;
  readonly ptr?: number | null;
}

/** scapy on a host: sends what it builds, and reads what comes back. */
class Peer {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #trouble = "";

  constructor(namespace: string, python: string, address: string) {
    const script = fileURLToPath(new URL("../support/exchange.py", import.meta.url));
    this.#child = spawn("ip", ["netns", "exec", namespace, python, script, "eth0", address], { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr?.on("data", (text: Buffer) => (this.#trouble += text.toString()));
    this.#lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  async #next(): Promise<string> {
    const { value, done } = (await this.#lines.next()) as { value: string; done?: boolean };
    if (done) throw new Error(`scapy ended: ${this.#trouble}`);
    return value;
  }

  async ready(): Promise<void> {
    await this.#next();
  }

  async send(expression: string): Promise<Answer[]> {
    this.#child.stdin?.write(`${expression}\n`);
    return JSON.parse(await this.#next()) as Answer[];
  }

  close(): void {
    this.#child.kill();
  }
}

/** A client that says something each 20 ms and hears it again. */
const talker = `
const s = require("net").connect({ host: process.argv[1], port: 7 });
s.on("connect", () => { console.log("connected"); setInterval(() => s.write("x"), 20); });
s.on("data", () => {});
s.on("error", (e) => { console.log("error " + e.message); process.exit(1); });
`;

describe.skipIf(!isRoot || "missing" in scapy)("signalling on real packets, with scapy at the other end (needs root on Linux)", () => {
  let world: AgentWorld;
  let stranger: Peer;
  let client: Peer;
  let talking: ChildProcess | null = null;
  const seen: Uint8Array[] = [];

  beforeAll(async () => {
    await AgentWorld.prepare();
    world = new AgentWorld(`alsg${process.pid}`);
    world.build(["h", "k", "a", "c", "e"]);
    await Promise.all(["h", "k", "a", "c"].map((name) => world.startAgent(name, "ebpf")));
    await world.formGroup(["k", "a"], ["c"], [{ kind: "echo", name: "echo", port: 7 }], 16);
    const { python } = scapy as { python: string };
    stranger = new Peer(world.namespace("e"), python, world.host("e").address);
    client = new Peer(world.namespace("c"), python, world.host("c").address);
    await Promise.all([stranger.ready(), client.ready()]);
  });
  afterAll(async () => {
    stranger?.close();
    client?.close();
    talking?.kill();
    await world?.close();
  });

  const address = (name: string): string => world.host(name).address;
  const fromStranger = async (expression: string): Promise<Answer[]> => {
    const answers = await stranger.send(expression);
    seen.push(...answers.map(({ hex }) => Buffer.from(hex, "hex")));
    return answers;
  };
  const to = (destination: string): string => `IPv6(src="${address("e")}", dst="${destination}")`;
  const drops = async (name: string): Promise<Record<string, number>> => (await world.call(name, "counters", {}))["drops"] as Record<string, number>;
  const told = (from: number, how: string): boolean => world.host("k").events.slice(from).some((e) => e.body.type === "clientServed" && e.body.how === how);

  it("answers what is malformed with Parameter Problem code 0 at the field, and an unknown type with Binding Error 2", async () => {
    const c = address("c");
    expect(await fromStranger(`${to(c)}/MIP6MH_HoTI(nh=6, cookie=b"12345678")`)).toMatchObject([{ src: c, icmp: 4, code: 0, ptr: 40 }]);
    expect(await fromStranger(`${to(c)}/MIP6MH_HoTI(mhtype=3, cookie=b"12345678")`)).toMatchObject([{ src: c, icmp: 4, code: 0, ptr: 41 }]);
    expect(await fromStranger(`${to(c)}/MIP6MH_Generic(mhtype=77, msg=b"\\x00\\x00")`)).toMatchObject([{ src: c, mh: 7, status: 2, ha: "::" }]);
    // Right ones are answered as they should be; a wrong checksum is not answered at all.
    expect(await fromStranger(`${to(c)}/MIP6MH_HoTI(cookie=b"12345678")`)).toMatchObject([{ src: c, mh: 3 }]);
    expect(await fromStranger(`${to(c)}/MIP6MH_HoTI(nh=6, cksum=1, cookie=b"12345678")`)).toEqual([]);
  });

  it("answers in the name of the anycast address through the contact's home tunnel", async () => {
    const { homeAddress } = world;
    expect(await fromStranger(`${to(homeAddress)}/MIP6MH_HoT(nh=6, cookie=b"12345678", token=b"12345678")`)).toMatchObject([{ src: homeAddress, icmp: 4, code: 0, ptr: 40 }]);
    expect(await fromStranger(`${to(homeAddress)}/MIP6MH_Generic(mhtype=77, msg=b"\\x00\\x00")`)).toMatchObject([{ src: homeAddress, mh: 7, status: 2 }]);
    // A tunnel of one's own making is no way to X.
    expect(await fromStranger(`${to(address("k"))}/IPv6(src="${address("e")}", dst="${homeAddress}")/MIP6MH_HoT(nh=6, cookie=b"12345678", token=b"12345678")`)).toEqual([]);
  });

  it("answers a flood at a rate, with fewer bytes than it brought", async () => {
    const count = 1_500;
    const packet = `${to(address("c"))}/MIP6MH_HoTI(nh=6, cookie=b"12345678")`;
    const answers = await fromStranger(`wait=1; [${packet}]*${count}`);
    expect(answers.length).toBeGreaterThan(20);
    expect(answers.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(count * 56);
    expect(answers.length).toBeLessThan(count / 4);
    expect((await drops("c"))["too many answers to refused signalling"]).toBeGreaterThan(count / 2);
  });

  it("is read by tshark without complaint", (context) => {
    const tshark = findTshark();
    if ("missing" in tshark) return context.skip(tshark.missing);
    const folder = mkdtempSync(join(tmpdir(), "alsg-"));
    try {
      const file = join(folder, "answers.pcap");
      writeFileSync(file, pcapOf(seen));
      const rows = ask(tshark.tshark, ["-r", file, "-T", "fields", "-E", "separator=;", "-e", "icmpv6.type", "-e", "icmpv6.code", "-e", "icmpv6.checksum.status", "-e", "_ws.malformed", "-e", "mip6.mhtype"]).trimEnd().split("\n");
      expect(rows.length).toBe(seen.length);
      for (const row of rows) expect(row).toMatch(/^4;0;1;;|^;;;;[37]$/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("asks a client again whose Binding Error says that it is not bound, and one that asks for a refresh, but nobody else", async () => {
    talking = spawn("ip", ["netns", "exec", world.namespace("c"), process.execPath, "-e", talker, world.homeAddress], { stdio: ["ignore", "pipe", "inherit"] });
    const host = world.host("k");
    await until(() => told(0, "optimised"), "route optimisation", () => world.describe());
    // Bindings are short here: after 12 of 16 s this one, which is in use, is asked to be refreshed, before the group would do so by itself.
    const refreshes = (name: string): number => world.host(name).events.filter((e) => e.body.type === "message" && e.body.summary.startsWith("BRR ")).length;
    await until(() => refreshes("c") === 1 && refreshes("k") === 1, "a Binding Refresh Request through the home tunnel", () => world.describe(), 15_000);
    await until(() => world.host("c").events.filter((e) => e.body.type === "bindingAccepted").length === 2, "a new binding", () => world.describe());
    const [k, c, x] = [address("k"), address("c"), world.homeAddress];
    const error = `MIP6MH_BE(status=1, ha="${x}")`;

    await fromStranger(`${to(k)}/${error}`);
    await pause(300);
    expect((await drops("k"))["word of a lost binding of a client that is not bound here"]).toBe(1);

    await pause(3_000);
    let from = host.events.length;
    await client.send(`IPv6(src="${c}", dst="${k}")/${error}`);
    await until(() => told(from, "tunnel") && told(from, "optimised"), "the tunnel and a new binding", () => world.describe());

    await pause(3_200);
    from = host.events.length;
    const updates = world.host("c").events.filter((e) => e.body.type === "bindingAccepted").length;
    await client.send(`IPv6(src="${c}", dst="${x}")/MIP6MH_BRR()`);
    await until(() => world.host("c").events.filter((e) => e.body.type === "bindingAccepted").length > updates, "a refresh", () => world.describe());
  });

  it("deletes the binding of a care-of address that stays unreachable, whoever says so, and the client says that it is not bound", async () => {
    const [k, c, x] = [address("k"), address("c"), world.homeAddress];
    const unreachable = `${to(c)}/ICMPv6DestUnreach(code=3)/IPv6(src="${c}", dst="${k}")/IPv6ExtHdrRouting(type=2, segleft=1, addresses=["${x}"])/TCP()`;
    const removed = (): boolean => world.host("c").events.some((e) => e.body.type === "bindingRemoved" && e.body.reason === "care-of address unreachable");
    const from = world.host("k").events.length;
    for (let i = 0; i < 3; i++) {
      expect(removed()).toBe(false);
      await stranger.send(unreachable);
      await pause(400);
    }
    await until(removed, "the binding to go", () => world.describe());
    // The contact goes on with Home Address options: a real Binding Error comes back and is heeded.
    await until(() => told(from, "tunnel") && told(from, "optimised"), "a Binding Error and a new binding", () => world.describe());
    expect(world.host("k").events.slice(from).some((e) => e.body.type === "message" && /^BE .*status 1/.test(e.body.summary))).toBe(true);
  });

  it("finds out from this kernel's own ICMPv6 errors that a client has no Mobile IPv6 any more", async () => {
    const from = world.host("k").events.length;
    const c = world.host("c");
    const ended = new Promise((resolve) => c.agent?.once("exit", resolve));
    c.control?.destroy();
    c.control = null;
    c.agent?.kill("SIGKILL");
    await ended;
    await until(() => told(from, "tunnel"), "service through the tunnel", () => world.describe());
    const why = (): string[] => world.host("k").events.slice(from).flatMap((e) => (e.body.type === "clientServed" ? [e.body.why] : []));
    await until(() => why().some((text) => /says that it has no Mobile IPv6/.test(text)), "the kernel's word about the Mobility Header", () => world.describe());
    expect(why()[0]).toMatch(/Parameter Problem code 2/);
  });
});
