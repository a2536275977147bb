import type { Host } from "../../src-shared/api/app/host.ts";

export interface Status {
  readonly tone: "good" | "warn" | "bad" | "busy" | "off";
  readonly label: string;
}

/** Where a host stands on its way from an address to a running agent, for one column each. */
export function sshStatus(host: Host): Status {
  if (host.key.is === "unknown") return { tone: "warn", label: "key not known" };
  if (host.key.is === "changed") return { tone: "bad", label: "key changed" };
  if (host.key.is === "revoked") return { tone: "bad", label: "key revoked" };
  const states = { unknown: ["off", "not tried"], connecting: ["busy", "connecting"], connected: ["good", "connected"], failed: ["bad", "failed"] } as const;
  const [tone, label] = states[host.ssh.state];
  return { tone, label };
}

export function agentStatus(host: Host): Status {
  const states = { none: ["off", "none"], deploying: ["busy", "deploying"], starting: ["busy", "starting"], up: ["good", "up"], stopped: ["off", "stopped"], failed: ["bad", "failed"] } as const;
  const [tone, label] = states[host.agent.is];
  return { tone, label };
}

export function preflightStatus({ preflight }: Host): Status {
  if (preflight.state === "none") return { tone: "off", label: "not checked" };
  if (preflight.state === "running") return { tone: "busy", label: "checking" };
  const bad = preflight.lines.filter((line) => line.ok === "no").length;
  const warnings = preflight.lines.filter((line) => line.ok === "warning").length;
  if (preflight.state === "failed" || bad > 0) return { tone: "bad", label: bad > 0 ? `${bad} missing` : "failed" };
  return warnings > 0 ? { tone: "warn", label: warnings === 1 ? "1 warning" : `${warnings} warnings` } : { tone: "good", label: "ready" };
}
