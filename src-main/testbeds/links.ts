import { pathEnds, type LinkChange, type LinkQuality, type Path } from "../../src-shared/api/lab.ts";
import { linkKey, type LabPlan, type Links } from "../../src-shared/api/labPlan.ts";
import type { LinkTable } from "../../src-shared/api/linkemu.ts";
import { exitCodes, Problem } from "../problem.ts";
import type { LinkSetting, LinkStatus } from "./testbed.ts";

/** Links after all settings. Throws Problem `link.unknown` for the first end that is no host, site or "*"; nothing has changed then. */
export function applySettings(plan: LabPlan, links: Links, settings: readonly LinkSetting[]): Links {
  return settings.reduce((now, { link, bothWays, change }) => {
    const there = applyOne(plan, now, link.from, link.to, change);
    return bothWays ? applyOne(plan, there, link.to, link.from, change) : there;
  }, links);
}

function applyOne(plan: LabPlan, links: Links, from: string, to: string, change: LinkChange): Links {
  const kinds = `${kindOf(plan, from)}-${kindOf(plan, to)}`;
  const key = linkKey(from, to);
  switch (kinds) {
    case "site-site":
      return { ...links, paths: { ...links.paths, [key]: { ...(links.paths[key] as LinkQuality), ...change } } };
    case "host-host":
      return { ...links, pairs: { ...links.pairs, [key]: { ...pathOfPair(plan, links, from, to).quality, ...change } } };
    case "host-any":
      return { ...links, access: { ...links.access, [from]: { ...accessOf(links, from), egress: { ...accessOf(links, from).egress, ...change } } } };
    case "any-host":
      return { ...links, access: { ...links.access, [to]: { ...accessOf(links, to), ingress: { ...accessOf(links, to).ingress, ...change } } } };
    default:
      throw new Problem({ code: "link.unknown", what: `there is no link from ${from} to ${to}: one is ${described[kindOf(plan, from)]}, the other ${described[kindOf(plan, to)]}`, remedy: 'Name two hosts, two sites, or a host and "*" for its access link.', exitCode: exitCodes.usage });
  }
}

const described = { host: "a host", site: "a site", any: "the network" } as const;

function kindOf(plan: LabPlan, name: string): "host" | "site" | "any" {
  if (name === "*") return "any";
  if (plan.hosts.some((host) => host.name === name)) return "host";
  if (plan.sites.some((site) => site.name === name)) return "site";
  const names = (all: readonly { readonly name: string }[]) => all.map((x) => x.name).join(", ");
  throw new Problem({ code: "link.unknown", what: `the lab ${plan.name} has no host or site ${name}`, remedy: `Hosts: ${names(plan.hosts)}. Sites: ${names(plan.sites)}. "*" stands for the network.`, exitCode: exitCodes.usage });
}

function accessOf(links: Links, host: string): { readonly egress: LinkQuality; readonly ingress: LinkQuality } {
  return links.access[host] as { egress: LinkQuality; ingress: LinkQuality };
}

/** The path that packets from one host to another take: the pair's own, or that of their sites. */
function pathOfPair(plan: LabPlan, links: Links, from: string, to: string): { readonly name: string; readonly quality: LinkQuality } {
  const pair = linkKey(from, to);
  const own = links.pairs[pair];
  if (own) return { name: `host ${pair}`, quality: own };
  const site = (name: string) => plan.hosts.find((host) => host.name === name)?.site as string;
  const key = linkKey(site(from), site(to));
  return { name: key, quality: links.paths[key] as LinkQuality };
}

/** What a path entry of a lab or scenario file asks for, as a change of links; its ends may be hosts too. */
export function settingOf(entry: Path): LinkSetting {
  const [from, to] = pathEnds(entry);
  const { delay: delayMs, jitter: jitterMs, loss, rate, queue, mtu, up } = entry;
  const change = { delayMs, jitterMs, loss, rate, queue, mtu, up };
  return { link: { from, to }, bothWays: entry.between !== undefined, change: Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) };
}

/** The form that the emulator takes. */
export function linkTable(plan: LabPlan, links: Links): LinkTable {
  const names = new Map<string, number>();
  const paths: { name: string; quality: LinkQuality }[] = [];
  const pathOf = plan.hosts.map(({ name: from }) =>
    plan.hosts.map(({ name: to }) => {
      const path = pathOfPair(plan, links, from, to);
      const known = names.get(path.name);
      if (known !== undefined) return known;
      names.set(path.name, paths.length);
      return paths.push(path) - 1;
    }),
  );
  return { access: plan.hosts.map(({ name }) => accessOf(links, name)), paths, pathOf };
}

/** Every direction of every link, and whether it is as the lab file says. */
export function linkStatus(plan: LabPlan, links: Links): LinkStatus[] {
  const same = (a: LinkQuality | undefined, b: LinkQuality) => JSON.stringify(a) === JSON.stringify(b);
  const split = (key: string) => key.split(">") as [string, string];
  const of = (kind: LinkStatus["kind"], from: string, to: string, quality: LinkQuality, declared: LinkQuality | undefined): LinkStatus => ({ kind, from, to, quality, changed: !same(declared, quality) });
  const used = new Set(plan.hosts.map((host) => host.site));
  return [
    ...Object.entries(links.paths).flatMap(([key, quality]) => {
      const [from, to] = split(key);
      return used.has(from) && used.has(to) ? [of("path", from, to, quality, plan.links.paths[key])] : [];
    }),
    ...Object.entries(links.access).flatMap(([host, { egress, ingress }]) => [of("access", host, "*", egress, plan.links.access[host]?.egress), of("access", "*", host, ingress, plan.links.access[host]?.ingress)]),
    ...Object.entries(links.pairs).map(([key, quality]) => of("pair", ...split(key), quality, undefined)),
  ];
}
