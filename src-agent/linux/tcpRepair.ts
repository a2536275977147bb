import { check, libc, pointerTo } from "./libc.ts";
import { getBytes, getUint, IPPROTO_TCP, queueBytes, setBytes, setInt, SOL_SOCKET, trySetInt } from "./sockopt.ts";

const TCP_MAXSEG = 2;
const TCP_INFO = 11;
const TCP_CONGESTION = 13;
const TCP_REPAIR = 19;
const TCP_REPAIR_QUEUE = 20;
const TCP_QUEUE_SEQ = 21;
const TCP_REPAIR_OPTIONS = 22;
const TCP_TIMESTAMP = 24;
const TCP_NOTSENT_LOWAT = 25;
const TCP_REPAIR_WINDOW = 29;
const TCP_ULP = 31;
const SO_ATTACH_FILTER = 26;
const SO_DETACH_FILTER = 27;
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;
const SIOCOUTQ = 0x5411;
const SIOCOUTQNSD = 0x894b;
const SIOCINQ = 0x541b;

/** TCP states as TCP_INFO numbers them. */
export const tcpState = { established: 1, synSent: 2, synReceived: 3, finWait1: 4, finWait2: 5, timeWait: 6, close: 7, closeWait: 8, lastAck: 9, listen: 10, closing: 11 } as const;

/** TCPI_OPT_*: what was negotiated. */
export const tcpOption = { timestamps: 1, sack: 2, windowScale: 4, microseconds: 64 } as const;

export const repairQueue = { none: 0, receive: 1, send: 2 } as const;

/** Option kinds in TCP_REPAIR_OPTIONS. */
export const optionKind = { maximumSegment: 2, windowScale: 3, sackPermitted: 4, timestamp: 8 } as const;

/** The parts of struct tcp_info that we use. Times in µs, windows in segments. */
export interface TcpInfo {
  readonly state: number;
  readonly options: number;
  readonly sendScale: number;
  readonly receiveScale: number;
  readonly rtt: number;
  readonly congestionWindow: number;
  /** Segments sent and not acknowledged. */
  readonly unacknowledged: number;
  /** ms since the last acknowledgement, in steps of the kernel's clock. */
  readonly lastAckReceived: number;
}

export function tcpInfo(fd: number): TcpInfo {
  const info = getBytes(fd, IPPROTO_TCP, TCP_INFO, 104, "TCP_INFO");
  const scales = info.readUInt8(6);
  return { state: info.readUInt8(0), options: info.readUInt8(5), sendScale: scales & 15, receiveScale: scales >> 4, rtt: info.readUInt32LE(68), congestionWindow: info.readUInt32LE(80), unacknowledged: info.readUInt32LE(24), lastAckReceived: info.readUInt32LE(56) };
}

/** Repair mode. Leaving it with `live` sends a window probe; it wants CAP_NET_ADMIN over the network namespace. */
export function setRepair(fd: number, on: boolean): void {
  setInt(fd, IPPROTO_TCP, TCP_REPAIR, on ? 1 : 0, "TCP_REPAIR");
}

export function selectQueue(fd: number, queue: number): void {
  setInt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, queue, "TCP_REPAIR_QUEUE");
}

/** The selected queue's end (write_seq, rcv_nxt). */
export function queueSequence(fd: number): number {
  return getUint(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, "TCP_QUEUE_SEQ");
}

export function setQueueSequence(fd: number, sequence: number): void {
  setInt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, sequence, "TCP_QUEUE_SEQ");
}

/** Copies `size` bytes of the selected queue and leaves them there. */
export function peekQueue(fd: number, size: number, what: string): Buffer {
  const data = Buffer.alloc(size);
  if (size === 0) return data;
  const got = check(libc.recv(fd, data, size, MSG_PEEK | MSG_DONTWAIT), `peek ${what}`);
  if (got !== size) throw new Error(`peek ${what}: ${got} of ${size} bytes`);
  return data;
}

export function outstandingBytes(fd: number): number {
  return queueBytes(fd, SIOCOUTQ, "SIOCOUTQ");
}

export function unsentBytes(fd: number): number {
  return queueBytes(fd, SIOCOUTQNSD, "SIOCOUTQNSD");
}

export function unreadBytes(fd: number): number {
  return queueBytes(fd, SIOCINQ, "SIOCINQ");
}

/** In repair mode the segment size limit that the peer announced. */
export function segmentLimit(fd: number): number {
  return getUint(fd, IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG");
}

/** Negotiated options for a socket in repair mode: pairs of kind and value. */
export function setRepairOptions(fd: number, pairs: readonly (readonly [kind: number, value: number])[]): void {
  const bytes = Buffer.alloc(8 * pairs.length);
  pairs.forEach(([kind, value], i) => {
    bytes.writeUInt32LE(kind, 8 * i);
    bytes.writeUInt32LE(value >>> 0, 8 * i + 4);
  });
  setBytes(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, bytes, "TCP_REPAIR_OPTIONS");
}

export function timestampClock(fd: number): number {
  return getUint(fd, IPPROTO_TCP, TCP_TIMESTAMP, "TCP_TIMESTAMP");
}

export function setTimestampClock(fd: number, value: number): void {
  setInt(fd, IPPROTO_TCP, TCP_TIMESTAMP, value, "TCP_TIMESTAMP");
}

/** struct tcp_repair_window. */
export interface RepairWindow {
  readonly lastWindowUpdate: number;
  readonly sendWindow: number;
  readonly maximumWindow: number;
  readonly receiveWindow: number;
  readonly receiveWindowUpdate: number;
}

export function repairWindow(fd: number): RepairWindow {
  const b = getBytes(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, 20, "TCP_REPAIR_WINDOW");
  const word = (i: number) => b.readUInt32LE(4 * i);
  return { lastWindowUpdate: word(0), sendWindow: word(1), maximumWindow: word(2), receiveWindow: word(3), receiveWindowUpdate: word(4) };
}

export function setRepairWindow(fd: number, w: RepairWindow): void {
  const b = Buffer.alloc(20);
  [w.lastWindowUpdate, w.sendWindow, w.maximumWindow, w.receiveWindow, w.receiveWindowUpdate].forEach((value, i) => b.writeUInt32LE(value, 4 * i));
  setBytes(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, b, "TCP_REPAIR_WINDOW");
}

export function congestionControl(fd: number): string {
  return cString(getBytes(fd, IPPROTO_TCP, TCP_CONGESTION, 16, "TCP_CONGESTION"));
}

/** False when this kernel lacks the algorithm or does not let us choose it. */
export function setCongestionControl(fd: number, name: string): boolean {
  const value = Buffer.from(`${name}\0`);
  return libc.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, value, value.length) === 0;
}

/** The upper layer protocol attached to the socket ("tls", "mptcp"), or empty. */
export function upperLayer(fd: number): string {
  const value = getBytes(fd, IPPROTO_TCP, TCP_ULP, 16, "TCP_ULP");
  return value.length === 0 ? "" : cString(value);
}

/** How much may wait unsent before the socket counts as full; `null` lifts the limit. */
export function limitUnsent(fd: number, bytes: number | null): void {
  setInt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes ?? -1, "TCP_NOTSENT_LOWAT");
}

// BPF_RET | BPF_K, 0: every packet for the socket is dropped before TCP sees it.
const dropAll = Buffer.from([6, 0, 0, 0, 0, 0, 0, 0]);

export function attachDropAll(fd: number): void {
  attachFilter(fd, dropAll);
}

/** Attaches a classic BPF program (struct sock_filter, 8 bytes each). */
export function attachFilter(fd: number, program: Buffer): void {
  const fprog = Buffer.alloc(16);
  fprog.writeUInt16LE(program.length / 8, 0);
  fprog.writeBigUInt64LE(pointerTo(program), 8);
  setBytes(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, "SO_ATTACH_FILTER");
}

/** True when there was one. */
export function detachFilter(fd: number): boolean {
  return trySetInt(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
}
