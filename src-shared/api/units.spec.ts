import { describe, expect, it } from "vitest";
import { formatDuration, formatRate, formatShare, parseDuration, parseRate, parseShare, parseSize } from "./units.ts";

describe("units", () => {
  it.each([["20 ms", 20], ["1.5s", 1500], ["250 us", 0.25], [".5 µs", 0.0005], ["2 min", 120_000], [" 1 h ", 3_600_000], ["7ns", 7e-6], ["0 ms", 0]])("reads the duration %s", (text, ms) => expect(parseDuration(text)).toBeCloseTo(ms, 9));
  it.each([["100 Mbit/s", 1e8], ["1.5 Gbit/s", 1.5e9], ["64kbit/s", 64_000], ["9600 bit/s", 9600], ["10 Mbps", 1e7], ["3 Mbit", 3e6]])("reads the rate %s", (text, rate) => expect(parseRate(text)).toBe(rate));
  it.each([["0.5 %", 0.005], ["100%", 1], ["0 %", 0]])("reads the share %s", (text, share) => expect(parseShare(text)).toBeCloseTo(share, 12));
  it.each([["64 KiB", 65_536], ["20 MB", 20_000_000], ["1500 B", 1500], ["0.5 kB", 500]])("reads the size %s", (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(["20", "", "ms", "-5 ms", "20 parsec", "1e3 ms", "20 ms 5", "toString", "5 constructor", "٣ ms", "1.2.3 s"])("refuses the duration %j and says how one looks", (text) =>
    expect(() => parseDuration(text)).toThrow(/a duration such as "20 ms" \(units: ns, us, µs, ms, s, min, h\)/),
  );
  it("refuses a rate of nothing and a share above all", () => {
    expect(() => parseRate("0 Mbit/s")).toThrow(/lets nothing through/);
    expect(() => parseShare("101 %")).toThrow(/more than 100 %/);
    expect(() => parseShare("0.5")).toThrow(/a share such as/);
    expect(() => parseSize("5 MBit")).toThrow(/a size such as/);
  });

  it("writes what people read", () => {
    expect([0, 0.25, 20, 999, 1500].map(formatDuration)).toEqual(["0 ms", "250 µs", "20 ms", "999 ms", "1.5 s"]);
    expect([500, 64_000, 1e8, 2.5e9].map(formatRate)).toEqual(["500 bit/s", "64 kbit/s", "100 Mbit/s", "2.5 Gbit/s"]);
    expect([0.005, 1].map(formatShare)).toEqual(["0.5 %", "100 %"]);
  });
});
