import { beforeEach, describe, expect, it } from "vitest";
import { client, GroupWorld, members } from "../../../../test/support/groupWorld.ts";
import { Group } from "./group.ts";

let world: GroupWorld;
beforeEach(() => {
  world = new GroupWorld();
  world.give("k", { kind: "activity", client, active: true });
});

describe("a group", () => {
  it("hands a client over in the paper's first way", () => {
    world.handOver("h1", "a");
    expect(world.answers.get("h1")).toBe("ok");
    expect(world.boundTo).toBe(members.get("a"));
    // Told when the state is written down, so somewhere beside the acceptor's first steps.
    expect(world.steps("h1")).toContain("k:frozen");
    expect(world.steps("h1").filter((step) => step !== "k:frozen")).toEqual(
      ["k:decided", "k:homeTestInit", "k:homeTest", "k:stateSent", "a:stateReceived", "a:careOfTestInit", "a:careOfTest", "a:bindingUpdate", "a:bindingAcknowledgement", "k:done"],
    );
  });

  it("sends no home test when one was prepared", () => {
    world.give("k", { kind: "prepare", client, request: "p" });
    world.handOver("h1", "a", "prepared");
    expect(world.answers.get("p")).toBe("ok");
    expect(world.steps("h1")).not.toContain("k:homeTestInit");
    expect(world.answers.get("h1")).toBe("ok");
  });

  it("chains handoffs and comes back, with ever newer sequence numbers", () => {
    const route = ["a", "b", "a", "k", "b", "k"];
    for (const [i, acceptor] of route.entries()) {
      world.handOver(`h${i}`, acceptor, i % 2 ? "prepared" : "full");
      world.advance(2_000);
      expect(world.answers.get(`h${i}`), `handoff ${i} to ${acceptor}`).toBe("ok");
      expect(world.boundTo).toBe(members.get(acceptor));
    }
    for (let i = 1; i < world.updates.length; i++) expect(((world.updates[i] as number) - (world.updates[i - 1] as number)) & 0xffff).toBeLessThan(0x8000);
    // The contact holds no relay for a client that it serves itself.
    const last = world.effects.filter(([member, e]) => member === "k" && (e.do === "relay" || e.do === "unrelay" || e.do === "restore")).at(-1)?.[1];
    expect(last?.do).toBe("unrelay");
  });

  it("keeps to three binding updates a second, and then goes on", () => {
    const answeredAtOnce: boolean[] = [];
    for (const [i, acceptor] of ["a", "b", "a", "b", "a"].entries()) {
      world.handOver(`h${i}`, acceptor);
      answeredAtOnce.push(world.answers.has(`h${i}`));
      world.advance(i === 3 ? 1_000 : 1);
      expect(world.answers.get(`h${i}`)).toBe("ok");
    }
    expect(answeredAtOnce).toEqual([true, true, true, false, true]);
  });

  it("leaves the client with its donor when the acceptor cannot rebuild the connections, and binds it there", () => {
    world.handOver("h1", "a");
    world.advance(1_000);
    world.refuseRestore = "bad bundle";
    world.handOver("h2", "b");
    expect(world.answers.get("h2")).toMatch(/bad bundle/);
    expect(world.effects.some(([member, e]) => member === "a" && e.do === "reinstate")).toBe(true);
    expect(world.effects.some(([member, e]) => member === "b" && e.do === "abandon")).toBe(true);
    world.advance(5_000);
    expect(world.boundTo).toBe(members.get("a"));
    expect(world.groups.get("k")?.inspect(world.now)).toMatchObject({ clients: [{ server: "a", work: "idle" }] });
  });

  it.each([["k", "a"], ["a", "b"], ["a", "k"]])("tests the acceptor's care-of address while the donor's services let go, but binds nobody there before the freeze: %s to %s", (donor, acceptor) => {
    if (donor !== "k") world.handOver("h0", donor);
    world.advance(2_000);
    world.slowServices = true;
    world.handOver("h1", acceptor);
    world.advance(3_000);
    expect(world.steps("h1").at(-1)).toBe(`${acceptor}:careOfTest`);
    expect(world.effects.filter(([member, e]) => member === acceptor && e.do === "hold")).toEqual([]);
    world.letGo();
    expect(world.answers.get("h1")).toBe("ok");
    expect(world.boundTo).toBe(members.get(acceptor));
  });

  it("offers a prepared handoff at the freeze, which is where its time begins", () => {
    world.give("k", { kind: "prepare", client, request: "p" });
    world.slowServices = true;
    world.handOver("h1", "a", "prepared");
    expect(world.steps("h1")).toEqual(["k:decided"]);
    world.letGo();
    expect(world.answers.get("h1")).toBe("ok");
  });

  it.each([["a", "b"], ["a", "k"]])("leaves a client whose donor cannot let go as it was, though its acceptor has been tested: %s to %s", (donor, acceptor) => {
    world.handOver("h0", donor);
    world.advance(2_000);
    world.slowServices = true;
    world.handOver("h1", acceptor);
    world.cling("the service keeps it");
    expect(world.answers.get("h1")).toMatch(/collect: the service keeps it/);
    // Nothing was kept yet at the acceptor, so nothing is thrown away: a contact goes on relaying.
    expect(world.effects.filter(([member, e]) => member === acceptor && (e.do === "hold" || e.do === "abandon"))).toEqual([]);
    expect(world.steps("h1")).not.toContain(`${acceptor}:bindingUpdate`);
    expect(world.boundTo).toBe(members.get(donor));
    world.slowServices = false;
    world.handOver("h2", acceptor);
    world.advance(2_000);
    expect(world.answers.get("h2")).toBe("ok");
  });

  it("takes a client up again that its acceptor refuses before the freeze", () => {
    world.slowServices = true;
    world.handOver("h1", "a");
    world.give("a", { kind: "notCapable", client, cookie: null });
    expect(world.answers.has("h1")).toBe(false);
    world.letGo();
    expect(world.answers.get("h1")).toMatch(/no Mobile IPv6/);
    expect(world.effects.filter(([, e]) => e.do === "reinstate").map(([member]) => member)).toEqual(["k"]);
    expect(world.groups.get("k")?.inspect(world.now)).toMatchObject({ clients: [{ server: "k" }] });
  });

  it("gives the client back when it cannot be bound at the acceptor", () => {
    world.lose = (packet) => packet.message.kind === "careOfTestInit" && packet.source === members.get("b");
    world.handOver("h1", "b");
    world.advance(20_000);
    expect(world.answers.get("h1")).toMatch(/careOfTest: no answer/);
    expect(world.boundTo).toBe(members.get("k"));
  });

  it("survives a lost acknowledgement with a new sequence number", () => {
    let lost = 0;
    world.lose = (packet) => packet.message.kind === "bindingAcknowledgement" && lost++ === 0;
    world.handOver("h1", "a");
    expect(world.answers.has("h1")).toBe(false);
    world.advance(1_100);
    expect(world.answers.get("h1")).toBe("ok");
    expect(world.updates.length).toBe(2);
  });

  it("goes on above the client's number after status 135", () => {
    world.handOver("h1", "a");
    world.advance(1_000);
    // A new contact process starts counting somewhere behind.
    const used = world.updates.at(-1) as number;
    const behind = new Group(world.view("k"), (n) => Uint8Array.from({ length: n }, (_, i) => ((used - 100) >> (8 * (n - 1 - i))) & 0xff), { autoOptimise: false });
    world.groups.set("k", behind);
    world.give("k", { kind: "activity", client, active: true });
    world.give("k", { kind: "optimise", client, request: "o" });
    world.advance(3_000);
    expect(world.answers.get("o")).toBe("ok");
    expect(world.boundTo).toBe(members.get("k"));
  });

  it("hands over a client without Mobile IPv6 by relaying, without any binding", () => {
    world.plain = true;
    world.handOver("h1", "a");
    world.advance(10_000);
    expect(world.answers.get("h1")).toBe("ok");
    expect(world.updates).toEqual([]);
    expect(world.effects.some(([member, e]) => member === "a" && e.do === "optimise")).toBe(false);
    expect(world.effects.some(([member, e]) => member === "k" && e.do === "relay" && e.member === members.get("a"))).toBe(true);
    world.handOver("h2", "k");
    world.advance(100);
    expect(world.answers.get("h2")).toBe("ok");
  });

  it("refreshes a binding before it ends, for active clients only", () => {
    world.handOver("h1", "a");
    const before = world.updates.length;
    world.advance(400_000);
    expect(world.updates.length).toBe(before + 1);
    world.give("a", { kind: "activity", client, active: false });
    world.advance(900_000);
    expect(world.updates.length).toBe(before + 1);
    expect(world.groups.get("k")?.inspect(world.now)).toMatchObject({ clients: [] });
  });

  it("keeps a client that is not ended by whoever handed it on", () => {
    world.handOver("h1", "a");
    world.give("k", { kind: "activity", client, active: false });
    expect(world.groups.get("k")?.inspect(world.now)).toMatchObject({ clients: [{ client, server: "a", active: true }] });
    world.give("a", { kind: "activity", client, active: false });
    expect(world.groups.get("k")?.inspect(world.now)).toMatchObject({ clients: [{ client, active: false }] });
  });

  it("takes orders from the contact only, and offers only from the donor the contact has named", () => {
    const lease = { next: 1, last: 2 };
    world.give("a", { kind: "member", from: "b", at: 0, message: { kind: "take", handoff: "x", client, acceptor: "b", mode: "full", drain: false, lease, grant: null } });
    world.give("a", { kind: "member", from: "b", at: 0, message: { kind: "offer", handoff: "x", client, mode: "full", lease, grant: null, early: false } });
    world.advance(3_000);
    expect(world.effects.some(([member, e]) => member === "a" && (e.do === "collect" || e.do === "restore"))).toBe(false);
    expect(world.effects.filter(([member, e]) => member === "a" && e.do === "drop").length).toBe(2);
  });

  it("says why when asked for what cannot be", () => {
    world.handOver("h1", "k");
    expect(world.answers.get("h1")).toMatch(/serves .* already/);
    world.handOver("h2", "nobody");
    expect(world.answers.get("h2")).toMatch(/not a member/);
    world.give("a", { kind: "optimise", client, request: "r" });
    expect(world.answers.get("r")).toMatch(/ask k/);
  });
});
