import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AgentEvent } from "../../src-shared/api/events.ts";
import { EventOutbox } from "./outbox.ts";

const event = (sequence: number): AgentEvent => ({ sequence, mono: sequence, wall: 0, body: { type: "log", level: "info", text: `${sequence}` } });

describe("events that wait for a lull", () => {
  const written: number[][] = [];
  let outbox: EventOutbox;
  beforeEach(() => {
    vi.useFakeTimers();
    written.length = 0;
    outbox = new EventOutbox((events) => written.push(events.map((e) => e.sequence)));
  });
  afterEach(() => void vi.useRealTimers());

  it("leave together, in order, when nothing more comes", () => {
    outbox.put(event(1));
    vi.advanceTimersByTime(15);
    outbox.put(event(2));
    vi.advanceTimersByTime(15);
    expect(written).toEqual([]);
    vi.advanceTimersByTime(10);
    expect(written).toEqual([[1, 2]]);
    vi.advanceTimersByTime(1000);
    expect(written).toHaveLength(1);
  });

  it("do not wait for ever under a stream of others", () => {
    for (let i = 0; i < 100; i++) {
      outbox.put(event(i));
      vi.advanceTimersByTime(5);
    }
    expect(written.length).toBeGreaterThanOrEqual(2);
    expect(written.flat()).toEqual([...written.flat().keys()]);
  });

  it("leave at once when asked, and not a second time", () => {
    outbox.put(event(1));
    outbox.flush();
    outbox.flush();
    vi.advanceTimersByTime(1000);
    expect(written).toEqual([[1]]);
  });
});
