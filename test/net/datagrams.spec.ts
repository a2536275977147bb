import type { ChildProcess } from "node:child_process";
import { execFileSync, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { AgentWorld, pause, until } from "../support/agentWorld.ts";

/** Clients that never open a connection: UDP and echo requests to X, before, during and after handoffs, by real agents. */

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const python = "/usr/bin/python3";
const talker = fileURLToPath(new URL("../support/datagramClient.py", import.meta.url));
const members = ["k", "a", "b"];

let world: AgentWorld;
let clients: ChildProcess[] = [];
beforeAll(() => AgentWorld.prepare());
afterEach(async () => {
  for (const client of clients.splice(0)) client.kill("SIGKILL");
  clients = [];
  await world?.close();
});

interface Outcome {
  readonly sent: number;
  readonly answered: number;
  readonly doubled: number;
  readonly wrong: number;
  readonly missing: readonly number[];
}

/** Sends one UDP datagram, or one echo request, each 20 ms; says at its end what became of them. */
function start(kind: "udp" | "ping", to: string): { readonly end: () => Promise<Outcome> } {
  const child = spawn("ip", ["netns", "exec", world.namespace("c"), python, talker, kind, to, "9"], { stdio: ["pipe", "pipe", "inherit"] });
  clients.push(child);
  let said = "";
  child.stdout?.on("data", (text: Buffer) => (said += text.toString()));
  return {
    end: async () => {
      child.stdin?.end();
      await until(() => said.includes("}"), "the client's figures", () => said);
      return JSON.parse(said) as Outcome;
    },
  };
}

const told = (host: string, type: string): readonly Record<string, unknown>[] => world.host(host).events.map((e) => e.body as Record<string, unknown>).filter((body) => body["type"] === type);
const howServed = (): unknown => told("k", "clientServed").at(-1)?.["how"];
/** How many packets of clients each member's own stack got. */
const arrived = async (): Promise<Record<string, number>> => {
  const counts = await Promise.all(members.map(async (name) => {
    const { dataPlane } = (await world.call(name, "counters", {})) as { dataPlane: { translatedIn: { packets: number }; tunnelledIn: { packets: number } } };
    return [name, dataPlane.translatedIn.packets + dataPlane.tunnelledIn.packets] as const;
  }));
  return Object.fromEntries(counts);
};

describe.skipIf(!isRoot)("datagrams to X (needs root on Linux)", () => {
  it.each([
    { dataPlane: "ebpf", mobile: true },
    { dataPlane: "userspace", mobile: false },
  ] as const)("reach the member that serves the client, and are all answered once, data plane $dataPlane, client with Mobile IPv6: $mobile", async ({ dataPlane, mobile }) => {
    world = new AgentWorld(`ald${dataPlane[0]}${mobile ? "m" : "p"}`);
    world.build(["h", ...members, "c"]);
    await Promise.all(["h", ...members, ...(mobile ? ["c"] : [])].map((name) => world.startAgent(name, dataPlane, name === "k" ? ["--metrics", "9135"] : [])));
    await world.formGroup(members, mobile ? ["c"] : [], [{ kind: "udp-echo", name: "echo", port: 9 }]);
    const [home, client] = [world.homeAddress, world.host("c").address];

    const [udp, ping] = [start("udp", home), start("ping", home)];
    await until(() => told("k", "clientServed").length > 0, "the contact to know the client", () => world.describe());
    if (mobile) await until(() => howServed() === "optimised", "route optimisation", () => world.describe());
    for (const [i, acceptor] of ["a", "b", "k", "b"].entries()) {
      await pause(400);
      await expect(world.call("k", "handOver", { home, client, acceptor, mode: "full", id: `h${i}` }), world.describe()).resolves.toEqual({ connections: 0 });
      const before = await arrived();
      await pause(300);
      const after = await arrived();
      const busiest = members.toSorted((x, y) => (after[y] as number) - (before[y] as number) - (after[x] as number) + (before[x] as number))[0];
      expect(busiest).toBe(acceptor);
    }
    const curl = ["-s", "-g", "http://[::1]:9135/metrics"];
    const figures = execFileSync("ip", ["netns", "exec", world.namespace("k"), "curl", ...curl], { encoding: "utf8" });
    expect(figures).toContain('anycast_lab_handoffs_total{mode="full",outcome="done"} 4\n');
    expect(figures).toContain('anycast_lab_clients{group="g"} 1\n');
    expect(figures).toContain('anycast_lab_member_links_up{group="g"} 2\n');
    expect(figures).toContain('anycast_lab_handoff_duration_seconds_count{mode="full"} 4\n');
    // Between two members a handoff can be over before the next datagram comes; what a client without Mobile IPv6 sends to another member is always relayed.
    expect(figures).toMatch(mobile ? /packets_total\{path="relayed"\} \d/ : /packets_total\{path="relayed"\} [1-9]/);
    expect(Number(/direction="sent",type="HoTI"\} (\d+)/.exec(figures)?.[1])).toBeGreaterThan(0);

    const outcomes = { udp: await udp.end(), ping: await ping.end() };
    const drops = await Promise.all(["h", ...members].map(async (name) => ((await world.call(name, "counters", {})) as { dataPlane: { drops: unknown } }).dataPlane.drops));
    for (const [kind, { sent, ...rest }] of Object.entries(outcomes)) {
      expect(sent, kind).toBeGreaterThan(50);
      expect(rest, `${kind}; drops ${JSON.stringify(drops)}`).toEqual({ answered: sent, doubled: 0, wrong: 0, missing: [] });
    }
  });
});
