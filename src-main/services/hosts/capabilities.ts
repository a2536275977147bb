import { Problem } from "../../problem.ts";
import type { HostAccess } from "./access.ts";
import type { HostFacts } from "./facts.ts";

/** What an agent cannot do without, and what its eBPF data plane needs besides. Names as setpriv takes them. */
export const requiredCapabilities = ["net_admin", "net_raw"] as const;
export const ebpfCapabilities = ["bpf", "perfmon"] as const;
/** For services on ports below 1024: the agent opens their listening sockets. */
export const portCapabilities = ["net_bind_service"] as const;

/** The uid and gid of agents where the login is root: used by nobody else, and needing no account. */
export const ownAgentId = 61_730;

/** Who an agent runs as: the login, or where that is root an id of its own. */
export function agentIdentity(facts: HostFacts): { readonly uid: number; readonly gid: number; readonly login: boolean } {
  return facts.uid === 0 ? { uid: ownAgentId, gid: ownAgentId, login: false } : { uid: facts.uid, gid: facts.gid, login: true };
}

/** The words that start a command as that user with ambient capabilities. To be run as root. */
export function setprivWords(facts: HostFacts, capabilities: readonly string[]): string[] {
  const { uid, gid, login } = agentIdentity(facts);
  const list = capabilities.map((name) => `+${name}`).join(",");
  const bounding = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
  return ["setpriv", "--reuid", String(uid), "--regid", String(gid), login ? "--init-groups" : "--clear-groups", "--inh-caps", list, "--ambient-caps", list, "--bounding-set", bounding, "--no-new-privs"];
}

/** Tries which capabilities can be given to an agent there. Throws Problem when root cannot be had. */
export function obtainable(access: HostAccess, facts: HostFacts): Promise<Obtainable> {
  const known = tried.get(access) ?? tryAll(access, facts);
  tried.set(access, known);
  known.catch(() => tried.delete(access));
  return known;
}

export interface Obtainable {
  readonly granted: readonly string[];
  readonly missing: readonly string[];
}

/** A host's answer does not change while we are connected. */
const tried = new WeakMap<HostAccess, Promise<Obtainable>>();

async function tryAll(access: HostAccess, facts: HostFacts): Promise<Obtainable> {
  const all = [...requiredCapabilities, ...ebpfCapabilities, ...portCapabilities];
  const attempts = all.map((name) => `if ${setprivWords(facts, [name]).join(" ")} true 2>/dev/null; then echo ${name}; fi`);
  const result = await access.runAsRoot(attempts.join("\n"));
  const granted = all.filter((name) => result.stdout.split("\n").includes(name));
  return { granted, missing: all.filter((name) => !granted.includes(name)) };
}

/** What to start an agent with; throws Problem `host.capability` when it would be too little. */
export async function agentCapabilities(access: HostAccess, facts: HostFacts): Promise<readonly string[]> {
  const { granted, missing } = await obtainable(access, facts);
  const lacking = requiredCapabilities.filter((name) => missing.includes(name));
  if (lacking.length === 0) return granted;
  throw new Problem({
    code: "host.capability",
    host: access.name,
    what: `the agent needs ${lacking.map((name) => `CAP_${name.toUpperCase()}`).join(" and ")}, which cannot be had there, not even by root`,
    remedy: "The host is a container without them; start it with --cap-add NET_ADMIN --cap-add NET_RAW.",
    details: { missing },
  });
}
