import { z } from "zod";
import { dataPlaneKind } from "../control.ts";
import { address, count, durationMs, id, line, wallMs } from "./text.ts";

/** What a host does in the lab. A host may play several roles. */
export const hostRole = z.enum(["homeAgent", "contact", "backup", "member", "client", "router"]);
export type HostRole = z.infer<typeof hostRole>;

export const sshState = z.enum(["unknown", "connecting", "connected", "failed"]);

/** A host key as OpenSSH describes it: type and `SHA256:` fingerprint. `where` is file:line for a key on file. */
export const hostKey = z.object({ type: line, fingerprint: line, where: line.nullable() });
export type HostKey = z.infer<typeof hostKey>;

/**
 * What known_hosts says about the key a host offered. `unknown` waits for a person; `changed` and `revoked` refuse the connection.
 * `known` lists the keys on file under this name: one of another type may be there without the offered one being known.
 */
export const hostKeyState = z.discriminatedUnion("is", [
  z.object({ is: z.literal("none") }),
  z.object({ is: z.literal("known"), offered: hostKey }),
  z.object({ is: z.literal("unknown"), offered: hostKey, known: z.array(hostKey).max(50) }),
  z.object({ is: z.literal("changed"), offered: hostKey, known: z.array(hostKey).max(50) }),
  z.object({ is: z.literal("revoked"), offered: hostKey, known: z.array(hostKey).max(50) }),
]);
export type HostKeyState = z.infer<typeof hostKeyState>;

/** One finding of the preflight. `remedy` says what to do when it is not ok; `fix` is the label of a button where the manager can do it itself. */
export const preflightLine = z.object({
  check: line,
  ok: z.enum(["yes", "warning", "no"]),
  detail: line,
  remedy: line.nullable(),
  fix: line.nullable(),
});
export type PreflightLine = z.infer<typeof preflightLine>;

export const preflight = z.object({ state: z.enum(["none", "running", "done", "failed"]), at: wallMs.nullable(), lines: z.array(preflightLine).max(100) });

export const agentState = z.object({
  is: z.enum(["none", "deploying", "starting", "up", "stopped", "failed"]),
  version: line.nullable(),
  dataPlane: z.object({ kind: dataPlaneKind, reason: line }).nullable(),
  detail: line.nullable(),
});

/** A host's clock against the manager's: add `offsetMs` to the host's wall clock to get the manager's, give or take `errorMs`. */
export const clock = z.object({ offsetMs: z.number(), errorMs: durationMs });

export const host = z.object({
  id,
  name: line,
  site: id,
  /** IPv6 address in the lab; null until known. */
  address: address.nullable(),
  /** As a person would give it to ssh: user@host, user@host:port, user@[address]:port, or an alias. */
  target: line,
  roles: z.array(hostRole).max(6),
  ssh: z.object({ state: sshState, detail: line.nullable() }),
  key: hostKeyState,
  preflight,
  agent: agentState,
  clock: clock.nullable(),
  /** One-minute load average divided by the number of cores. */
  load: z.number().nonnegative().nullable(),
  /** Added by a person, and can be removed again; false for the hosts of a local lab. */
  own: z.boolean(),
  clients: count,
});
export type Host = z.infer<typeof host>;

/** A host in ~/.ssh/config. `unsupported` says which of its settings we do not honour, instead of ignoring it silently. */
export const sshConfigHost = z.object({ alias: line, target: line, via: line.nullable(), unsupported: line.nullable() });
export type SshConfigHost = z.infer<typeof sshConfigHost>;

/** What a deploy would change on one host, before anything is done. */
export const deployPlan = z.object({ host: id, changes: z.array(line).max(50), blocked: line.nullable() });
export type DeployPlan = z.infer<typeof deployPlan>;
