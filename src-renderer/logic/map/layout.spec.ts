import { describe, expect, it } from "vitest";
import { memoryOptions } from "../../backend/memory/options.ts";
import { buildLab } from "../../backend/memory/world.ts";
import { neighbour } from "./direction.ts";
import { layOut, layoutKey } from "./layout.ts";
import type { Box } from "./separate.ts";

const apart = (a: Box, b: Box) => Math.abs(a.x - b.x) >= (a.width + b.width) / 2 - 0.5 || Math.abs(a.y - b.y) >= (a.height + b.height) / 2 - 0.5;
const within = (inner: Box, outer: Box) => Math.abs(inner.x - outer.x) <= (outer.width - inner.width) / 2 + 0.5 && Math.abs(inner.y - outer.y) <= (outer.height - inner.height) / 2 + 0.5;

describe.each(["ready", "big", "hosts=1,clients=0,sites=1", "hosts=40,clients=2000,sites=16"])("the map of %s", (name) => {
  const lab = buildLab(memoryOptions(name));
  const layout = layOut(lab);

  it("places everything, sites apart, hosts and clients inside their site", () => {
    expect(layout.hosts.size).toBe(lab.hosts.length);
    expect(layout.clients.size).toBe(lab.clients.length);
    layout.sites.forEach((a, i) => layout.sites.slice(i + 1).forEach((b) => expect(apart(a, b), `${a.id} and ${b.id}`).toBe(true)));
    for (const site of layout.sites) {
      for (const host of site.hosts) expect(within(host, site), host.id).toBe(true);
      for (const client of site.clients) expect(within({ ...client, width: 12, height: 12 }, site), client.id).toBe(true);
      site.hosts.forEach((a, i) => site.hosts.slice(i + 1).forEach((b) => expect(apart(a, b)).toBe(true)));
    }
  });

  it("is not laid out anew because a delay, a server or a state changed", () => {
    const other = { ...lab, links: [], hosts: lab.hosts.map((h) => ({ ...h, load: 9 })), clients: lab.clients.map((c) => ({ ...c, servedBy: null })) };
    expect(layoutKey(other)).toBe(layoutKey(lab));
  });
});

it("puts near sites nearer than far ones", () => {
  const lab = buildLab(memoryOptions("sites=7,hosts=7"));
  const { sites } = layOut(lab);
  const gap = (a: string, b: string) => {
    const [p, q] = [a, b].map((id) => sites.find((s) => s.id === id));
    return Math.hypot((p?.x ?? 0) - (q?.x ?? 0), (p?.y ?? 0) - (q?.y ?? 0));
  };
  expect(gap("ams", "fra")).toBeLessThan(gap("ams", "nyc"));
  expect(gap("ams", "nyc")).toBeLessThan(gap("ams", "syd"));
});

it("walks with arrow keys to what lies that way, and every item can be reached", () => {
  const items = [..."abcdefghi"].map((id, i) => ({ id, x: (i % 3) * 100, y: Math.floor(i / 3) * 60 }));
  const [a] = items;
  expect(neighbour(items, a as never, "right")?.id).toBe("b");
  expect(neighbour(items, a as never, "down")?.id).toBe("d");
  expect(neighbour(items, a as never, "left")).toBeNull();
  const { hosts } = layOut(buildLab(memoryOptions("big")));
  const all = [...hosts.values()];
  const seen = new Set([all[0]]);
  for (const item of seen) for (const way of ["left", "right", "up", "down"] as const) if (item) seen.add(neighbour(all, item, way) ?? item);
  expect(seen.size).toBe(all.length);
});
