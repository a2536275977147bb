import { describe, expect, it } from "vitest";
import { seededRandom } from "./random.ts";
import { Line, Timeline } from "./timeline.ts";

describe("Timeline", () => {
  it("hands out packets of many lines in the order in which they are due", () => {
    const random = seededRandom(3);
    const timeline = new Timeline();
    const lines = Array.from({ length: 20 }, (_, stage) => new Line(stage));
    const last = lines.map(() => 0);
    let taken = -Infinity;
    let now = 0;
    let added = 0;
    let handed = 0;
    for (let i = 0; i < 20_000; i++) {
      const which = Math.floor(random() * lines.length);
      last[which] = Math.max(last[which]!, now) + random() * 10;
      timeline.add(lines[which]!, i, last[which]!);
      added++;
      if (random() < 0.5) continue;
      now += random() * 2;
      while (timeline.nextDue <= now) {
        expect(timeline.nextDue).toBeGreaterThanOrEqual(taken);
        taken = timeline.nextDue;
        timeline.take();
        handed++;
      }
    }
    while (timeline.nextDue < Infinity) {
      timeline.take();
      handed++;
    }
    expect(handed).toBe(added);
  });

  it("keeps each line first in, first out while it grows around its ring", () => {
    const timeline = new Timeline();
    const line = new Line(0);
    let next = 0;
    for (let i = 0; i < 1000; i++) {
      timeline.add(line, 2 * i, i);
      timeline.add(line, 2 * i + 1, i);
      expect(timeline.take()).toBe(next++);
    }
    while (timeline.nextDue < Infinity) expect(timeline.take()).toBe(next++);
    expect(next).toBe(2000);
  });

  it("puts a line in its new place when its dues change", () => {
    const timeline = new Timeline();
    const [a, b] = [new Line(1), new Line(2)];
    timeline.add(a, 1, 10);
    timeline.add(b, 2, 20);
    a.reschedule((due) => due + 20);
    timeline.moved(a);
    expect(timeline.next.stage).toBe(2);
    b.reschedule(() => 40);
    timeline.moved(b);
    expect(timeline.next.stage).toBe(1);
  });
});
