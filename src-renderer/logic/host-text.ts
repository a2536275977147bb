import type { Host, HostRole } from "../../src-shared/api/app/host.ts";
import { plain } from "./plain.ts";

const roleNames: Readonly<Record<HostRole, string>> = { homeAgent: "home agent", contact: "contact", backup: "backup", member: "member", client: "client", router: "router" };
const order: readonly HostRole[] = ["homeAgent", "contact", "backup", "member", "client", "router"];

/** The roles that say most: a contact is a member too, so "member" is left out beside "contact" and "backup". */
export function roleText(host: Host): string {
  const roles = order.filter((role) => host.roles.includes(role));
  const telling = roles.length > 1 ? roles.filter((role) => role !== "member") : roles;
  return telling.map((role) => roleNames[role]).join(", ") || (host.agent.is === "up" ? "no role" : "no agent");
}

/** Why a host needs a person; null when it does not. */
export function hostTrouble(host: Host): string | null {
  if (host.key.is === "changed") return "its host key has changed";
  if (host.key.is === "revoked") return "its host key is revoked";
  if (host.key.is === "unknown") return "its host key is not known yet";
  if (host.ssh.state === "failed") return host.ssh.detail ?? "SSH failed";
  if (host.agent.is === "failed") return host.agent.detail ?? "the agent failed";
  return null;
}

/** One line for people who hear the map instead of seeing it. */
export function hostSummary(host: Host): string {
  const trouble = hostTrouble(host);
  const clients = host.clients > 0 ? `, serves ${host.clients} clients` : "";
  return `Host ${plain(host.name)}, ${roleText(host)}, agent ${host.agent.is}${clients}${trouble ? `. Trouble: ${plain(trouble)}` : ""}`;
}
