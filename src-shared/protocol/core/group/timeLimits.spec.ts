import { describe, expect, it } from "vitest";
import { client, GroupWorld, members } from "../../../../test/support/groupWorld.ts";
import { timeLimits } from "./timeLimits.ts";

function worldOf(patience: number | undefined): GroupWorld {
  const world = new GroupWorld({}, patience === undefined ? {} : { patience });
  world.give("k", { kind: "activity", client, active: true });
  return world;
}

describe("a group's time limits", () => {
  it.each([1, 4, 10])("keep their order at patience %s: the acceptor gives up before the donor, the contact after both", (patience) => {
    const { collectMs, bindingMs, stateMs, donorMs, handingMs } = timeLimits({ patience });
    expect(bindingMs).toBeLessThan(stateMs);
    expect(stateMs).toBeLessThan(donorMs);
    expect(collectMs + donorMs).toBeLessThan(handingMs);
    expect(collectMs).toBe(5_000 * patience);
  });

  it.each([
    [undefined, /no answer within 7.5 s/],
    [4, /^ok$/],
  ])("let a client with patience %s answer after ten seconds: %s", (patience, outcome) => {
    const world = worldOf(patience);
    const from = world.now;
    world.lose = (packet) => packet.message.kind === "bindingAcknowledgement" && world.now < from + 10_000;
    world.handOver("h", "a");
    world.advance(20_000);
    expect(world.answers.get("h")).toMatch(outcome);
    if (patience === undefined) return;
    expect(world.boundTo).toBe(members.get("a"));
    expect(world.updateTimes.map((at) => at - from)).toEqual([0, 1_000, 3_000, 7_000, 15_000]);
  });

  it.each([
    [undefined, /connections not collected within 5 s/],
    [4, /^ok$/],
  ])("let services with patience %s take eight seconds: %s", (patience, outcome) => {
    const world = worldOf(patience);
    world.slowServices = true;
    world.handOver("h", "a");
    world.advance(8_000);
    world.letGo();
    world.advance(100);
    expect(world.answers.get("h")).toMatch(outcome);
  });
});
