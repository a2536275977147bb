import type { Client } from "../../../src-shared/api/app/lab.ts";
import type { MapLayout } from "./layout.ts";
import type { Point } from "./stress.ts";

/** A curve from where clients are to the member that serves them. `from` is a client's id, or a site's where clients are taken together. */
export interface Band {
  readonly id: string;
  readonly from: string;
  readonly member: string;
  readonly path: string;
  readonly width: number;
  /** Worth seeing before anything is selected. */
  readonly strong: boolean;
}

const fewClients = 40;

export function servingBands(clients: readonly Client[], layout: MapLayout): Band[] {
  const together = clients.length > fewClients;
  const sites = new Map(layout.sites.map((site) => [site.id, site]));
  const counts = new Map<string, { from: string; member: string; start: Point; end: Point; count: number }>();
  for (const client of clients) {
    const end = client.servedBy === null ? undefined : layout.hosts.get(client.servedBy);
    const start = together ? sites.get(client.site) : layout.clients.get(client.id);
    if (!end || !start || client.servedBy === null) continue;
    // Taken together, clients of a member in their own site need no line: they are beside it.
    if (together && sites.get(client.site)?.hosts.includes(end)) continue;
    const from = together ? client.site : client.id;
    const key = `${from} ${client.servedBy}`;
    const known = counts.get(key);
    counts.set(key, { from, member: client.servedBy, start, end, count: (known?.count ?? 0) + 1 });
  }
  return [...counts].map(([id, { from, member, start, end, count }]) => ({ id, from, member, path: curve(start, end), width: together ? 0.8 + Math.sqrt(count) : 2, strong: !together || count > 2 }));
}

/** Where the curve from a to b is drawn to: a little to its left, so that two opposite ones do not cover each other. */
function bend(a: Point, b: Point): Point {
  return { x: (a.x + b.x) / 2 - (b.y - a.y) * 0.14, y: (a.y + b.y) / 2 + (b.x - a.x) * 0.14 };
}

/** A bent line as an SVG path. */
export function curve(a: Point, b: Point): string {
  const c = bend(a, b);
  return `M${a.x.toFixed(1)} ${a.y.toFixed(1)}Q${c.x.toFixed(1)} ${c.y.toFixed(1)} ${b.x.toFixed(1)} ${b.y.toFixed(1)}`;
}

/** `steps` + 1 points along the same line, as far as `share` of its way. */
export function alongCurve(a: Point, b: Point, steps: number, share = 1): Point[] {
  const c = bend(a, b);
  return Array.from({ length: steps + 1 }, (_, i) => {
    const t = (i / steps) * share;
    const [u, v, w] = [(1 - t) ** 2, 2 * t * (1 - t), t * t];
    return { x: u * a.x + v * c.x + w * b.x, y: u * a.y + v * c.y + w * b.y };
  });
}
