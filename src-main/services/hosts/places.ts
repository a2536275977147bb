import { Problem } from "../../problem.ts";
import type { HostFacts } from "./facts.ts";

/** Where things of ours are on a host. Everything below one of the two, so that an undo leaves nothing. */
export interface RemotePlaces {
  /** Agents and Node, by checksum: shared by all deployments of the host. */
  readonly store: string;
  /** This deployment's: control socket, pid file, log. Mode 0700, owned by the agent's user. */
  readonly run: string;
}

/** A Unix socket's path has room for 107 bytes, and the control socket's name has to fit behind the run directory. */
const longestRun = 90;

/** For an ordinary login below its home (XDG's places); for root in /var/lib and /run, because agents do not run as root and /root is closed to them. */
export function remotePlaces(host: string, facts: HostFacts, deployment: string): RemotePlaces {
  const [store, state] = facts.uid === 0 ? ["/var/lib/anycast-lab", "/run/anycast-lab"] : [`${facts.home}/.local/share/anycast-lab`, `${facts.home}/.local/state/anycast-lab`];
  const run = `${state}/${deployment}/${host}`;
  if (Buffer.byteLength(run) > longestRun) {
    throw new Problem({ code: "deploy.pathTooLong", host, what: `its run directory ${run} is too long for a Unix socket (${Buffer.byteLength(run)} of ${longestRun} bytes)`, remedy: "Use shorter names for the lab or fleet and the host." });
  }
  return { store, run };
}
