import { beforeEach, describe, expect, it } from "vitest";
import { client, GroupWorld, home, homeAgent, members } from "../../../../test/support/groupWorld.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import type { Group } from "./group.ts";

let world: GroupWorld;
beforeEach(() => {
  world = new GroupWorld();
  world.give("k", { kind: "activity", client, active: true });
});

const contact = (): unknown => (world.groups.get("k") as Group).inspect(world.now)["clients"];
const bind = (member: string): void => {
  if (member === "k") world.give("k", { kind: "optimise", client, request: "o" });
  else world.handOver("h", member);
  expect(world.boundTo).toBe(members.get(member));
  world.advance(10_000);
};
const cookieOf = (packet: MobilityPacket | undefined): Uint8Array => {
  if (packet?.message.kind !== "homeTestInit" && packet?.message.kind !== "careOfTestInit") throw new Error("no test init");
  return packet.message.cookie;
};

describe("a client's unsigned word that its binding is gone", () => {
  it.each(["k", "a"])("makes %s go through the tunnel at once and bind the client anew (§11.3.6)", (server) => {
    bind(server);
    const before = world.updates.length;
    world.give(server, { kind: "bindingLost", client, why: "unbound" });
    expect(world.effects.some(([member, e]) => member === server && e.do === "unoptimise")).toBe(true);
    world.advance(1);
    expect(world.served().at(-2)).toMatch(server === "k" ? /^tunnel by k: .*Binding Error/ : /^relayed by a: .*Binding Error/);
    expect(world.updates.length).toBe(before + 1);
    expect(world.served().at(-1)).toMatch(/^optimised/);
    expect(world.boundTo).toBe(members.get(server));
  });

  it("is ignored by a member to which the client is not bound", () => {
    bind("a");
    const before = world.updates.length;
    world.give("b", { kind: "bindingLost", client, why: "unbound" });
    world.give("k", { kind: "bindingLost", client, why: "unbound" });
    world.advance(60_000);
    expect(world.updates.length).toBe(before);
    expect(world.dropsAt("b")).toEqual(["word of a lost binding of a client that is not bound here"]);
  });

  it("repeated a hundred times a second brings one update in three seconds", () => {
    bind("k");
    const before = world.updates.length;
    for (let i = 0; i < 1_000; i++) {
      world.give("k", { kind: "bindingLost", client, why: "unbound" });
      world.advance(10);
    }
    expect(world.updates.length - before).toBeGreaterThanOrEqual(3);
    expect(world.updates.length - before).toBeLessThanOrEqual(4);
  });

  it("about the Home Address option has the client asked whether it has Mobile IPv6 at all (§11.3.5)", () => {
    bind("a");
    world.plain = true;
    world.give("a", { kind: "bindingLost", client, why: "homeAddressOption" });
    world.advance(1);
    const probe = world.effects.findLast(([member, e]) => member === "k" && e.do === "send")?.[1];
    world.give("k", { kind: "notCapable", client, cookie: probe?.do === "send" ? cookieOf(probe.packet) : null });
    expect(contact()).toMatchObject([{ capability: "plain", work: "idle", boundForMs: null }]);
    expect(world.served().at(-1)).toMatch(/^relayed by a: the client says that it has no Mobile IPv6/);
  });
});

describe("a client without Mobile IPv6", () => {
  it("is known by its ICMPv6 error at once, if that quotes our cookie, and tried again after ten minutes", () => {
    world.plain = true;
    world.give("k", { kind: "optimise", client, request: "o" });
    world.give("k", { kind: "notCapable", client, cookie: new Uint8Array(8) });
    expect(contact()).toMatchObject([{ work: "homeTest" }]);
    const sent = world.effects.flatMap(([, e]) => (e.do === "send" ? [e.packet] : []));
    world.give("k", { kind: "notCapable", client, cookie: cookieOf(sent.at(-1)) });
    expect(contact()).toMatchObject([{ capability: "plain", work: "idle" }]);
    expect(world.answers.get("o")).toMatch(/no Mobile IPv6/);
    world.advance(599_000);
    expect(world.effects.flatMap(([, e]) => (e.do === "send" ? [e.packet] : []))).toHaveLength(sent.length);
    world.plain = false;
    world.advance(2_000);
    expect(world.boundTo).toBe(members.get("k"));
    expect(contact()).toMatchObject([{ capability: "mobile" }]);
  });

  it("is remembered while it is away, and its next packets are for the contact", () => {
    world.plain = true;
    world.handOver("h", "a");
    world.advance(5_000);
    expect(contact()).toMatchObject([{ capability: "silent", server: "a" }]);
    world.advance(20_000);
    world.give("a", { kind: "activity", client, active: false });
    expect(contact()).toMatchObject([{ capability: "silent", server: "k" }]);
    expect(world.effects.some(([member, e]) => member === "k" && e.do === "unrelay")).toBe(true);
    world.advance(600_000);
    expect(contact()).toEqual([]);
  });

  it("is not made one by such a word when nothing was asked", () => {
    bind("k");
    world.give("k", { kind: "notCapable", client, cookie: null });
    expect(contact()).toMatchObject([{ capability: "mobile" }]);
    expect(world.dropsAt("k").at(-1)).toMatch(/not awaited/);
  });

  it("that says so in the middle of a handoff goes back to its donor, and is handed over by relaying the next time", () => {
    world.lose = (packet) => packet.message.kind === "careOfTestInit";
    world.handOver("h1", "a");
    const init = world.effects.findLast(([member, e]) => member === "a" && e.do === "send")?.[1];
    world.plain = true;
    world.give("a", { kind: "notCapable", client, cookie: init?.do === "send" ? cookieOf(init.packet) : null });
    expect(world.answers.get("h1")).toMatch(/careOfTest: the client says that it has no Mobile IPv6/);
    // So does the contact's own test, which takes the client back.
    world.give("k", { kind: "notCapable", client, cookie: null });
    world.handOver("h2", "a");
    expect(world.answers.get("h2")).toBe("ok");
    expect(world.updates).toEqual([]);
  });
});

describe("a Binding Refresh Request", () => {
  const request: MobilityPacket = { source: client, destination: home, message: { kind: "bindingRefreshRequest", options: [] } };

  it("reaches the contact and has the serving member bind anew (§11.7.4)", () => {
    bind("a");
    const before = world.updates.length;
    world.fromClient(request);
    world.advance(1);
    expect(world.updates.length).toBe(before + 1);
    expect(world.boundTo).toBe(members.get("a"));
    expect(world.log.filter((line) => line === "k->a rebind")).toHaveLength(1);
  });

  it("is not answered without a binding, without connections, from outside the home tunnel, or more than once in three seconds", () => {
    world.fromClient(request);
    expect(world.dropsAt("k").at(-1)).toMatch(/without a binding/);
    bind("k");
    const before = world.updates.length;
    world.give("k", { kind: "packet", packet: { ...request, tunnel: { source: members.get("b") as never, destination: members.get("k") as never } }, mobilityHeader: new Uint8Array(0), at: world.now });
    expect(world.dropsAt("k").at(-1)).toMatch(/outside the home tunnel/);
    for (let i = 0; i < 20; i++) {
      world.fromClient(request);
      world.advance(100);
    }
    expect(world.updates.length).toBe(before + 1);
    world.advance(5_000);
    expect(world.updates.length).toBe(before + 2);
    world.give("k", { kind: "activity", client, active: false });
    world.fromClient(request);
    expect(world.dropsAt("k").at(-1)).toMatch(/without connections/);
    expect(homeAgent).toBeDefined();
  });
});

describe("bindings of a group", () => {
  it("are refreshed by the lifetime that the client granted, not by the one that was asked for", () => {
    world = new GroupWorld({ lifetimeSeconds: 40 });
    world.give("k", { kind: "activity", client, active: true });
    world.handOver("h", "a");
    world.advance(120_000);
    const gaps = world.updateTimes.slice(1).map((at, i) => at - (world.updateTimes[i] as number));
    expect(gaps).toEqual([32_000, 32_000, 32_000]);
  });

  it("never have four updates within a second, even when a test at the acceptor takes most of one", () => {
    let delayed = true;
    world.lose = (packet) => delayed && packet.message.kind === "careOfTestInit";
    // The first Care-of Test Init is lost: the update leaves a second after its grant.
    world.handOver("h0", "a");
    delayed = false;
    world.advance(1_000);
    for (const [i, acceptor] of ["b", "a", "b", "a"].entries()) {
      world.handOver(`h${i + 1}`, acceptor);
      world.advance(20);
    }
    world.advance(3_000);
    expect(world.updateTimes.length).toBeGreaterThanOrEqual(4);
    for (let i = 3; i < world.updateTimes.length; i++) expect((world.updateTimes[i] as number) - (world.updateTimes[i - 3] as number)).toBeGreaterThanOrEqual(1_000);
  });

  it("that end say so, and are tried again", () => {
    bind("a");
    world.lose = (packet) => packet.message.kind === "homeTestInit";
    world.advance(430_000);
    expect(world.served().at(-1)).toMatch(/^relayed by a/);
    world.lose = () => false;
    world.advance(70_000);
    expect(world.boundTo).toBe(members.get("a"));
    expect(world.served().at(-1)).toMatch(/^optimised by a/);
  });
});
