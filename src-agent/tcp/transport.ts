import type { Transport } from "../../src-shared/protocol/core/group/dataWatch.ts";
import { setRepair, tcpInfo, tcpState, type TcpInfo } from "../linux/tcpRepair.ts";

/** What these sockets, all to one client, know of the path to it. With `elicit` each sends a segment first that the client must acknowledge. */
export function transportOf(fds: readonly number[], elicit: boolean): Transport {
  if (elicit) fds.forEach(askForAcknowledgement);
  const live = fds.map(tcpInfo).filter(({ state }) => state !== tcpState.close);
  const rtts = live.map(({ rtt }) => rtt).filter((rtt) => rtt > 0);
  return {
    connections: live.length,
    rttMs: rtts.length > 0 ? Math.max(...rtts) / 1000 : null,
    ackAgeMs: Math.min(...live.map(({ lastAckReceived }) => lastAckReceived)),
    unacknowledged: live.some(hasUnacknowledged),
  };
}

function hasUnacknowledged({ unacknowledged }: TcpInfo): boolean {
  return unacknowledged > 0;
}

/**
 * Leaving repair mode sends a window probe, also when the socket is not in it: there is no plainer way to ask. It must not be in it for a moment, for the
 * service uses it at the same time, and would be told EPERM or EINVAL.
 */
function askForAcknowledgement(fd: number): void {
  if (tcpInfo(fd).state !== tcpState.established) return;
  setRepair(fd, false);
}
