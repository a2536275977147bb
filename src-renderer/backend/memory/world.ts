import type { Client, Group, LabState, Link, LinkQuality } from "../../../src-shared/api/app/lab.ts";
import type { Host, HostRole, PreflightLine } from "../../../src-shared/api/app/host.ts";
import { delayBetween, place, type Place } from "./geography.ts";
import { hostileText } from "./hostile.ts";
import type { MemoryOptions } from "./options.ts";
import { Dice } from "./random.ts";

export const localLab = "lab-quickstart";
export const fleetLab = "fleet-mine";
const home = "2001:db8:a::1";

/** A lab that is up, as its options want it. */
export function buildLab(options: MemoryOptions): LabState {
  const dice = new Dice(options.seed);
  const places = Array.from({ length: options.sites }, (_, i) => place(i));
  const hosts = buildHosts(options, places, dice);
  const members = hosts.filter((h) => h.roles.includes("member"));
  const clients = buildClients(options, places, hosts, members, dice);
  return {
    id: localLab,
    name: options.hostile ? hostileText(0) : "quickstart",
    kind: "local",
    phase: "up",
    detail: null,
    shipped: true,
    revision: 1,
    sites: places.map((p, i) => ({ id: p.id, name: options.hostile && i > 0 ? hostileText(i) : p.name })),
    hosts: hosts.map((h) => ({ ...h, clients: clients.filter((c) => c.servedBy === h.name || c.servedBy === h.id).length })),
    links: buildLinks(places),
    groups: [buildGroup(hosts, members, clients)],
    clients,
    faults: [],
    captures: [],
  };
}

function buildHosts(options: MemoryOptions, places: readonly Place[], dice: Dice): Host[] {
  const memberCount = Math.max(2, Math.min(16, Math.ceil(options.hosts / 2)));
  return Array.from({ length: options.hosts }, (_, i): Host => {
    const site = places[i === 0 ? 0 : (i - 1) % places.length] as Place;
    const roles: HostRole[] = i === 0 ? ["homeAgent"] : i === 1 ? ["contact", "member"] : i === 2 ? ["backup", "member"] : i <= memberCount ? ["member"] : ["client"];
    const name = i === 0 ? "home" : i <= memberCount ? `${site.id}${i > places.length ? Math.ceil(i / places.length) : ""}` : (["alice", "bob"][i - memberCount - 1] ?? `client-${i - memberCount}`);
    return { ...upHost(name, site.id, i, dice), roles, name: options.hostile && i > 0 ? hostileText(i - 1) : name };
  });
}

/** A host of a lab whose agent is up. */
export function upHost(name: string, site: string, index: number, dice: Dice): Host {
  return {
    id: name,
    name,
    site,
    address: `2001:db8:${(index + 1).toString(16)}::10`,
    target: `lab@[fd00:1ab::${(index + 1).toString(16)}]:22`,
    roles: [],
    ssh: { state: "connected", detail: null },
    key: { is: "known", offered: fingerprintOf(name) },
    preflight: { state: "done", at: Date.now(), lines: goodPreflight() },
    agent: { is: "up", version: "0.1.0", dataPlane: { kind: index % 5 === 3 ? "userspace" : "ebpf", reason: index % 5 === 3 ? "no CAP_BPF in a user namespace" : "kernel has no IPV6_MIP6, tc programs load" }, detail: null },
    clock: { offsetMs: dice.between(-40, 40), errorMs: dice.between(0.05, 0.6) },
    load: dice.between(0.02, 0.4),
    own: false,
    clients: 0,
  };
}

export function fingerprintOf(name: string) {
  const text = Array.from({ length: 43 }, (_, i) => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[(name.charCodeAt(i % name.length) * 31 + i * 17) % 64]).join("");
  return { type: "ED25519", fingerprint: `SHA256:${text}`, where: null };
}

export function goodPreflight(): PreflightLine[] {
  const ok = (check: string, detail: string): PreflightLine => ({ check, ok: "yes", detail, remedy: null, fix: null });
  return [
    ok("Linux kernel", "6.1.0-31-amd64, at least 5.10"),
    ok("IPv6", "2001:db8::10/64 on eth0, forwarding not needed"),
    ok("Capabilities", "CAP_NET_ADMIN and CAP_NET_RAW can be given with sudo"),
    ok("Data plane", "ebpf: tc programs load"),
    ok("MTU", "1500 towards every member"),
    ok("Clock", "offset 12.1 ms ± 0.2 ms"),
    ok("Disk", "31 GB free in /var/tmp"),
  ];
}

const quality = (delayMs: number): LinkQuality => ({ delayMs, jitterMs: 0, lossPercent: 0, rateMbit: null });

function buildLinks(places: readonly Place[]): Link[] {
  return places.flatMap((a, i) =>
    places.slice(i + 1).map((b): Link => {
      const delay = delayBetween(a, b);
      return { id: `${a.id}--${b.id}`, a: a.id, b: b.id, there: quality(delay), back: quality(delay + (i % 3 === 1 ? 2 : 0)), settable: true, changed: false };
    }),
  );
}

function buildClients(options: MemoryOptions, places: readonly Place[], hosts: readonly Host[], members: readonly Host[], dice: Dice): Client[] {
  const clientHosts = hosts.filter((h) => h.roles.includes("client"));
  const nearest = (site: string) => members.find((m) => m.site === site) ?? members[0];
  return Array.from({ length: options.clients }, (_, i): Client => {
    const own = clientHosts[i];
    const site = own?.site ?? (places[Math.floor(dice.next() ** 1.5 * places.length)] as Place).id;
    const node = dice.next() < 0.85 ? nearest(site) : dice.pick(members);
    const name = options.hostile ? hostileText(i + 3) : (own?.name ?? `client-${i + 1}`);
    return {
      id: `c${i + 1}`,
      name,
      address: `2001:db8:c::${(i + 1).toString(16)}`,
      site,
      host: own?.id ?? null,
      group: "web",
      servedBy: node?.id ?? null,
      how: dice.next() < 0.8 ? "optimised" : dice.next() < 0.6 ? "tunnel" : "relayed",
      why: options.hostile ? hostileText(i) : "nearest member",
      connections: 1 + Math.floor(dice.tail(1.5)),
    };
  });
}

function buildGroup(hosts: readonly Host[], members: readonly Host[], clients: readonly Client[]): Group {
  return {
    id: "web",
    home,
    homeAgent: hosts[0]?.id ?? null,
    contact: members[0]?.id ?? "none",
    backups: members.slice(1, 2).map((m) => m.id),
    members: members.map((m) => ({ name: m.id, host: m.id, state: "up", clients: clients.filter((c) => c.servedBy === m.id).length })),
    services: [
      { name: "files", kind: "http", port: 80 },
      { name: "echo", kind: "echo", port: 7 },
    ],
    epoch: 1,
    registered: true,
  };
}
