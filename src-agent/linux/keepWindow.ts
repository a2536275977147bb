import type { Socket } from "node:net";
import { setCongestionControl } from "./tcpRepair.ts";

/**
 * Lets a connection keep the congestion window that it has once reached, however long it is idle. BBR, the default of many hosts, does not: when ten seconds
 * have brought no shorter round trip it sends four segments a round trip for 200 ms (PROBE_RTT), and that begins with the next traffic, which is a client's
 * state. Reno is built into every kernel, open to everybody, and has no early end of slow start. Without effect where the descriptor is not known.
 */
export function keepWindow(socket: Socket): void {
  // Node has no public way to a socket's descriptor.
  const handle = (socket as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle;
  if (handle?.fd !== undefined && handle.fd >= 0) setCongestionControl(handle.fd, "reno");
}
