import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Problem } from "../../problem.ts";
import { experimentPoints, visits } from "./points.ts";
import { checkHosts, parseScenario } from "./scenario-file.ts";
import type { SourceIssue } from "./yaml-source.ts";

const assets = join(import.meta.dirname, "../../../assets/scenarios");
const shipped = (name: string) => readFileSync(join(assets, `${name}.yaml`), "utf8");

/** A small valid scenario; each test breaks one line of it. */
const good = `name: small
lab: somewhere
group:
  id: g
  address: 2001:db8:f::1
  homeAgent: h
  members: [k, a]
  contact: k
  services:
    - { kind: echo, name: talk, port: 7 }
clients: [c]
workloads:
  - { kind: echo, name: chat, client: c, service: talk, period: 10 ms }
steps:
  - start: chat
  - wait: 1 s
  - handOver: { client: c, to: a, mode: full }
  - stop: chat
thresholds:
  - { name: gap, metric: max(clientGapMs), atMost: 1000 }
`;

function issuesOf(text: string): { readonly problem: Problem; readonly issues: readonly SourceIssue[] } {
  try {
    parseScenario("x.yaml", text);
  } catch (error) {
    if (error instanceof Problem) return { problem: error, issues: error.details.issues as SourceIssue[] };
    throw error;
  }
  throw new Error("the scenario was accepted");
}

describe("scenario file", () => {
  it("reads the small one and its steps", () => {
    const { scenario, points } = parseScenario("x.yaml", good);
    expect(scenario.workloads[0]).toMatchObject({ period: 10 });
    expect(points).toHaveLength(1);
    expect(points[0]?.steps.map((step) => Object.keys(step)[0])).toEqual(["start", "wait", "handOver", "stop"]);
  });

  const broken: readonly (readonly [what: string, from: string, to: string, line: number, path: string, message: RegExp])[] = [
    ["a syntax error", "clients: [c]", "clients: [c", 12, "", /./],
    ["an unknown key", "contact: k", "contakt: k", 8, "group.contakt", /not known/],
    ["a missing key", "lab: somewhere\n", "", 1, "lab", /missing|expected/],
    ["a missing key deeper down", "  contact: k\n", "", 4, "group.contact", /missing|expected/],
    ["a duration without unit", "period: 10 ms", "period: 10", 13, "workloads[0].period", /expected text, found number/],
    ["a wrong duration", "wait: 1 s", "wait: 1 fortnight", 16, "steps[1].wait", /fortnight/],
    ["an unknown mode", "mode: full", "mode: fast", 17, "steps[2].handOver.mode", /full/],
    ["two steps in one", "  - start: chat", "  - { start: chat, stop: chat }", 15, "steps[0]", /exactly one of/],
    ["a member that is none", "to: a", "to: z", 17, "steps[2].handOver.to", /"z" is no member.*k, a/],
    ["a workload that is none", "start: chat", "start: film", 15, "steps[0].start", /"film" is no workload.*chat/],
    ["a contact outside the group", "contact: k", "contact: h", 8, "group.contact", /no member/],
    ["a bad address", "2001:db8:f::1", "2001:db8:g::1", 5, "group.address", /IPv6/],
    ["a service of the wrong kind", "kind: echo, name: chat", "kind: download, path: /x, name: chat", 13, "workloads[0]", /period|known/],
    ["a threshold without bound", "atMost: 1000", "unit: ms", 20, "thresholds[0]", /exactly one of/],
    ["an unknown metric", "max(clientGapMs)", "max(happiness)", 20, "thresholds[0].metric", /clientGapMs/],
    ["a factor that is none", "mode: full", 'mode: "${mode}"', 17, "steps[2].handOver.mode", /no factors/],
    ["a wrong name in a parallel step", "- start: chat", "- parallel: [[{ start: chat }], [{ wait: 1 s }, { optimise: { client: z } }]]", 15, "steps[0].parallel[1][1].optimise.client", /"z" is no client/],
    ["two workloads of one name", "steps:", "  - { kind: echo, name: chat, client: c, service: talk, period: 10 ms }\nsteps:", 14, "workloads[1].name", /already/],
  ];
  it.each(broken)("says where: %s", (_, from, to, line, path, message) => {
    expect(good).toContain(from);
    const { problem, issues } = issuesOf(good.replace(from, to));
    expect(problem.code).toBe("scenario.invalid");
    expect(problem.exitCode).toBe(2);
    const issue = issues.find((i) => i.path.startsWith(path)) ?? issues[0];
    expect(issue).toMatchObject({ line, path: expect.stringContaining(path) as string, message: expect.stringMatching(message) as string });
    expect([problem.message, problem.evidence].join("\n")).toContain(`x.yaml:${line}:`);
  });

  it("refuses what is no mapping at all", () => {
    expect(issuesOf("just words").issues[0]).toMatchObject({ line: 1, message: expect.stringMatching(/mapping/) as string });
    expect(issuesOf("").issues[0]?.line).toBe(1);
  });

  it("says which hosts the lab lacks", () => {
    const loaded = parseScenario("x.yaml", good);
    expect(() => checkHosts(loaded, ["h", "k", "a", "c"])).not.toThrow();
    expect(() => checkHosts(loaded, ["h", "k", "c"])).toThrow(/x\.yaml:7:\d+: group\.members\[1\]: "a" is no host/);
  });

  it("does not follow a bomb of aliases", () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => `${"bcdefghij"[i]}: &${"bcdefghij"[i]} [${`*${"abcdefghi"[i]},`.repeat(9)}]`).join("\n")}\n`;
    expect(() => parseScenario("x.yaml", bomb)).toThrow();
  });
});

describe("shipped scenarios", () => {
  it("quickstart moves one client five times among three members, between 5 and 95 percent, and another too", () => {
    const { points, scenario } = parseScenario("quickstart.yaml", shipped("quickstart"));
    const handoffs = points[0]?.steps.flatMap((step) => step.parallel?.flat() ?? [step]).flatMap((step) => step.handOver ?? []) ?? [];
    const first = handoffs.filter((h) => h.client === "c1");
    expect(first).toHaveLength(5);
    expect(new Set(first.map((h) => h.to)).size).toBe(3);
    for (const { at } of handoffs) expect(at).toMatchObject({ percent: expect.toSatisfy((p: number) => p > 5 && p < 95) as number });
    expect(handoffs.filter((h) => h.client === "c2").length).toBeGreaterThan(0);
    expect(scenario.group.services.find((s) => s.kind === "http")?.files[0]?.bytes).toBeGreaterThanOrEqual(200e6);
  });

  it("paper crosses the latencies and varies the hops one by one, in both modes", () => {
    const { points, scenario } = parseScenario("paper.yaml", shipped("paper"));
    expect(points).toHaveLength(9 * 2 + 8 * 2);
    expect(scenario.repetitions).toBeGreaterThanOrEqual(10);
    const varied = points.filter((p) => p.values.L_KH !== p.values.L_DA);
    expect(varied.length).toBeGreaterThan(0);
    for (const point of points) {
      const counted = point.steps.flatMap((step) => (step.handOver?.counts ? [step.handOver] : []));
      expect(counted).toMatchObject([{ to: "a", mode: point.values.mode }]);
      const prepares = point.steps.some((step) => step.prepare);
      expect(prepares).toBe(point.values.mode === "prepared");
    }
  });
});

describe("experiment points", () => {
  it("cross the factors and let a listed point set what it likes", () => {
    const points = experimentPoints({ factors: { L: [1, 2], mode: ["full", "prepared"] }, derived: { M: "${L}" }, points: [{ L: 1, M: 9 }] });
    expect(points).toHaveLength(4 + 2);
    expect(points[0]).toEqual({ levels: { L: 1, mode: "full" }, values: { L: 1, mode: "full", M: 1 } });
    expect(points.at(-1)).toEqual({ levels: { L: 1, M: 9, mode: "prepared" }, values: { L: 1, M: 9, mode: "prepared" } });
  });

  it("visits all points in each repetition, in an order that only the seed decides", () => {
    const points = experimentPoints({ factors: { L: [1, 2, 3, 4, 5, 6] }, derived: {}, points: [] });
    const order = (seed: number) => [...visits(points, { repetitions: 3, interleave: true, seed })].map((v) => `${v.repetition}:${v.point.values.L}`);
    expect(order(1)).toEqual(order(1));
    expect(order(1)).not.toEqual(order(2));
    expect(new Set(order(1)).size).toBe(18);
    const rounds = [0, 1].map((r) => order(1).filter((v) => v.startsWith(`${r}:`)).map((v) => v.slice(2)));
    expect(rounds[0]).not.toEqual(rounds[1]);
  });
});
