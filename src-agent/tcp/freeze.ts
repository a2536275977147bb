import { libc } from "../linux/libc.ts";
import { bufferSizes } from "../linux/socketBuffer.ts";
import { getInt, IPPROTO_IPV6, IPPROTO_TCP, localEndpoint, peerEndpoint, SOL_SOCKET } from "../linux/sockopt.ts";
import {
  attachDropAll,
  congestionControl,
  detachFilter,
  outstandingBytes,
  peekQueue,
  queueSequence,
  repairQueue,
  repairWindow,
  segmentLimit,
  selectQueue,
  setRepair,
  tcpInfo,
  tcpOption,
  tcpState,
  timestampClock,
  unreadBytes,
  unsentBytes,
  upperLayer,
} from "../linux/tcpRepair.ts";
import { maximumQueue, type SocketSettings, type TcpSnapshot } from "./snapshot.ts";

/** A connection that this host cannot write down: what about it, for people. Nothing has changed for the client. */
export class NotMovable extends Error {
  readonly code = "refused";
}

/** What a connection had when it came to a stand. */
export interface Standstill extends Pick<TcpSnapshot, "receiveSequence" | "receiveQueue"> {
  /** Bytes in the send queue, and how many of them never left; a FIN counts in both. */
  readonly outstanding: number;
  readonly unsent: number;
}

/**
 * Stops a connection dead: when this returns it neither takes, acknowledges nor sends a segment. The filter comes first: repair mode alone keeps
 * acknowledging. The send queue comes last and stays selected: only while it is under repair does the pacing timer send nothing (tcp_write_xmit), and a
 * segment that left after the count would be acknowledged to an acceptor that believes it unsent, whose kernel then ignores the client for ever.
 */
export function freeze(fd: number): Standstill {
  attachDropAll(fd);
  setRepair(fd, true);
  const receive = readReceiveQueue(fd);
  selectQueue(fd, repairQueue.send);
  return { ...receive, unsent: unsentBytes(fd), outstanding: outstandingBytes(fd) };
}

/** Undoes `freeze`; a window probe tells the client that we are still here. */
export function unfreeze(fd: number): void {
  detachFilter(fd);
  setRepair(fd, false);
}

/** Closes a frozen connection without a packet. Every other descriptor of the socket must be closed already. */
export function destroy(fd: number): void {
  libc.close(fd);
}

/** What can be said of a connection without freezing it: null when it could move, else the reason. */
export function whyNotMovable(fd: number): string | null {
  const layer = upperLayer(fd);
  if (layer !== "") return layer === "tls" ? "kernel TLS keys cannot leave this kernel" : `the upper layer protocol "${layer}" cannot be moved`;
  return null;
}

/**
 * Writes a frozen connection down; null when it has ended meanwhile and there is nothing to move. Throws NotMovable, or SystemCallError.
 * A received FIN is part of RCV.NXT, a sent one of SND.NXT, but neither is in a queue: the sequence numbers kept are those of the bytes.
 */
export function dump(fd: number, known: { readonly peerEnded: boolean }, stood: Standstill): TcpSnapshot | null {
  const info = tcpInfo(fd);
  if (info.state === tcpState.close) return null;
  const ended = isOneOf(info.state, [tcpState.finWait1, tcpState.finWait2, tcpState.closing, tcpState.lastAck]);
  if (!ended && !isOneOf(info.state, [tcpState.established, tcpState.closeWait])) throw new NotMovable(`TCP state ${info.state} cannot be moved`);
  if (info.options & tcpOption.microseconds) throw new NotMovable("microsecond timestamps cannot be moved");
  const reason = whyNotMovable(fd);
  if (reason) throw new NotMovable(reason);
  const finAcknowledged = info.state === tcpState.finWait2;
  const send = readSendQueue(fd, stood, ended, finAcknowledged);
  return {
    local: localEndpoint(fd),
    peer: peerEndpoint(fd),
    segmentLimit: segmentLimit(fd),
    scales: info.options & tcpOption.windowScale ? { send: info.sendScale, receive: info.receiveScale } : null,
    sackPermitted: (info.options & tcpOption.sack) !== 0,
    // The lowest bit of the clock marks microseconds on newer kernels and is ordinary on older ones: even is right on both.
    timestamp: info.options & tcpOption.timestamps ? (timestampClock(fd) & ~1) >>> 0 : null,
    window: repairWindow(fd),
    ...send,
    receiveSequence: stood.receiveSequence,
    receiveQueue: stood.receiveQueue,
    ended,
    peerEnded: known.peerEnded || isOneOf(info.state, [tcpState.closeWait, tcpState.lastAck, tcpState.closing]),
    rtt: info.rtt,
    congestionWindow: info.congestionWindow,
    congestionControl: congestionControl(fd),
    sendBuffer: bufferSizes(fd).send,
    settings: readSettings(fd),
  };
}

function readSendQueue(fd: number, { outstanding, unsent }: Standstill, ended: boolean, finAcknowledged: boolean): Pick<TcpSnapshot, "sendSequence" | "sentBytes" | "sendQueue"> {
  const fin = ended ? 1 : 0;
  const length = outstanding - (finAcknowledged ? 0 : fin);
  // The FIN counts as unsent until everything before it has gone out.
  const sentBytes = unsent > 0 ? length - (unsent - fin) : length;
  const sendSequence = (queueSequence(fd) - fin - length) >>> 0;
  return { sendSequence, sentBytes, sendQueue: bounded(fd, length, "send queue") };
}

function readReceiveQueue(fd: number): Pick<TcpSnapshot, "receiveSequence" | "receiveQueue"> {
  selectQueue(fd, repairQueue.receive);
  const length = unreadBytes(fd);
  return { receiveSequence: (queueSequence(fd) - length) >>> 0, receiveQueue: bounded(fd, length, "receive queue") };
}

function bounded(fd: number, length: number, what: string): Buffer {
  if (length > maximumQueue) throw new NotMovable(`${length} bytes in the ${what}, at most ${maximumQueue} move`);
  return peekQueue(fd, length, what);
}

/** Socket options that move, by level and number, in the order of SocketSettings. */
export const settingOptions: readonly (readonly [name: keyof SocketSettings, level: number, option: number])[] = [
  ["noDelay", IPPROTO_TCP, 1],
  ["keepAlive", SOL_SOCKET, 9],
  ["keepIdle", IPPROTO_TCP, 4],
  ["keepInterval", IPPROTO_TCP, 5],
  ["keepCount", IPPROTO_TCP, 6],
  ["userTimeout", IPPROTO_TCP, 18],
  ["trafficClass", IPPROTO_IPV6, 67],
];

function readSettings(fd: number): SocketSettings {
  return Object.fromEntries(settingOptions.map(([name, level, option]) => [name, getInt(fd, level, option, name)])) as unknown as SocketSettings;
}

function isOneOf(state: number, states: readonly number[]): boolean {
  return states.includes(state);
}
