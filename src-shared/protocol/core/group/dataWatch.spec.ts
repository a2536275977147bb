import { beforeEach, describe, expect, it } from "vitest";
import { client, GroupWorld, members } from "../../../../test/support/groupWorld.ts";
import type { Transport } from "./dataWatch.ts";

/** The sockets' view of a path with this round-trip time (more than 100 ms: shorter ones count as that). */
const rttMs = 200;
let world: GroupWorld;
/** When the sockets were asked, and whether they were to elicit an answer. */
let asked: { readonly at: number; readonly elicit: boolean }[] = [];
const path = (transport: Partial<Transport>): void => {
  world.transport = () => ({ connections: 1, rttMs, ackAgeMs: 0, unacknowledged: false, ...transport });
};
beforeEach(() => {
  world = new GroupWorld();
  world.give("k", { kind: "activity", client, active: true });
  asked = [];
});

const bind = (member: string): number => {
  if (member === "k") world.give("k", { kind: "optimise", client, request: "o" });
  else world.handOver("h", member);
  expect(world.boundTo).toBe(members.get(member));
  return world.now;
};
const questions = (): { readonly at: number; readonly elicit: boolean }[] => {
  for (const [, e] of world.effects.splice(0)) if (e.do === "askTransport") asked.push({ at: world.now, elicit: e.elicit });
  return asked;
};
/** Time passes in small steps, so that questions have a time. */
const pass = (ms: number): void => {
  for (let i = 0; i < ms; i += 10) {
    world.advance(10);
    questions();
  }
};
const contact = (): unknown => world.groups.get("k")?.inspect(world.now)["clients"];

describe("a new binding", () => {
  it.each(["k", "a"])("over which no acknowledgement comes to %s is deleted at the client after 3 round trips, with a signed update", (member) => {
    path({ ackAgeMs: Infinity, unacknowledged: true });
    const at = bind(member);
    const numbers = world.updates.length;
    world.advance(3 * rttMs - 1);
    expect(world.boundTo).toBe(members.get(member));
    world.advance(1);
    expect(world.boundTo).toBeNull();
    expect(world.now - at).toBe(3 * rttMs);
    // One number above that of the binding: the client has accepted the removal.
    expect(world.updates.length).toBe(numbers + 1);
    expect(world.effects.some(([name, e]) => name === member && e.do === "unoptimise")).toBe(true);
    expect(world.served().at(-1)).toMatch(member === "k" ? /^tunnel by k: nothing came back/ : /^relayed by a: nothing came back/);
    expect(contact()).toMatchObject([{ capability: "plain", boundForMs: null }]);
    // Remembered: handed over without binding, tried again after ten minutes only.
    world.handOver("h2", "b");
    expect(world.answers.get("h2")).toBe("ok");
    expect(world.boundTo).toBeNull();
    path({});
    world.advance(590_000);
    expect(world.boundTo).toBeNull();
    world.advance(10_000);
    expect(world.boundTo).toBe(members.get("b"));
  });

  it("over which acknowledgements come is left alone, and not asked about any more", () => {
    bind("a");
    questions();
    pass(20_000);
    expect(asked.map(({ elicit }) => elicit)).toEqual([false, true, false]);
    expect(world.boundTo).toBe(members.get("a"));
    expect(world.groups.get("a")?.nextWake()).toBeGreaterThan(world.now + 100_000);
  });

  it("is not saved by acknowledgements that were under way when it was made", () => {
    const at = world.now;
    world.transport = () => ({ connections: 1, rttMs, ackAgeMs: Math.max(0, world.now - at - rttMs + 1), unacknowledged: true });
    bind("k");
    world.advance(3 * rttMs);
    expect(world.boundTo).toBeNull();
  });

  it("is saved by the first one after that", () => {
    const at = world.now;
    world.transport = () => ({ connections: 1, rttMs, ackAgeMs: Math.max(0, world.now - at - rttMs - 1), unacknowledged: true });
    bind("k");
    world.advance(60_000);
    expect(world.boundTo).toBe(members.get("k"));
  });

  it("of a connection that is idle is asked about twice before it goes", () => {
    path({ ackAgeMs: Infinity });
    const at = bind("k");
    questions();
    pass(590);
    expect(world.boundTo).not.toBeNull();
    pass(2_000);
    expect(world.boundTo).toBeNull();
    expect(asked.filter(({ elicit }) => elicit).map((q) => q.at - at)).toEqual([200, 800]);
  });

  it("is not judged by data that left a moment ago", () => {
    const at = world.now;
    world.transport = () => ({ connections: 1, rttMs, ackAgeMs: Infinity, unacknowledged: world.now - at >= 3 * rttMs });
    bind("k");
    world.advance(3 * rttMs + 10);
    expect(world.boundTo).not.toBeNull();
  });

  it("of a client without TCP connections is not judged", () => {
    path({ connections: 0, ackAgeMs: Infinity });
    bind("k");
    world.advance(10_000);
    expect(world.boundTo).toBe(members.get("k"));
  });

  it("whose removal is lost is asked to go again and again, with a new number each time", () => {
    path({ ackAgeMs: Infinity, unacknowledged: true });
    bind("k");
    const isRemoval = (packet: Parameters<GroupWorld["lose"]>[0]): boolean => packet.message.kind === "bindingUpdate" && packet.message.lifetimeUnits === 0;
    const sent: number[] = [];
    world.lose = (packet) => {
      if (!isRemoval(packet)) return false;
      sent.push(packet.message.kind === "bindingUpdate" ? packet.message.sequence : -1);
      return sent.length < 3;
    };
    world.advance(3 * rttMs + 3_100);
    expect(world.boundTo).toBeNull();
    expect(new Set(sent).size).toBe(3);
    world.advance(60_000);
    expect(sent).toHaveLength(3);
  });

  it("is watched by the member that it leads to only: who hands the client over stops", () => {
    path({ ackAgeMs: Infinity, unacknowledged: true });
    bind("a");
    world.advance(rttMs);
    path({});
    world.handOver("h2", "b");
    world.advance(60_000);
    expect(world.boundTo).toBe(members.get("b"));
  });

  it("is not watched again when it is refreshed", () => {
    path({});
    bind("a");
    world.advance(10_000);
    path({ ackAgeMs: Infinity, unacknowledged: true });
    world.advance(500_000);
    expect(world.boundTo).toBe(members.get("a"));
  });
});
