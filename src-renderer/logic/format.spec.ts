import { describe, expect, it } from "vitest";
import { ago, bytes, counted, duration, measured, rate, remaining } from "./format.ts";

const narrow = (text: string) => text.replaceAll("\u202f", " ");

describe("figures", () => {
  it.each([
    [0.314, "0.31 ms"],
    [9.994, "9.99 ms"],
    [9.996, "10.0 ms"],
    [99.96, "100 ms"],
    [999.4, "999 ms"],
    [1830, "1.83 s"],
    [41_000, "41.0 s"],
    [125_000, "2 min 5 s"],
    [-4.5, "−4.50 ms"],
    [null, "–"],
    [Number.NaN, "–"],
  ])("%s ms is written %s", (ms, text) => expect(narrow(duration(ms))).toBe(text));

  it("withholds what the clocks do not allow", () => {
    expect(narrow(measured(0.2, 0.5))).toBe("within ± 0.50 ms");
    expect(narrow(measured(40, 0.5))).toBe("40.0 ms ± 0.50 ms");
    expect(measured(null, 0.5)).toBe("–");
  });

  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [31_000_000, "31 MB"],
    [9e15, "9000 TB"],
  ])("%s bytes are written %s", (count, text) => expect(narrow(bytes(count))).toBe(text));

  it("has units for rates, rests, ages and counts", () => {
    expect(narrow(rate(4.2))).toBe("4.2 Mbit/s");
    expect(narrow(rate(1200))).toBe("1.20 Gbit/s");
    expect([narrow(remaining(3.2)), narrow(remaining(600)), narrow(remaining(9000)), remaining(null)]).toEqual(["4 s", "10 min", "2.5 h", "unknown"]);
    expect([ago(0, 3000), ago(0, 60_000), ago(0, 600_000), ago(0, 7_200_000), ago(0, 90_000_000)]).toEqual(["just now", "60 s ago", "10 min ago", "2 h ago", "1970-01-01"]);
    expect([counted(1, "host"), counted(0, "host"), counted(2, "entry", "entries")]).toEqual(["1 host", "0 hosts", "2 entries"]);
  });
});
