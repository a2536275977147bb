import { describe, expect, it } from "vitest";
import { parseAddress } from "../net/address.ts";
import { seededRandom } from "../stats/random.ts";
import { VirtualClock } from "./clock.ts";
import { VirtualNetwork, type NodeInput, type Role } from "./network.ts";
import type { DataPacket } from "./packet.ts";
import { Path } from "./path.ts";
import { VirtualPlane } from "./plane.ts";

const A = parseAddress("2001:db8:a::1");
const B = parseAddress("2001:db8:b::1");
const X = parseAddress("2001:db8:f::1");
const C = parseAddress("2001:db8:c::1");
const H = parseAddress("2001:db8:f::ff");

describe("virtual clock", () => {
  it("lets things happen in time, and in order of scheduling within one instant", () => {
    const random = seededRandom("clock");
    const clock = new VirtualClock();
    const happened: { at: number; order: number }[] = [];
    const times = Array.from({ length: 500 }, () => random.below(50));
    times.forEach((at, order) => clock.schedule(at, () => happened.push({ at: clock.now, order })));
    clock.runUntil(100);
    expect(happened).toEqual(times.map((at, order) => ({ at, order })).sort((a, b) => a.at - b.at || a.order - b.order));
    expect(clock.now).toBe(100);
  });

  it("cancels, never runs early, and puts the past off to now", () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.schedule(10, () => seen.push("cancelled"))();
    clock.schedule(20, () => seen.push("later"));
    clock.schedule(Infinity, () => seen.push("never"));
    clock.runUntil(19.999);
    expect(seen).toEqual([]);
    clock.schedule(5, () => seen.push(`past at ${clock.now}`));
    clock.runUntil(25);
    expect(seen).toEqual(["past at 19.999", "later"]);
    expect(() => clock.runUntilDone(() => false, 30)).toThrow(/still not done at 30 ms/);
  });
});

describe("paths", () => {
  it("lose their share, delay within bounds and keep order unless told otherwise", () => {
    const path = new Path({ latencyMs: 20, jitterMs: 10, loss: 0.25 }, seededRandom("path"));
    const arrivals = Array.from({ length: 8_000 }, (_, i) => ({ sent: i, arrived: path.packetArrivals(i) }));
    const arrived = arrivals.filter((a) => a.arrived.length === 1).map((a) => ({ sent: a.sent, at: a.arrived[0] as number }));
    expect(Math.abs(arrived.length / 8_000 - 0.75)).toBeLessThan(0.02);
    expect(arrived.every(({ sent, at }) => at - sent >= 20 && at - sent <= 30)).toBe(true);
    expect(arrived.every(({ at }, i) => i === 0 || at >= (arrived[i - 1]?.at ?? 0))).toBe(true);
    const loose = new Path({ latencyMs: 20, jitterMs: 10, reorders: true, duplication: 0.5 }, seededRandom("path"));
    const times = Array.from({ length: 500 }, (_, i) => loose.packetArrivals(i));
    expect(times.some((t, i) => i > 0 && (t[0] as number) < (times[i - 1]?.[0] ?? 0))).toBe(true);
    expect(Math.abs(times.filter((t) => t.length === 2).length - 250)).toBeLessThan(50);
  });

  it("keep messages in order and lose none", () => {
    const path = new Path({ latencyMs: 5, jitterMs: 50, loss: 0.9 }, seededRandom("messages"));
    const times = Array.from({ length: 200 }, (_, i) => path.messageArrival(i));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });
});

class Recorder implements Role {
  readonly inputs: { input: NodeInput; now: number }[] = [];
  wakeAt: number | null = null;
  input(input: NodeInput, now: number) {
    this.inputs.push({ input, now });
    if (input.kind === "wake") this.wakeAt = null;
    return [];
  }
  nextWake() {
    return this.wakeAt;
  }
}

function pairOfNodes() {
  const network = new VirtualNetwork("nodes");
  const a = network.node("A", { address: A });
  const b = network.node("B", { address: B });
  network.path("A", "B", { latencyMs: 10 });
  network.path("B", "A", { latencyMs: 30 });
  const role = new Recorder();
  b.setRole(role);
  return { network, a, b, role };
}

describe("virtual network", () => {
  it("delivers messages after the latency of their direction, decoded, on the receiver's clock", () => {
    const { network, a, b, role } = pairOfNodes();
    a.perform([{ do: "send", packet: { source: A, destination: B, message: { kind: "careOfTestInit", cookie: new Uint8Array(8), options: [] } } }]);
    network.runFor(9.999);
    expect(role.inputs).toEqual([]);
    network.runFor(0.001);
    expect(role.inputs).toMatchObject([{ input: { kind: "packet", packet: { source: A, message: { kind: "careOfTestInit" } } }, now: b.now() }]);
    expect(a.now()).not.toBe(b.now());
    expect(network.story()).toMatch(/A +sent .*\n.* B +received/);
  });

  it("copies members' messages and keeps their order", () => {
    const { network, a, role } = pairOfNodes();
    const message = { kind: "offer", bundle: Uint8Array.of(1) };
    a.perform([{ do: "tellMember", member: "B", message }, { do: "tellMember", member: "B", message: "second" }]);
    message.bundle[0] = 99;
    network.runFor(10);
    expect(role.inputs.map(({ input }) => input)).toMatchObject([{ kind: "member", from: "A", message: { bundle: Uint8Array.of(1) } }, { message: "second" }]);
  });

  it("wakes roles when they want, once, never early", () => {
    const { network, b, role } = pairOfNodes();
    role.wakeAt = b.now() + 5;
    const wanted = role.wakeAt;
    b.setRole(role);
    network.runFor(100);
    expect(role.inputs).toHaveLength(1);
    expect(role.inputs[0]?.now).toBeGreaterThanOrEqual(wanted);
    expect((role.inputs[0]?.now ?? 0) - wanted).toBeLessThan(0.001);
  });

  it("says what has no path or route, and refuses double names and addresses", () => {
    const { network, a } = pairOfNodes();
    network.node("far", { address: C });
    expect(() => a.perform([{ do: "tellMember", member: "far", message: 1 }])).toThrow(/no path from "A" to "far"/);
    expect(() => a.perform([{ do: "tellMember", member: "nobody", message: 1 }])).toThrow(/no node "nobody"/);
    a.perform([{ do: "sendData", source: A, destination: X, data: 1 }]);
    expect(network.happenings).toMatchObject([{ node: "A", what: "drop", reason: `no route to ${X}` }]);
    expect(() => network.node("A", { address: H })).toThrow(/already/);
    expect(() => network.node("D", { address: A })).toThrow(/belongs to node "A"/);
    expect(() => network.runUntil(() => false, 5)).toThrow(/still not done[\s\S]*no route/);
  });
});

describe("virtual data plane", () => {
  const packet = (more: Partial<DataPacket>): DataPacket => ({ source: C, destination: X, data: 1, trail: [], ...more });

  function member() {
    const delivered: DataPacket[] = [];
    const forwarded: DataPacket[] = [];
    const timers: (() => void)[] = [];
    const plane = new VirtualPlane(A, { deliver: (p) => delivered.push(p), forward: (p) => forwarded.push(p), after: (_, then) => timers.push(then) });
    plane.addHome(X, { careOf: A, homeAgent: H, via: H });
    plane.setMembers(X, [B]);
    return { plane, delivered, forwarded, timers };
  }
  const fromHome = { tunnel: { source: H, destination: A } };
  const fromMember = { tunnel: { source: B, destination: A } };

  it("of a member takes tunnels from the home agent and members only, and routing headers for its home only", () => {
    const { plane } = member();
    expect(plane.incoming(packet(fromHome))).toMatchObject({ verdict: "deliver" });
    expect(plane.incoming(packet({ tunnel: { source: C, destination: A } }))).toMatchObject({ verdict: "drop" });
    expect(plane.incoming(packet({ destination: A, routingHomeAddress: X }))).toMatchObject({ verdict: "deliver", packet: { destination: X } });
    expect(plane.incoming(packet({ destination: A, routingHomeAddress: H }))).toMatchObject({ verdict: "drop" });
  });

  it("tunnels what is not optimised, and at the contact passes members' packets on to the home agent", () => {
    const { plane } = member();
    expect(plane.outgoing(packet({ source: X, destination: C }))).toMatchObject({ packet: { source: X, tunnel: { source: A, destination: H } } });
    plane.optimise(X, C);
    expect(plane.outgoing(packet({ source: X, destination: C }))).toMatchObject({ packet: { source: A, destination: C, homeAddress: X } });
    expect(plane.incoming(packet({ source: X, destination: C, ...fromMember }))).toMatchObject({ verdict: "forward", packet: { tunnel: { source: A, destination: H } } });
  });

  it("keeps what members relay ahead of the connection, holds, and gives back in order", () => {
    const { plane, delivered } = member();
    expect(plane.incoming(packet({ data: 1, ...fromMember }))).toEqual({ verdict: "held" });
    plane.hold(X, C);
    expect(plane.incoming(packet({ data: 2, destination: A, routingHomeAddress: X }))).toEqual({ verdict: "held" });
    plane.release(X, C);
    expect(delivered.map((p) => p.data)).toEqual([1, 2]);
    expect(plane.incoming(packet(fromMember))).toMatchObject({ verdict: "deliver" });
  });

  it("forgets early packets after their time, unless somebody holds them", () => {
    const one = member();
    one.plane.incoming(packet(fromMember));
    one.timers[0]?.();
    one.plane.serve(X, C);
    expect(one.delivered).toEqual([]);
    const other = member();
    other.plane.incoming(packet(fromMember));
    other.plane.hold(X, C);
    other.timers[0]?.();
    other.plane.release(X, C);
    expect(other.delivered).toHaveLength(1);
  });

  it("relays, with what was kept first", () => {
    const { plane, forwarded } = member();
    plane.hold(X, C);
    plane.incoming(packet({ data: 1, ...fromHome }));
    plane.relay(X, C, B);
    expect(forwarded).toMatchObject([{ data: 1, tunnel: { source: A, destination: B } }]);
    expect(plane.incoming(packet({ data: 2, ...fromHome }))).toMatchObject({ verdict: "forward", packet: { tunnel: { destination: B } } });
    plane.release(X, C);
    plane.discard(X, C);
    plane.unserve(X, C);
    expect(plane.incoming(packet(fromHome))).toMatchObject({ verdict: "forward" });
    plane.unrelay(X, C);
    expect(plane.incoming(packet(fromHome))).toMatchObject({ verdict: "deliver" });
  });

  it("of a home agent passes both ways for the registered care-of address only, signalling included", () => {
    const plane = new VirtualPlane(H, { deliver: () => {}, forward: () => {}, after: () => {} });
    plane.tunnel(X, A);
    expect(plane.incoming(packet({}))).toMatchObject({ verdict: "forward", packet: { tunnel: { source: H, destination: A } } });
    expect(plane.incoming(packet({ source: X, destination: C, tunnel: { source: A, destination: H } }))).toMatchObject({ verdict: "forward", packet: { source: X } });
    expect(plane.incoming(packet({ source: X, destination: C, tunnel: { source: B, destination: H } }))).toMatchObject({ verdict: "drop" });
    expect(plane.signalling({ source: X, destination: C, tunnel: { source: B, destination: H } })).toMatchObject({ verdict: "drop" });
    expect(plane.signalling({ source: X, destination: C, tunnel: { source: A, destination: H } })).toEqual({ verdict: "forward", packet: { source: X, destination: C } });
    plane.untunnel(X);
    expect(plane.incoming(packet({}))).toMatchObject({ verdict: "drop" });
  });

  it("of a correspondent follows its bindings", () => {
    const plane = new VirtualPlane(C, { deliver: () => {}, forward: () => {}, after: () => {} });
    plane.bind(X, A);
    expect(plane.outgoing(packet({}))).toMatchObject({ packet: { destination: A, routingHomeAddress: X } });
    expect(plane.incoming(packet({ source: A, destination: C, homeAddress: X }))).toMatchObject({ verdict: "deliver", packet: { source: X } });
    expect(plane.incoming(packet({ source: B, destination: C, homeAddress: X }))).toEqual({ verdict: "unbound", homeAddress: X });
    plane.unbind(X);
    expect(plane.outgoing(packet({}))).toMatchObject({ packet: { destination: X } });
  });
});
