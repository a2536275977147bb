import { readFileSync } from "node:fs";

/** Names of the capabilities that matter to an agent, by their number (capabilities(7)). */
const names: readonly (readonly [number, string])[] = [
  [12, "CAP_NET_ADMIN"],
  [13, "CAP_NET_RAW"],
  [21, "CAP_SYS_ADMIN"],
  [38, "CAP_PERFMON"],
  [39, "CAP_BPF"],
];

/** Of those that matter, the ones this process may use now. */
export function effectiveCapabilities(): string[] {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  const bits = BigInt(`0x${line?.[1] ?? "0"}`);
  return names.filter(([number]) => (bits >> BigInt(number)) & 1n).map(([, name]) => name);
}

/** Throws an error that names what is missing and how to give it. */
export function requireCapabilities(have: readonly string[]): void {
  const missing = ["CAP_NET_ADMIN", "CAP_NET_RAW"].filter((name) => !have.includes(name));
  if (missing.length === 0) return;
  throw new Error(`the agent needs ${missing.join(" and ")}; start it through setpriv --ambient-caps (docs/permissions.md) or by \`lab up\``);
}
