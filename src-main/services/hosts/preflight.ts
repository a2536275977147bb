import type { PreflightLine } from "../../../src-shared/api/app/host.ts";
import { asProblem } from "../../problem.ts";
import type { HostAccess } from "./access.ts";
import { type HostFacts, lookAt } from "./facts.ts";
import { obtainable } from "./capabilities.ts";

const megabyte = 1024 * 1024;
/** The bundle with its unpacked copy, logs and state; and with our Node where the host has none. */
const spaceNeeded = (withNode: boolean) => (withNode ? 250 : 20) * megabyte;

/** Looks whether an agent could run on a host and what it would be able to do. Changes nothing. Never rejects: not being reachable is a finding. */
export async function preflight(access: HostAccess, options: { readonly architectures: readonly string[]; readonly nodePath?: string }): Promise<PreflightLine[]> {
  let facts: HostFacts;
  try {
    facts = await lookAt(access, options.nodePath, { clock: true });
  } catch (error) {
    const problem = asProblem(error, access.name);
    return [no("SSH", problem.message.replace(`${access.name}: `, ""), problem.remedy)];
  }
  const lines = [
    yes("SSH", `logged in as ${facts.user}`),
    ...system(facts, options.architectures),
    ...network(access, facts),
    ...(await rights(access, facts)),
    disk(facts),
    clock(facts),
  ];
  return lines;
}

/** Whether nothing stands in the way of a deployment. */
export function passes(lines: readonly PreflightLine[]): boolean {
  return lines.every((line) => line.ok !== "no");
}

function system(facts: HostFacts, architectures: readonly string[]): PreflightLine[] {
  const { kernel, architecture, node } = facts;
  const [major = 0, minor = 0] = kernel.split(".").map((part) => Number.parseInt(part, 10));
  const fits = architectures.includes(architecture);
  return [
    major > 5 || (major === 5 && minor >= 4) ? yes("kernel", `Linux ${kernel}`) : warning("kernel", `Linux ${kernel} is older than 5.4`, "Untested there; upgrade the kernel if something fails."),
    fits ? yes("architecture", architecture) : no("architecture", `${architecture}; the agent is built for ${architectures.join(", ")}`, `Use a host of that architecture, or build the agent on an ${architecture} machine.`),
    node ? yes("Node", `${node.version} (${node.path})`) : fits ? yes("Node", "none from 20.10 on: ours will be uploaded") : no("Node", "none from 20.10 on, and ours does not fit the architecture", "Install Node 20.10 or newer on the host."),
    mobileIpv6(facts.mip6),
  ];
}

function mobileIpv6(mip6: boolean | undefined): PreflightLine {
  if (mip6) return yes("kernel Mobile IPv6", "CONFIG_IPV6_MIP6 is built in");
  const detail = mip6 === false ? "CONFIG_IPV6_MIP6 is off" : "the kernel does not tell whether CONFIG_IPV6_MIP6 is on";
  return { ...yes("kernel Mobile IPv6", `${detail}; the agent carries packets by eBPF or a TUN device instead`) };
}

function network(access: HostAccess, facts: HostFacts): PreflightLine[] {
  if (facts.ipv6Disabled) return [no("IPv6", "IPv6 is switched off (net.ipv6.conf.all.disable_ipv6)", "sudo sysctl net.ipv6.conf.all.disable_ipv6=0")];
  const found = facts.addresses.map((a) => `${a.address} on ${a.interface}`).join(", ");
  const wanted = access.handle.address;
  if (wanted && !facts.addresses.some((a) => a.address === wanted)) return [no("IPv6 address", `${wanted} is not on any interface (there are: ${found || "none"})`, "Correct the host's address in the fleet file, or give the host that address.")];
  if (facts.addresses.length === 0) return [no("IPv6 address", "no global IPv6 address", "Give the host a global (or unique local) IPv6 address.")];
  const route = facts.ipv6Routes > 0 ? yes("IPv6 route", `${facts.ipv6Routes} beyond its own links`) : warning("IPv6 route", "none beyond its own links", "Add a default IPv6 route.");
  return [yes("IPv6 address", found), route];
}

async function rights(access: HostAccess, facts: HostFacts): Promise<PreflightLine[]> {
  const privilege = await access.privilege();
  if (privilege.kind === "none") return [no("root", privilege.reason, privilege.remedy)];
  const how = { root: "logged in as root", sudo: "sudo without a password", sudoPassword: "sudo with a password" }[privilege.kind];
  if (!facts.setpriv) return [yes("root", how), no("setpriv", "missing, or too old to give ambient capabilities", "Install util-linux 2.31 or newer on the host.")];
  const { granted, missing } = await obtainable(access, facts);
  const needed = missing.filter((name) => name === "net_admin" || name === "net_raw");
  const capabilities = needed.length > 0 ? no("capabilities", `${needed.map(capName).join(" and ")} cannot be had there, not even by root`, "The host is a container without them; start it with --cap-add NET_ADMIN --cap-add NET_RAW.") : yes("capabilities", granted.map(capName).join(", "));
  return [yes("root", how), yes("setpriv", "can give ambient capabilities"), capabilities, ebpf(facts, missing), tun(facts)];
}

function ebpf(facts: HostFacts, missing: readonly string[]): PreflightLine {
  const lacking = missing.filter((name) => name === "bpf" || name === "perfmon");
  if (facts.userNamespace) return warning("eBPF", "not allowed in the user namespace that the host is in; packets go through a TUN device, at about half the speed", "Run the lab as root for eBPF.");
  if (lacking.length > 0) return warning("eBPF", `${lacking.map(capName).join(" and ")} cannot be had; packets go through a TUN device, at about half the speed`, "Use kernel 5.8 or newer, or allow those capabilities to the container.");
  return yes("eBPF", "can be loaded");
}

function tun(facts: HostFacts): PreflightLine {
  if (facts.tun === "usable") return yes("TUN device", "/dev/net/tun");
  return warning("TUN device", facts.tun === "missing" ? "/dev/net/tun is missing: no fallback when eBPF does not work" : `${facts.user} may not open /dev/net/tun: no fallback when eBPF does not work`, facts.tun === "missing" ? "sudo modprobe tun" : "sudo chmod 666 /dev/net/tun (the usual mode; opening it gives no rights by itself)");
}

function disk(facts: HostFacts): PreflightLine {
  const needed = spaceNeeded(facts.node === undefined);
  const free = `${Math.floor(facts.freeBytes / megabyte)} MB free in ${facts.home}`;
  return facts.freeBytes >= needed ? yes("disk", free) : no("disk", `${free}, ${needed / megabyte} MB needed`, "Free some space there.");
}

function clock(facts: HostFacts): PreflightLine {
  const { offsetMs, errorMs, synchronised } = facts.clock;
  const text = `${offsetMs >= 0 ? "ahead" : "behind"} by ${Math.abs(offsetMs).toFixed(0)} ms ± ${errorMs.toFixed(0)} ms`;
  if (Math.abs(offsetMs) - errorMs > 60_000) return warning("clock", text, "More than a minute off: certificates may be refused. Set the clock (timedatectl set-ntp true).");
  return yes("clock", synchronised === false ? `${text}, not synchronised` : text);
}

const capName = (name: string) => `CAP_${name.toUpperCase()}`;
const yes = (check: string, detail: string): PreflightLine => ({ check, ok: "yes", detail, remedy: null, fix: null });
const warning = (check: string, detail: string, remedy: string): PreflightLine => ({ check, ok: "warning", detail, remedy, fix: null });
const no = (check: string, detail: string, remedy: string): PreflightLine => ({ check, ok: "no", detail, remedy, fix: null });
