import { describe, expect, it } from "vitest";
import { memoryOptions } from "../backend/memory/options.ts";
import { playHandoff } from "../backend/memory/play.ts";
import { Dice } from "../backend/memory/random.ts";
import { buildLab } from "../backend/memory/world.ts";
import { ladderModel, overrunMs, stepName } from "./ladder.ts";

const lab = buildLab(memoryOptions("ready"));
const alice = lab.clients[0];
if (!alice) throw new Error("the simulated lab has no client");
const detail = playHandoff(lab, { id: "h", client: alice, donor: "ams", acceptor: "tyo", mode: "full", startedAt: 0 }, new Dice(3));
const model = ladderModel(detail, 700);

describe("a ladder", () => {
  it("has a true time axis: equal times are equally far apart, everywhere", () => {
    const [a, b] = [model.marks[0], model.marks.at(-1)];
    const perMs = ((b?.y ?? 0) - (a?.y ?? 0)) / ((b?.at ?? 0) - (a?.at ?? 0));
    for (const mark of model.marks) expect(mark.y - (a?.y ?? 0)).toBeCloseTo((mark.at - (a?.at ?? 0)) * perMs, 6);
    const arrows = detail.messages.filter((m) => m.sentAt !== null && m.receivedAt !== null);
    for (const message of arrows) {
      const arrow = model.arrows.find((each) => each.summary === message.summary && each.label === message.label);
      const drop = (arrow?.points.at(-1)?.y ?? 0) - (arrow?.points[0]?.y ?? 0);
      expect(drop).toBeCloseTo(((message.receivedAt as number) - (message.sentAt as number)) * perMs, 6);
    }
  });

  it("draws each message from its sender's column to its receiver's, through the tunnel's end", () => {
    const x = new Map(model.columns.map((column) => [column.id, column.x]));
    const hoti = model.arrows.find((arrow) => arrow.label === "HoTI");
    expect(hoti?.points.map((point) => point.x)).toEqual([x.get("ams"), x.get("home"), x.get(alice.id)]);
    expect(hoti?.bent).toBe(true);
  });

  it("draws a message whose arrival nobody watches to its end, as late as others on that path were", () => {
    const unwatched = detail.messages.map((m) => (m.label === "First packet" ? { ...m, receivedAt: null, arrivalWatched: false } : m));
    const [before, after] = [model, ladderModel({ ...detail, messages: unwatched }, 700)].map(({ arrows }) => arrows.find((arrow) => arrow.label === "First packet"));
    expect(after?.seen).toBe("assumed");
    expect(after?.points.at(-1)?.x).toBe(before?.points.at(-1)?.x);
    expect(after?.points.at(-1)?.y).toBeCloseTo(before?.points.at(-1)?.y ?? 0, 6);
  });

  it("ends a message that was not received halfway, and leaves one out that nobody saw", () => {
    const [message] = detail.messages;
    const lost = ladderModel({ ...detail, messages: [{ ...(message as never as object), receivedAt: null, via: null } as never, { ...(message as never as object), sentAt: null, receivedAt: null } as never] }, 700);
    expect(lost.arrows).toHaveLength(1);
    expect(lost.arrows[0]?.seen).toBe("sent");
    expect(lost.arrows[0]?.points.at(-1)?.x).toBe(((model.columns.find((c) => c.id === message?.from)?.x ?? 0) + (model.columns.find((c) => c.id === message?.to)?.x ?? 0)) / 2);
  });

  it("marks an overrun only beyond work, a tenth and the clocks' error, and the first one apart", () => {
    const step = (predictedMs: number, measuredMs: number, errorMs: number | null = 0.1) => ({ name: "careOfTest", column: "tyo", at: measuredMs, errorMs, predictedMs, measuredMs });
    expect(overrunMs(step(40, 43.9))).toBeNull();
    expect(overrunMs(step(40, 44.2))).toBeCloseTo(4.2);
    expect(overrunMs(step(0.2, 1.1))).toBeNull();
    expect(overrunMs(step(2, 8, 7))).toBeNull();
    const late = ladderModel({ ...detail, steps: [step(10, 30), { ...step(10, 50), name: "bindingAcknowledgement" }, step(10, 5)] }, 700);
    expect(late.marks.map((mark) => [mark.budget?.overrun !== null, mark.budget?.first])).toEqual([[false, false], [true, true], [true, false]]);
  });

  it("keeps labels apart, however many steps happen at once", () => {
    const steps = Array.from({ length: 60 }, (_, i) => ({ name: `s${i}`, column: "tyo", at: 1, errorMs: null, predictedMs: null, measuredMs: null }));
    const crowded = ladderModel({ ...detail, steps }, 500);
    crowded.marks.slice(1).forEach((mark, i) => expect(mark.labelY - (crowded.marks[i]?.labelY ?? 0)).toBeGreaterThan(18));
  });

  it("survives a handoff of which nothing is known", () => {
    const bare = ladderModel({ ...detail, steps: [], messages: [], silence: null }, 0);
    expect(bare.marks).toEqual([]);
    expect(Number.isFinite(bare.zeroY)).toBe(true);
    expect(bare.ticks.length).toBeGreaterThan(1);
  });
});

it("names steps as people read them", () => {
  expect(["bindingUpdate", "stateReceived", "done", "constructor", "<b>x"].map(stepName)).toEqual(["BU sent", "state received", "done", "constructor", "<b>x"]);
});
