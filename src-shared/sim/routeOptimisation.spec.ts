import { describe, expect, it } from "vitest";
import { parseAddress } from "../net/address.ts";
import type { DataPacket } from "./packet.ts";
import { MobileNodeRole } from "./mobileNode.ts";
import { VirtualNetwork, type Happening, type NodeInput } from "./network.ts";
import { serveCorrespondent, serveHomeAddress } from "./roles.ts";

const X = parseAddress("2001:db8:f::1");
const H = parseAddress("2001:db8:f::ff");
const C = parseAddress("2001:db8:1::10");
const K = parseAddress("2001:db8:2::21");
const association = { spi: 300, key: new Uint8Array(32).fill(7) };
/** Virtual time 0. */
const epoch = Date.UTC(2026, 0, 1);

function world(seed: string, latency = { KH: 10, HC: 25, AC: 40 }, loss = 0) {
  const network = new VirtualNetwork(seed);
  const wall = () => epoch + network.clock.now;
  const h = network.node("H", { address: H, attracts: [X] });
  const c = network.node("C", { address: C });
  const k = network.node("K", { address: K });
  network.link("K", "H", { latencyMs: latency.KH, loss });
  network.link("H", "C", { latencyMs: latency.HC, loss });
  network.link("K", "C", { latencyMs: latency.AC, loss });
  const homeAgent = serveHomeAddress(h, { home: X, associations: [association], maxLifetimeSeconds: 600, onLink: false }, wall);
  const correspondent = serveCorrespondent(c);
  // The mobile node's wall clock is 20 s behind: it must learn the home agent's.
  const mobile = new MobileNodeRole({ home: X, homeAgent: H, careOf: K, association, lifetimeSeconds: 420 }, k.now(), wall() - 20_000, k.random);
  k.setRole(mobile);
  k.plane.addHome(X, { careOf: K, homeAgent: H, via: H });
  return { network, h, c, k, homeAgent, correspondent, mobile };
}

const told = (network: VirtualNetwork, type: string) => network.happenings.filter((h): h is Extract<Happening, { what: "event" }> => h.what === "event" && h.event.type === type);
const sent = (network: VirtualNetwork, kind: string) => network.happenings.filter((h): h is Extract<Happening, { packet: unknown }> => h.what === "sent" && h.packet.message.kind === kind);

describe("a stock mobile node, home agent and correspondent on the virtual network", () => {
  it("register, run both tests and bind, in exactly the time that the paths allow", () => {
    const { network, k, mobile } = world("plain");
    k.perform(mobile.register(k.now()));
    network.runUntil(() => mobile.registration.phase === "registered", 10_000);
    // One round trip to be told the home agent's clock, one to register.
    expect(network.clock.now).toBeCloseTo(4 * 10, 6);
    expect(told(network, "bindingAccepted")[0]).toMatchObject({ node: "H", event: { role: "homeAgent", home: X, careOf: K, lifetimeSeconds: 420 } });

    const start = network.clock.now;
    k.perform(mobile.optimise(C, k.now()));
    network.runUntil(() => mobile.optimisation?.outcome != null, 10_000);
    const homeTest = 2 * (10 + 25);
    const careOfTest = 2 * 40;
    expect(network.clock.now - start).toBeCloseTo(Math.max(homeTest, careOfTest) + 2 * 40, 6);
    expect(mobile.optimisation?.outcome).toEqual({ kind: "accepted", sequence: 1, lifetimeSeconds: 420 });

    const [homeTestInit] = sent(network, "homeTestInit");
    expect(homeTestInit).toMatchObject({ node: "K", packet: { source: X, tunnel: { source: K, destination: H } } });
    expect(sent(network, "homeTest").map((h) => [h.node, h.packet.tunnel?.destination])).toEqual([["C", undefined], ["H", K]]);
    expect(sent(network, "bindingAcknowledgement").at(-1)).toMatchObject({ node: "C", packet: { destination: K, routingHomeAddress: X } });
    expect(network.happenings.filter((h) => h.what === "drop" && h.node !== "H")).toEqual([]);
  });

  it("carry users' packets through the tunnel first, then directly", () => {
    const { network, c, k, mobile } = world("data");
    const got: { node: string; packet: DataPacket }[] = [];
    const spy = (node: string, role: { input(input: NodeInput, now: number): unknown }) => {
      const original = role.input.bind(role);
      role.input = (input: NodeInput, now: number) => {
        if (input.kind !== "data") return original(input, now);
        got.push({ node, packet: input.packet });
        return [];
      };
    };
    spy("K", mobile);
    k.perform(mobile.register(k.now()));
    network.runUntil(() => mobile.registration.phase === "registered", 10_000);

    c.perform([{ do: "sendData", source: C, destination: X, data: "tunnelled" }]);
    network.runFor(1000);
    expect(got.at(-1)?.packet).toMatchObject({ source: C, destination: X, data: "tunnelled" });
    expect(got.at(-1)?.packet.trail.map(({ node, what }) => [node, what])).toEqual([["C", "sent"], ["H", "forwarded"], ["K", "delivered"]]);

    k.perform(mobile.optimise(C, k.now()));
    network.runUntil(() => mobile.optimisation?.outcome != null, 10_000);
    k.plane.optimise(X, C);
    const before = network.clock.now;
    c.perform([{ do: "sendData", source: C, destination: X, data: "direct" }]);
    network.runFor(1000);
    const trail = got.at(-1)?.packet.trail ?? [];
    expect(trail.map(({ node, what, headers }) => [node, what, headers.routingHomeAddress])).toEqual([["C", "sent", X], ["K", "delivered", undefined]]);
    expect((trail[1]?.at ?? 0) - before).toBeCloseTo(40, 6);
  });

  it("answers the packets of a node that is not bound with a Binding Error", () => {
    const { network, k } = world("unbound");
    k.plane.optimise(X, C);
    k.perform([{ do: "sendData", source: X, destination: C, data: "too early" }]);
    network.runFor(200);
    expect(sent(network, "bindingError")).toMatchObject([{ node: "C", packet: { destination: K, message: { status: 1, homeAddress: X } } }]);
  });

  it("get there through heavy loss as well, by retransmission", () => {
    for (const seed of ["a", "b", "c", "d", "e"]) {
      const { network, k, mobile } = world(seed, { KH: 10, HC: 25, AC: 40 }, 0.3);
      k.perform(mobile.register(k.now()));
      network.runUntil(() => mobile.registration.phase === "registered", 300_000);
      k.perform(mobile.optimise(C, k.now()));
      network.runUntil(() => mobile.optimisation?.awaited != null || mobile.optimisation?.outcome != null, 300_000);
      expect(network.happenings.some((h) => h.what === "lost")).toBe(true);
    }
  });

  it("keep the registration and let the binding end with its lifetime", () => {
    const { network, k, mobile, homeAgent, correspondent } = world("refresh");
    k.perform(mobile.register(k.now()));
    network.runUntil(() => mobile.registration.phase === "registered", 10_000);
    k.perform(mobile.optimise(C, k.now()));
    network.runUntil(() => mobile.optimisation?.outcome != null, 10_000);
    network.runFor(419_000);
    expect(correspondent.state.cache.get(X)?.phase).toBe("bound");
    expect(told(network, "homeRegistered").length).toBe(2);
    network.runFor(2_000);
    expect(correspondent.state.cache.get(X)).toBeUndefined();
    expect(told(network, "bindingRemoved")).toMatchObject([{ node: "C", event: { reason: "lifetime over" } }]);
    network.runFor(600_000);
    expect(homeAgent.state.phase).toBe("registered");
    k.perform(mobile.deregister(k.now()));
    network.runFor(1_000);
    expect(homeAgent.state.phase).toBe("unregistered");
    expect(mobile.registration).toMatchObject({ phase: "ended", reason: "deregistered" });
  });

  it("repeats itself exactly for one seed, and not for another", () => {
    const story = (seed: string) => {
      const { network, k, mobile } = world(seed, { KH: 10, HC: 25, AC: 40 }, 0.2);
      k.perform(mobile.register(k.now()));
      network.runFor(5_000);
      k.perform(mobile.optimise(C, k.now()));
      network.runFor(20_000);
      return network.story();
    };
    expect(story("one")).toBe(story("one"));
    expect(story("one")).not.toBe(story("two"));
  });
});
