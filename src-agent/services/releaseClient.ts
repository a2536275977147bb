import { destroy, dump, freeze, unfreeze, whyNotMovable, type Standstill } from "../tcp/freeze.ts";
import type { TcpSnapshot } from "../tcp/snapshot.ts";
import { encodeBundle, type BundleEntry } from "./bundle.ts";
import { describeConnection, type Connection } from "./connection.ts";
import { ConnectionsError } from "./connectionsError.ts";

/** A connection in the agent's hands: out of its service (`state` as the service left it), still open. */
export interface Taken {
  readonly connection: Connection;
  readonly phase: BundleEntry["phase"];
  readonly state: Uint8Array;
}

/** A taken connection, frozen and written down. */
export interface Frozen extends Taken {
  readonly tcp: TcpSnapshot;
}

/** Refuses before anything has been touched where it is known already that a connection cannot move. */
export function refuseUnmovable(connections: readonly Connection[]): void {
  for (const connection of connections) {
    if (connection.phase === "released") throw new ConnectionsError("refused", `${describeConnection(connection)}: it is being handed off already`);
    if (connection.phase === "waiting" && connection.handover) throw new ConnectionsError("refused", `${describeConnection(connection)}: its service has not taken it over yet`);
    const reason = whyNotMovable(connection.fd);
    if (reason) throw new ConnectionsError("refused", `${describeConnection(connection)}: ${reason}`);
  }
}

/**
 * Freezes connections together and writes them down, in one turn of the event loop. Ones that have ended meanwhile come back in `ended`. When one
 * cannot be written down all are thawed and ConnectionsError `refused` says which and why.
 */
export function freezeAll(taken: readonly Taken[], now: () => number, onFrozen: () => void): { readonly frozen: readonly Frozen[]; readonly ended: readonly Taken[]; readonly bundle: Uint8Array; readonly frozenAt: number } {
  const frozen: Frozen[] = [];
  const ended: Taken[] = [];
  let current: Taken | null = null;
  const stood: Standstill[] = [];
  try {
    for (current of taken) stood.push(freeze(current.connection.fd));
    onFrozen();
    // Read when the word of it has left: that packet is what others can hold the time against.
    const frozenAt = now();
    for (const [i, standstill] of stood.entries()) {
      current = taken[i] as Taken;
      const tcp = dump(current.connection.fd, current.connection, standstill);
      if (tcp) frozen.push({ ...current, tcp });
      else ended.push(current);
    }
    current = null;
    const bundle = encodeBundle(frozen.map(({ connection, phase, state, tcp }) => ({ service: connection.service, phase, state, tcp })));
    return { frozen, ended, bundle, frozenAt };
  } catch (error) {
    for (const { connection } of taken.slice(0, stood.length + 1)) thaw(connection);
    const which = current ? `${describeConnection(current.connection)}: ` : "";
    throw new ConnectionsError("refused", `${which}${(error as Error).message}`);
  }
}

export function destroyAll(frozen: readonly Frozen[]): void {
  for (const { connection } of frozen) {
    destroy(connection.fd);
    connection.fd = -1;
  }
}

/** A connection that the client has reset meanwhile cannot be thawed; its service will see that when it reads. */
export function thaw(connection: Connection): void {
  try {
    unfreeze(connection.fd);
  } catch {
    // Reported by whoever reads from it next.
  }
}
