import { addressBytes, formatAddress, type Address } from "../net/address.ts";
import { parsePrefix, prefixContains } from "../net/prefix.ts";
import { noMachine, pathEnds, type Access, type AccessDirection, type DataPlaneChoice, type LabFile, type LabRole, type LinkQuality, type Path, type SudoKind } from "./lab.ts";

/** A host as the lab will make it. */
export interface PlannedHost {
  readonly name: string;
  readonly site: string;
  readonly roles: readonly LabRole[];
  readonly address: Address;
  /** The router address of its site: source of ICMP errors. */
  readonly gateway: Address;
  readonly sudo: SudoKind;
  /** How far its monotonic clock is ahead of the machine's, whole seconds. */
  readonly clockOffsetSeconds: number;
  readonly diskBytes: number | undefined;
  /** The virtual machine it is in; undefined for this machine. */
  readonly vm: string | undefined;
  readonly dataPlane: DataPlaneChoice;
  /** False where its agent must not act as a correspondent node. */
  readonly mobileIpv6: boolean;
}

/** A virtual machine of the lab and what its file says of it. */
export interface PlannedMachine {
  readonly name: string;
  /** In the order of the lab's hosts. */
  readonly hosts: readonly string[];
  readonly memoryBytes: number | undefined;
  readonly cpus: number | undefined;
  readonly bootTimeoutMs: number | undefined;
}

/** What every direction of every link does, by name; each key is complete. */
export interface Links {
  /** By host: egress and ingress of its access link. */
  readonly access: Readonly<Record<string, { readonly egress: LinkQuality; readonly ingress: LinkQuality }>>;
  /** By `linkKey(site, site)`: all ordered pairs of sites, each site with itself included. */
  readonly paths: Readonly<Record<string, LinkQuality>>;
  /** By `linkKey(host, host)`: pairs of hosts that have a path of their own instead of that of their sites. */
  readonly pairs: Readonly<Record<string, LinkQuality>>;
}

/** A lab file with everything filled in: what is made, and what people are shown. */
export interface LabPlan {
  readonly name: string;
  readonly mtu: number;
  readonly sites: readonly { readonly name: string; readonly prefix: string }[];
  readonly hosts: readonly PlannedHost[];
  /** Empty where all hosts are namespaces on this machine. */
  readonly machines: readonly PlannedMachine[];
  readonly home: { readonly prefix: string; readonly host: string } | undefined;
  readonly links: Links;
}

/** What a lab file says that cannot be: `path` is where in the file. */
export interface LabIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export const linkKey = (from: string, to: string) => `${from}>${to}`;
export const mostHosts = 200;
/** Each host has a network card of its own in its machine, and a machine has room for so many. */
export const mostHostsPerMachine = 20;
const defaultMachine = "vm";
const anySite = "*";
const defaultQueue = { ms: 50 };
/** Interface ids of hosts that state no address: ::10, ::11, … */
const firstHostNumber = 0x10;

/** Fills in addresses, clocks and links, or says everything that is wrong. */
export function planLab(file: LabFile): { readonly plan: LabPlan } | { readonly issues: readonly LabIssue[] } {
  const issues = [...checkNames(file), ...checkPaths(file)];
  if (issues.length > 0) return { issues };
  const sites = Object.entries(file.sites).map(([name, site], i) => ({ name, prefix: site.prefix ?? `2001:db8:${(i + 1).toString(16)}::/64` }));
  const hosts = planHosts(file, new Map(sites.map((site) => [site.name, site.prefix])));
  const wrong = [...checkAddresses(file, sites, hosts), ...missingPaths(file)];
  if (wrong.length > 0) return { issues: wrong };
  return { plan: { name: file.name, mtu: file.mtu, sites, hosts, machines: planMachines(file), home: file.home, links: planLinks(file) } };
}

function checkNames(file: LabFile): LabIssue[] {
  const issues: LabIssue[] = [];
  const sites = Object.keys(file.sites);
  const hosts = Object.keys(file.hosts);
  const known = (kind: string, names: readonly string[]) => `${kind}: ${names.join(", ")}`;
  if (hosts.length === 0) issues.push({ path: ["hosts"], message: "a lab needs at least one host" });
  if (hosts.length > mostHosts) issues.push({ path: ["hosts"], message: `at most ${mostHosts} hosts, these are ${hosts.length}` });
  for (const [name, host] of Object.entries(file.hosts)) {
    if (!sites.includes(host.site)) issues.push({ path: ["hosts", name, "site"], message: `no site "${host.site}" (${known("sites", sites)})` });
    if (sites.includes(name)) issues.push({ path: ["hosts", name], message: `"${name}" is the name of a site too: a link's end must be one or the other` });
  }
  issues.push(...checkMachines(file));
  if (file.home && !hosts.includes(file.home.host)) issues.push({ path: ["home", "host"], message: `no host "${file.home.host}" (${known("hosts", hosts)})` });
  return issues;
}

function machineOf(file: LabFile, host: string): string | undefined {
  const machine = file.hosts[host]?.vm ?? (file.testbed === "vm" ? defaultMachine : noMachine);
  return machine === noMachine ? undefined : machine;
}

function planMachines(file: LabFile): PlannedMachine[] {
  const machines = new Map<string, string[]>();
  for (const host of Object.keys(file.hosts)) {
    const machine = machineOf(file, host);
    if (machine !== undefined) machines.set(machine, [...(machines.get(machine) ?? []), host]);
  }
  return [...machines].map(([name, hosts]) => ({ name, hosts, memoryBytes: file.vms[name]?.memory, cpus: file.vms[name]?.cpus, bootTimeoutMs: file.vms[name]?.bootTimeout }));
}

function checkMachines(file: LabFile): LabIssue[] {
  const machines = planMachines(file);
  const full = machines.filter(({ hosts }) => hosts.length > mostHostsPerMachine);
  const unused = Object.keys(file.vms).filter((name) => !machines.some((machine) => machine.name === name));
  return [
    ...full.map(({ name, hosts }) => ({ path: ["hosts", hosts[mostHostsPerMachine] as string], message: `the virtual machine ${name} has room for ${mostHostsPerMachine} hosts, these are ${hosts.length}: give some of them another one (\`vm: other\`)` })),
    ...unused.map((name) => ({ path: ["vms", name], message: `no host is in the virtual machine ${name}${machines.length > 0 ? ` (virtual machines: ${machines.map((m) => m.name).join(", ")})` : " (write `testbed: vm`, or `vm` at a host)"}` })),
  ];
}

function checkPaths(file: LabFile): LabIssue[] {
  const issues: LabIssue[] = [];
  file.paths.forEach((entry, i) => {
    pathEnds(entry).forEach((end, which) => {
      const path = entry.between ? ["paths", i, "between", which] : ["paths", i, which === 0 ? "from" : "to"];
      if (end !== anySite && !(end in file.sites)) issues.push({ path, message: `no site "${end}" (sites: ${Object.keys(file.sites).join(", ")}; "*" is any other site)` });
    });
  });
  return issues;
}

function planHosts(file: LabFile, prefixes: ReadonlyMap<string, string>): PlannedHost[] {
  const perSite = new Map<string, number>();
  return Object.entries(file.hosts).map(([name, host], i) => {
    const prefix = prefixes.get(host.site) as string;
    const number = perSite.get(host.site) ?? firstHostNumber;
    if (!host.address) perSite.set(host.site, number + 1);
    return {
      name,
      site: host.site,
      roles: host.roles,
      address: host.address ?? addressIn(prefix, number),
      gateway: addressIn(prefix, 1),
      sudo: host.sudo ?? file.sudo,
      clockOffsetSeconds: host.clockOffset === undefined ? 1000 * (i + 1) + 37 * i : Math.round(host.clockOffset / 1000),
      diskBytes: host.disk,
      vm: machineOf(file, name),
      dataPlane: host.dataPlane ?? "auto",
      mobileIpv6: host.mobileIpv6 ?? true,
    };
  });
}

function addressIn(prefix: string, number: number): Address {
  const bytes = addressBytes(parsePrefix(prefix).address);
  bytes[14] = number >> 8;
  bytes[15] = number & 0xff;
  return formatAddress(bytes);
}

function checkAddresses(file: LabFile, sites: LabPlan["sites"], hosts: readonly PlannedHost[]): LabIssue[] {
  const issues: LabIssue[] = [];
  const prefixes = [...sites.map((site) => ({ text: site.prefix, path: ["sites", site.name, "prefix"] })), ...(file.home ? [{ text: file.home.prefix, path: ["home", "prefix"] }] : [])];
  for (const { text, path } of prefixes) if (parsePrefix(text).length > 112) issues.push({ path, message: `${text} is too small: at most /112, so that hosts can be numbered` });
  prefixes.forEach(({ text, path }, i) => {
    const other = prefixes.slice(0, i).find((p) => overlap(p.text, text));
    if (other) issues.push({ path, message: `${text} overlaps ${other.text}` });
  });
  const seen = new Map<Address, string>();
  for (const host of hosts) {
    const prefix = sites.find((site) => site.name === host.site)?.prefix as string;
    const path = ["hosts", host.name, "address"];
    if (!prefixContains(parsePrefix(prefix), host.address)) issues.push({ path, message: `${host.address} is not in ${prefix}, the prefix of site ${host.site}` });
    if (host.address === host.gateway) issues.push({ path, message: `${host.address} is the router's address of site ${host.site}` });
    const twin = seen.get(host.address);
    if (twin) issues.push({ path, message: `${host.address} is the address of ${twin} already` });
    seen.set(host.address, host.name);
  }
  return issues;
}

function overlap(a: string, b: string): boolean {
  const x = parsePrefix(a);
  const y = parsePrefix(b);
  return x.length <= y.length ? prefixContains(x, y.address) : prefixContains(y, x.address);
}

/** Every two sites with hosts need a stated path, in both directions; a path forgotten would be a link without delay. */
function missingPaths(file: LabFile): LabIssue[] {
  const used = [...new Set(Object.values(file.hosts).map((host) => host.site))];
  const lacking = used.flatMap((from) => used.filter((to) => from !== to && !file.paths.some((entry) => concerns(entry, from, to))).map((to) => `${from} to ${to}`));
  if (lacking.length === 0) return [];
  return [{ path: ["paths"], message: `no path ${lacking.slice(0, 5).join(", ")}${lacking.length > 5 ? ` and ${lacking.length - 5} more` : ""} (write \`between: ["*", "*"]\` first for all that are not named)` }];
}

/** Whether an entry is about this direction. "*" is any site but the other end. */
function concerns(entry: Path, from: string, to: string): boolean {
  const [a, b] = pathEnds(entry);
  const fits = (x: string, y: string) => (a === x || a === anySite) && (b === y || b === anySite) && (from !== to || (a !== anySite && b !== anySite));
  return fits(from, to) || (entry.between !== undefined && fits(to, from));
}

function planLinks(file: LabFile): Links {
  const none: LinkQuality = { delayMs: 0, jitterMs: 0, loss: 0, rate: null, queue: defaultQueue, mtu: file.mtu, up: true };
  const sites = Object.keys(file.sites);
  const paths = sites.flatMap((from) => sites.map((to) => [linkKey(from, to), file.paths.filter((entry) => concerns(entry, from, to)).reduce(withSettings, none)] as const));
  const access = Object.entries(file.hosts).map(([name, host]) => [name, planAccess(host.access ?? accessByRole(file, host.roles), none)] as const);
  return { access: Object.fromEntries(access), paths: Object.fromEntries(paths), pairs: {} };
}

function accessByRole(file: LabFile, roles: readonly LabRole[]): Access {
  const role = roles.find((r) => file.access[r]);
  return (role && file.access[role]) ?? file.access.default ?? {};
}

function planAccess(access: Access, none: LinkQuality): { egress: LinkQuality; ingress: LinkQuality } {
  const both = withSettings(none, access);
  return { egress: withSettings(both, access.egress ?? {}), ingress: withSettings(both, access.ingress ?? {}) };
}

/** A quality with the settings of one entry of the file on top. */
export function withSettings(quality: LinkQuality, settings: AccessDirection): LinkQuality {
  return {
    ...quality,
    ...(settings.delay !== undefined && { delayMs: settings.delay }),
    ...(settings.jitter !== undefined && { jitterMs: settings.jitter }),
    ...(settings.loss !== undefined && { loss: settings.loss }),
    ...(settings.rate !== undefined && { rate: settings.rate }),
    ...(settings.queue !== undefined && { queue: settings.queue }),
    ...(settings.mtu !== undefined && { mtu: settings.mtu }),
    ...(settings.up !== undefined && { up: settings.up }),
  };
}
