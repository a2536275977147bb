import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { AgentWorld, until } from "../support/agentWorld.ts";
import { liveOnLink } from "../support/homeOnLink.ts";
import { ask, captureUpdates, echo, endWorld, eventsOf, homeOf, onLink, register, start, world } from "../support/homeWorld.ts";
import { findTshark } from "../vectors/oracles.ts";

const isRoot = process.platform === "linux" && process.getuid?.() === 0;
const tshark = findTshark();

beforeAll(() => AgentWorld.prepare());
afterEach(() => endWorld());

describe.skipIf(!isRoot)("a home agent, more slowly (needs root on Linux)", () => {
  it.skipIf("missing" in tshark)("defends a home address on its link with the data plane userspace", async () => {
    const { given, retired } = await liveOnLink("userspace");
    expect(retired).toBe(given);
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
    // Told at the start too, to whoever listens then.
    const told = eventsOf("h", "log").filter(({ level }) => level === "error").map(({ text }) => text);
    expect(told).toContainEqual(expect.stringMatching(/2001:db8:f::1.*cannot be used.*only the newest epoch may register/));
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
