import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { linkKey, type LabPlan } from "../../src-shared/api/labPlan.ts";
import { Problem } from "../problem.ts";
import { findLabFile, parseLab, readLab } from "./labFile.ts";

const assets = resolve(import.meta.dirname, "../../assets");

function problemOf(text: string): Problem {
  try {
    parseLab(text, "f.yaml");
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error("accepted");
}

const two = (rest: string) => `name: two
sites: { a: {}, b: {} }
paths: [{ between: [a, b], delay: 10 ms }]
hosts:
  x: { site: a }
  y: { site: b }
${rest}`;

describe("a lab file", () => {
  it.each(readdirSync(resolve(assets, "labs")))("that ships is valid: %s", async (name) => {
    const plan = await readLab(resolve(assets, "labs", name));
    expect(`${plan.name}.yaml`).toBe(name);
    expect(findLabFile(plan.name, "/")).toBe(resolve(assets, "labs", name));
  });

  it("puts hosts into virtual machines: all of them, some of them, or none", () => {
    const machines = (rest: string, host = "") => parseLab(two(rest).replace("y: { site: b }", `y: { site: b${host} }`), "f.yaml").machines.map(({ name, hosts, memoryBytes }) => [name, hosts, memoryBytes]);
    expect(machines("")).toEqual([]);
    expect(machines("testbed: vm")).toEqual([["vm", ["x", "y"], undefined]]);
    expect(machines("testbed: vm\nvms: { vm: { memory: 1 GiB } }", ", vm: none")).toEqual([["vm", ["x"], 2 ** 30]]);
    expect(machines("", ", vm: other")).toEqual([["other", ["y"], undefined]]);
    expect(parseLab(two("").replace("y: { site: b }", "y: { site: b, dataPlane: ebpf, mobileIpv6: false }"), "f.yaml").hosts.map((h) => [h.dataPlane, h.mobileIpv6])).toEqual([["auto", true], ["ebpf", false]]);
  });

  it("refuses a virtual machine without hosts, one with too many, and a name that is none", () => {
    expect(problemOf(two("testbed: vm\nvms: { wm: { cpus: 1 } }")).message).toMatch(/vms\.wm: no host is in the virtual machine wm \(virtual machines: vm\)/);
    const many = Array.from({ length: 21 }, (_, i) => `  h${i}: { site: a }\n`).join("");
    expect(problemOf(`name: many\ntestbed: vm\nsites: { a: {} }\nhosts:\n${many}`).message).toMatch(/hosts\.h20: the virtual machine vm has room for 20 hosts, these are 21/);
    expect(problemOf(two("testbed: cloud")).message).toMatch(/testbed/);
  });

  it("gets addresses, clocks and a full set of links", () => {
    const plan = parseLab(
      `name: full
mtu: 1400
home: { prefix: "2001:db8:f::/64", host: x }
sites: { a: {}, b: { prefix: "2001:db8:b::/48" }, c: }
paths:
  - { between: ["*", "*"], delay: 10 ms, loss: 1 % }
  - { between: [a, b], delay: 20 ms }
  - { from: b, to: a, delay: 30 ms, up: false }
access: { client: { delay: 2 ms, rate: 10 Mbit/s, ingress: { rate: 100 Mbit/s } }, default: { jitter: 1 ms } }
hosts:
  x: { site: a, roles: [homeAgent] }
  y: { site: a, roles: [client], clockOffset: 5 s }
  z: { site: b, address: "2001:DB8:B::99", access: { queue: 64 KiB } }
  w: { site: b }
`,
      "f.yaml",
    );
    expect(plan.hosts.map((host) => host.address)).toEqual(["2001:db8:1::10", "2001:db8:1::11", "2001:db8:b::99", "2001:db8:b::10"]);
    expect(plan.hosts.map((host) => host.gateway)).toEqual(["2001:db8:1::1", "2001:db8:1::1", "2001:db8:b::1", "2001:db8:b::1"]);
    expect(plan.hosts[1]!.clockOffsetSeconds).toBe(5);
    expect(new Set(plan.hosts.map((host) => host.clockOffsetSeconds)).size).toBe(4);
    const path = (from: string, to: string) => plan.links.paths[linkKey(from, to)]!;
    expect([path("a", "b"), path("b", "a"), path("c", "a"), path("b", "b")].map((q) => [q.delayMs, q.loss, q.up, q.mtu])).toEqual([
      [20, 0.01, true, 1400],
      [30, 0.01, false, 1400],
      [10, 0.01, true, 1400],
      [0, 0, true, 1400],
    ]);
    const access = (host: string) => plan.links.access[host]!;
    expect([access("y").egress, access("y").ingress].map((q) => [q.delayMs, q.rate])).toEqual([[2, 1e7], [2, 1e8]]);
    expect([access("x").egress.jitterMs, access("z").egress.jitterMs]).toEqual([1, 0]);
    expect(access("z").ingress.queue).toEqual({ bytes: 65_536 });
  });

  it.each([
    ["a syntax error", "name: [\n", 2, "", /./],
    ["something else", "hello", 1, "", /expected a mapping, found string/],
    ["an unknown key", two("colour: red\n"), 7, "colour", /not known/],
    ["a bare number", two("").replace("10 ms", "10"), 3, "paths[0].delay", /expected text such as "20 ms"/],
    ["an unknown unit", two("").replace("10 ms", "10 parsec"), 3, "paths[0].delay", /"10 parsec" is not a duration/],
    ["an unknown site", two("").replace("site: b", "site: q"), 6, "hosts.y.site", /no site "q" \(sites: a, b\)/],
    ["a path to nowhere", two("").replace("[a, b]", "[a, q]"), 3, "paths[0].between[1]", /no site "q"/],
    ["a path with one end", two("").replace("between: [a, b]", "from: a"), 3, "paths[0]", /`from: site` with `to: site`/],
    ["a missing path", two("").replace("between: [a, b]", "from: a, to: b"), 3, "paths", /no path b to a/],
    ["a bad name", two("").replace("  x:", "  X:"), 5, "hosts.X", /lower-case/],
    ["a host named like a site", two("").replace("  x:", "  b:"), 5, "hosts.b", /name of a site too/],
    ["no hosts", "name: x\nsites: {}\nhosts: {}\n", 3, "hosts", /at least one host/],
    ["an address elsewhere", two("").replace("{ site: b }", "{ site: b, address: 2001:db8:1::5 }"), 6, "hosts.y.address", /not in 2001:db8:2::\/64/],
    ["an address twice", two("").replace("{ site: b }", "{ site: a, address: 2001:db8:1::10 }"), 6, "hosts.y.address", /address of x already/],
    ["the router's address", two("").replace("{ site: b }", "{ site: b, address: 2001:db8:2::1 }"), 6, "hosts.y.address", /router's/],
    ["an IPv4 address", two("").replace("{ site: b }", "{ site: b, address: 10.0.0.1 }"), 6, "hosts.y.address", /not an IPv6 address/],
    ["overlapping prefixes", two('home: { prefix: "2001:db8::/32", host: x }\n'), 7, "home.prefix", /overlaps 2001:db8:1::\/64/],
    ["a home for nobody", two('home: { prefix: "2001:db8:f::/64", host: q }\n'), 7, "home.host", /no host "q" \(hosts: x, y\)/],
    ["a tiny MTU", two("mtu: 576\n"), 7, "mtu", />=1280/],
  ])("with %s is refused, and the place is named", (_, text, line, path, message) => {
    const problem = problemOf(text);
    expect(problem.code).toBe("lab.invalid");
    expect(problem.exitCode).toBe(2);
    const [issue] = problem.details["issues"] as { line: number; path: string; message: string }[];
    expect(issue).toMatchObject({ path, line });
    expect(issue!.message).toMatch(message);
    expect(problem.message).toContain(`f.yaml:${line}:`);
  });

  it("tells all errors at once", () => {
    const problem = problemOf(two("").replace("site: a", "site: q").replace("site: b", "site: r"));
    expect(problem.message).toMatch(/site "q".*and 1 more/);
    expect(problem.evidence).toMatch(/f\.yaml:6:.*site "r"/);
  });

  it("that is not there is named with what could be done", async () => {
    expect(() => findLabFile("nothing", "/tmp")).toThrow(expect.objectContaining({ code: "lab.fileMissing" }));
    await expect(readLab("/nonexistent/x.yaml")).rejects.toMatchObject({ code: "lab.unreadable", message: expect.stringContaining("ENOENT") });
  });

  it("numbers many hosts of one site apart", () => {
    const hosts = Array.from({ length: 200 }, (_, i) => `  h${i}: { site: a }\n`).join("");
    const plan: LabPlan = parseLab(`name: many\nsites: { a: {} }\nhosts:\n${hosts}`, "f.yaml");
    expect(new Set(plan.hosts.map((host) => host.address)).size).toBe(200);
    expect(problemOf(`name: many\nsites: { a: {} }\nhosts:\n${hosts}  more: { site: a }\n`).message).toMatch(/at most 200 hosts/);
  });
});
