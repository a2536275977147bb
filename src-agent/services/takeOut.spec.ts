import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Connection } from "./connection.ts";
import { TakeOuts, type ReleaseAnswer } from "./takeOut.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const connection = { id: 7 } as Connection;

it.each([
  [1, 1_999, "released"],
  [1, 2_001, "late"],
  [4, 7_999, "released"],
  [4, 8_001, "late"],
] as const)("a service of a group with patience %s that lets go after %s ms is %s", async (patience, afterMs, kind) => {
  const takeOuts = new TakeOuts();
  let request = 0;
  const asked = takeOuts.ask([connection], patience, (r) => (request = r));
  await vi.advanceTimersByTimeAsync(afterMs);
  const answer: ReleaseAnswer = { kind: "released", state: new Uint8Array(0) };
  expect(takeOuts.answer(request, connection.id, answer)).toBe(kind === "released");
  expect((await asked).get(connection)?.kind).toBe(kind);
});
