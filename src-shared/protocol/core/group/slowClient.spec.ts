import { beforeEach, describe, expect, it } from "vitest";
import { client, GroupWorld, members } from "../../../../test/support/groupWorld.ts";
import type { MobilityPacket } from "../../wire/message.ts";
import type { Group } from "./group.ts";

let world: GroupWorld;
/** Home Tests on their way to X; `answer` lets the oldest arrive. */
let held: MobilityPacket[];
let holding: boolean;
beforeEach(() => {
  world = new GroupWorld();
  held = [];
  holding = true;
  world.lose = (packet) => holding && packet.message.kind === "homeTest" && held.push(packet) > 0;
  world.give("k", { kind: "activity", client, active: true });
});

const contact = (): unknown => (world.groups.get("k") as Group).inspect(world.now)["clients"];
/** When Home Test Inits left, counted from now. */
function asked(from: number): number[] {
  return world.sentAt.flatMap(([at, packet]) => (packet.message.kind === "homeTestInit" && at >= from ? [at - from] : []));
}
function answer(): void {
  holding = false;
  world.fromClient(held.shift() as MobilityPacket);
}

describe("a client that answers a home test late", () => {
  it("is asked with growing pauses for twenty seconds, though handoffs wait no longer than 3.5 s (§11.8)", () => {
    const from = world.now;
    world.plain = true;
    world.give("k", { kind: "optimise", client, request: "o" });
    world.advance(19_000);
    expect(asked(from)).toEqual([0, 1_000, 3_000, 7_000, 15_000]);
    expect(contact()).toMatchObject([{ capability: "silent", work: "idle" }]);
    expect(world.served().at(-1)).toMatch(/^tunnel by k: no answer to Home Test Init/);
    expect(world.answers.has("o")).toBe(false);
    world.advance(1_000);
    expect(world.answers.get("o")).toMatch(/no answer to Home Test Init/);
    world.advance(200_000);
    expect(asked(from)).toHaveLength(5);
  });

  it("is bound as it was asked to be, and whoever asked is told so", () => {
    world.give("k", { kind: "optimise", client, request: "o" });
    world.advance(6_000);
    expect(contact()).toMatchObject([{ capability: "silent" }]);
    answer();
    expect(world.answers.get("o")).toBe("ok");
    expect(world.boundTo).toBe(members.get("k"));
    expect(contact()).toMatchObject([{ capability: "mobile", boundForMs: expect.any(Number) as number }]);
    // The answers to the other transmissions come too.
    while (held.length > 0) answer();
    expect(world.dropsAt("k")).toContain("home test not awaited");
  });

  it("was handed over without a binding meanwhile, and is bound to its new member", () => {
    world.handOver("h", "a");
    world.advance(4_000);
    expect(world.answers.get("h")).toBe("ok");
    expect(world.served().at(-1)).toMatch(/^relayed by a/);
    answer();
    expect(world.boundTo).toBe(members.get("a"));
    expect(world.served().at(-1)).toMatch(/^optimised by a/);
  });

  it("may answer while it is being handed over: the binding follows", () => {
    world.give("k", { kind: "prepare", client, request: "p" });
    world.advance(4_000);
    // The order to its donor is still on its way.
    const later: (() => void)[] = [];
    world.delayMember = (give) => later.push(give);
    world.handOver("h", "a");
    expect(world.answers.get("p")).toMatch(/handed over as it is/);
    answer();
    expect(contact()).toMatchObject([{ capability: "mobile", work: "handing" }]);
    expect(world.boundTo).toBeNull();
    while (later.length > 0) {
      later.shift()?.();
      world.drain();
    }
    expect(world.answers.get("h")).toBe("ok");
    world.delayMember = null;
    world.advance(10);
    expect(world.boundTo).toBe(members.get("a"));
  });

  it("is asked anew by every wish to optimise it, and in the background of its handoffs", () => {
    world.plain = true;
    world.give("k", { kind: "optimise", client, request: "o1" });
    world.advance(60_000);
    const from = world.now;
    world.handOver("h", "a");
    expect(world.answers.get("h")).toBe("ok");
    world.advance(19_000);
    expect(asked(from)).toEqual([0, 1_000, 3_000, 7_000, 15_000]);
    world.advance(60_000);
    world.plain = holding = false;
    world.give("k", { kind: "optimise", client, request: "o2" });
    expect(world.answers.get("o2")).toBe("ok");
    expect(world.boundTo).toBe(members.get("a"));
  });

  it("that says in the end that it has no Mobile IPv6 is believed, and not asked again for ten minutes", () => {
    world.give("k", { kind: "optimise", client, request: "o" });
    world.advance(5_000);
    world.give("k", { kind: "notCapable", client, cookie: null });
    expect(contact()).toMatchObject([{ capability: "plain" }]);
    expect(world.answers.get("o")).toMatch(/says that it has no Mobile IPv6/);
    const from = world.now;
    world.give("k", { kind: "optimise", client, request: "o2" });
    expect(world.answers.get("o2")).toMatch(/has no Mobile IPv6/);
    world.advance(590_000);
    expect(asked(from)).toEqual([]);
  });

  it("is not taken for one without Mobile IPv6 once it has answered: a handoff waits for it", () => {
    holding = false;
    world.give("k", { kind: "optimise", client, request: "o" });
    expect(world.answers.get("o")).toBe("ok");
    holding = true;
    world.handOver("h", "a");
    world.advance(6_000);
    expect(world.answers.has("h")).toBe(false);
    answer();
    expect(world.answers.get("h")).toBe("ok");
    expect(world.boundTo).toBe(members.get("a"));
  });
});
