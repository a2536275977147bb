import type { Client, LabState } from "../../../src-shared/api/app/lab.ts";
import type { Host } from "../../../src-shared/api/app/host.ts";
import { type Box, separate } from "./separate.ts";
import { placeByDistance, type Point } from "./stress.ts";

/** Sizes on the map, in its own units (CSS pixels at zoom 1). */
export const sizes = { hostWidth: 112, hostHeight: 34, gap: 8, glyph: 15, pad: 12, title: 24 } as const;

export interface PlacedHost extends Box {
  readonly id: string;
}
export interface PlacedClient extends Point {
  readonly id: string;
}
export interface PlacedSite extends Box {
  readonly id: string;
  readonly hosts: readonly PlacedHost[];
  readonly clients: readonly PlacedClient[];
}
export interface MapLayout {
  readonly sites: readonly PlacedSite[];
  readonly hosts: ReadonlyMap<string, PlacedHost>;
  readonly clients: ReadonlyMap<string, Point>;
  readonly bounds: Box;
}

/** What of a lab decides the layout: it is laid out anew only when this text changes, never because a delay did. */
export function layoutKey(lab: Pick<LabState, "sites" | "hosts" | "clients">): string {
  return JSON.stringify([lab.sites.map((s) => s.id), lab.hosts.map((h) => [h.id, h.site]), lab.clients.map((c) => [c.id, c.site, c.host])]);
}

/** Sites at distances that follow their latency, their hosts and clients inside them. All coordinates are middles. */
export function layOut(lab: Pick<LabState, "sites" | "hosts" | "clients" | "links">): MapLayout {
  const places = placeByDistance(distances(lab));
  const insides = lab.sites.map((site) => inside(lab.hosts.filter((h) => h.site === site.id), lab.clients.filter((c) => c.site === site.id)));
  const spread = spreadFor(insides, places);
  const boxes = lab.sites.map((site, i) => ({ id: site.id, index: i, x: (places[i]?.x ?? 0) * spread, y: (places[i]?.y ?? 0) * spread * 0.8, width: insides[i]?.width ?? 0, height: insides[i]?.height ?? 0 }));
  const sites = separate(boxes, 36).map((box): PlacedSite => {
    const content = insides[box.index] as Inside;
    const [left, top] = [box.x - box.width / 2, box.y - box.height / 2];
    const shift = <T extends Point>(item: T): T => ({ ...item, x: left + item.x, y: top + item.y });
    return { id: box.id, x: box.x, y: box.y, width: box.width, height: box.height, hosts: content.hosts.map(shift), clients: content.clients.map(shift) };
  });
  return { sites, hosts: new Map(sites.flatMap((s) => s.hosts.map((h) => [h.id, h]))), clients: new Map(sites.flatMap((s) => s.clients.map((c) => [c.id, c]))), bounds: boundsOf(sites) };
}

/** A client that is a host of the lab is drawn inside that host. */
export function clientsInHosts(clients: readonly Client[]): ReadonlyMap<string, Client> {
  return new Map(clients.flatMap((client) => (client.host ? [[client.host, client] as const] : [])));
}

interface Inside {
  readonly width: number;
  readonly height: number;
  readonly hosts: readonly PlacedHost[];
  readonly clients: readonly PlacedClient[];
}

function inside(hosts: readonly Host[], clients: readonly Client[]): Inside {
  const { hostWidth, hostHeight, gap, glyph, pad, title } = sizes;
  const inHosts = clientsInHosts(clients);
  const loose = clients.filter((client) => !client.host || inHosts.get(client.host) !== client);
  const across = Math.max(1, Math.ceil(Math.sqrt(hosts.length * 0.55)));
  const width = 2 * pad + Math.max(across * (hostWidth + gap) - gap, Math.min(loose.length, 14) * glyph);
  const placedHosts = hosts.map((host, i) => ({ id: host.id, x: pad + hostWidth / 2 + (i % across) * (hostWidth + gap), y: title + pad / 2 + hostHeight / 2 + Math.floor(i / across) * (hostHeight + gap), width: hostWidth, height: hostHeight }));
  const below = title + pad / 2 + Math.ceil(hosts.length / across) * (hostHeight + gap);
  const perRow = Math.max(1, Math.floor((width - 2 * pad) / glyph));
  const looseAt = new Map(loose.map((client, i) => [client.id, { id: client.id, x: pad + glyph / 2 + (i % perRow) * glyph, y: below + glyph / 2 + Math.floor(i / perRow) * glyph }]));
  const placedClients = clients.flatMap((client): PlacedClient[] => {
    const alone = looseAt.get(client.id);
    if (alone) return [alone];
    const host = placedHosts.find((h) => h.id === client.host);
    return host ? [{ id: client.id, x: host.x + hostWidth / 2 - 14, y: host.y }] : [];
  });
  return { width, height: below + Math.ceil(loose.length / perRow) * glyph + pad / 2, hosts: placedHosts, clients: placedClients };
}

/** Delays are bent (power 0.6) so that near sites stay apart and far ones do not run away. */
function distances(lab: Pick<LabState, "sites" | "links">): number[][] {
  const index = new Map(lab.sites.map((site, i) => [site.id, i]));
  const wanted = lab.sites.map(() => lab.sites.map(() => 0));
  for (const link of lab.links) {
    const [a, b] = [index.get(link.a), index.get(link.b)];
    if (a === undefined || b === undefined || a === b) continue;
    const d = Math.max(1, (link.there.delayMs + link.back.delayMs) / 2) ** 0.6;
    (wanted[a] as number[])[b] = d;
    (wanted[b] as number[])[a] = d;
  }
  return wanted;
}

/** As much that boxes would roughly fit side by side where the points are. */
function spreadFor(insides: readonly Inside[], places: readonly Point[]): number {
  const area = insides.reduce((sum, box) => sum + (box.width + 90) * (box.height + 90), 0);
  const extent = Math.max(1e-6, ...places.map((p) => Math.max(Math.abs(p.x), Math.abs(p.y)))) * 2;
  return (Math.sqrt(area) * 1.25) / extent;
}

function boundsOf(boxes: readonly Box[]): Box {
  if (boxes.length === 0) return { x: 0, y: 0, width: 1, height: 1 };
  const left = Math.min(...boxes.map((b) => b.x - b.width / 2));
  const right = Math.max(...boxes.map((b) => b.x + b.width / 2));
  const top = Math.min(...boxes.map((b) => b.y - b.height / 2));
  const bottom = Math.max(...boxes.map((b) => b.y + b.height / 2));
  return { x: (left + right) / 2, y: (top + bottom) / 2, width: right - left, height: bottom - top };
}
