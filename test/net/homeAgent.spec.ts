import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { AgentWorld, until } from "../support/agentWorld.ts";
import { liveOnLink } from "../support/homeOnLink.ts";
import { ask, captureUpdates, echo, endWorld, eventsOf, homeOf, onLink, register, start, watchNeighborDiscovery, world } from "../support/homeWorld.ts";
import { findTshark } from "../vectors/oracles.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const tshark = findTshark();

beforeAll(() => AgentWorld.prepare());
afterEach(() => endWorld());

describe.skipIf(!isRoot)("a home address on the home agent's link (needs root on Linux)", () => {
  it.skipIf("missing" in tshark)("is looked for, defended, reached by stock neighbours through the tunnel, and given up", async () => {
    const { given, retired } = await liveOnLink("ebpf");
    expect(retired).toBe(given);
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

  it("is refused where no prefix of the link covers it, if it is said to be there", async () => {
    await start("ebpf", "2001:db8:f::1", ["h"], []);
    const config = { homeAddress: world.homeAddress, associations: [world.newKey(1000)], maxLifetimeSeconds: 420 };
    await expect(world.call("h", "serveHome", { ...config, homeLink: "onLink" })).rejects.toThrow(/no prefix of the data interface covers it/);
    await world.call("h", "serveHome", config);
    expect(await homeOf()).toMatchObject({ phase: "unregistered", homeLink: "routed" });
  });
});

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
