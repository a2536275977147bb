import { describe, expect, it } from "vitest";
import { exposition, Histogram } from "./exposition.ts";

describe("exposition", () => {
  it("writes families with HELP and TYPE, labels escaped, empty families left out", () => {
    const text = exposition([
      { name: "a_total", help: "What\\is\nit.", type: "counter", samples: [{ labels: {}, value: 3 }, { labels: { why: 'a "b"\\\n' }, value: 0.5 }] },
      { name: "none", help: "Nothing.", type: "gauge", samples: [] },
    ]);
    expect(text).toBe('# HELP a_total What\\\\is\\nit.\n# TYPE a_total counter\na_total 3\na_total{why="a \\"b\\"\\\\\\n"} 0.5\n');
  });

  it("writes histograms cumulatively, up to +Inf, which is the count", () => {
    const histogram = new Histogram([0.1, 1]);
    for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value);
    const text = exposition([{ name: "d_seconds", help: "D.", type: "histogram", samples: [{ labels: { mode: "full" }, histogram }] }]);
    expect(text.split("\n").slice(2)).toEqual([
      'd_seconds_bucket{mode="full",le="0.1"} 2',
      'd_seconds_bucket{mode="full",le="1"} 3',
      'd_seconds_bucket{mode="full",le="+Inf"} 4',
      'd_seconds_sum{mode="full"} 7.65',
      'd_seconds_count{mode="full"} 4',
      "",
    ]);
  });
});
