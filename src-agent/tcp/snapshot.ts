import { DecodeError } from "../../src-shared/bytes/decodeError.ts";
import { Reader } from "../../src-shared/bytes/reader.ts";
import { addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import type { Endpoint } from "../linux/sockaddr.ts";
import type { RepairWindow } from "../linux/tcpRepair.ts";

/** Socket options that go along, in the order of the wire. Seconds where they are times, except `userTimeout` (ms). */
export interface SocketSettings {
  readonly noDelay: number;
  readonly keepAlive: number;
  readonly keepIdle: number;
  readonly keepInterval: number;
  readonly keepCount: number;
  readonly userTimeout: number;
  readonly trafficClass: number;
}

/** Everything that lets another host's TCP go on where this one stopped, so that the client's TCP notices nothing. */
export interface TcpSnapshot {
  readonly local: Endpoint;
  readonly peer: Endpoint;
  /** Largest segment the peer takes, in bytes. */
  readonly segmentLimit: number;
  /** Null when window scaling was not negotiated. */
  readonly scales: { readonly send: number; readonly receive: number } | null;
  readonly sackPermitted: boolean;
  /** The timestamp clock at the freeze, or null when timestamps were not negotiated. */
  readonly timestamp: number | null;
  readonly window: RepairWindow;
  /** Sequence number of the first byte in `sendQueue` (SND.UNA), and how many of its bytes have been sent once. */
  readonly sendSequence: number;
  readonly sentBytes: number;
  readonly sendQueue: Uint8Array;
  /** Our FIN stands at the end of the send queue, sent or not: the service has ended its side. */
  readonly ended: boolean;
  /** Sequence number of the first unread byte; RCV.NXT less what is unread. */
  readonly receiveSequence: number;
  readonly receiveQueue: Uint8Array;
  /** The client has ended its side, and its FIN is acknowledged. */
  readonly peerEnded: boolean;
  /** Hints: smoothed round-trip time in µs, congestion window in segments, algorithm by name. */
  readonly rtt: number;
  readonly congestionWindow: number;
  readonly congestionControl: string;
  /** SO_SNDBUF in bytes, as the kernel reports it. */
  readonly sendBuffer: number;
  readonly settings: SocketSettings;
}

export const snapshotVersion = 1;
/** The longest queue that moves, in bytes; a socket that holds more is refused. */
export const maximumQueue = 16 * 1024 * 1024;
const maximumBuffer = 256 * 1024 * 1024;
const headBytes = 1 + 1 + 18 + 18 + 2 + 2 + 4 + 20 + 12 + 4 + 4 + 16 + 4 + 28 + 8;
const flag = { scales: 1, sack: 2, timestamps: 4, ended: 8, peerEnded: 16 } as const;
const knownFlags = 31;

/**
 * | version 8 | flags 8 | local address 128 | port 16 | peer address 128 | port 16 | segment limit 16 | send scale 8 | receive scale 8 | timestamp 32 |
 * window 5 × 32 | send sequence 32 | sent bytes 32 | receive sequence 32 | rtt 32 | congestion window 32 | congestion control 128 | send buffer 32 |
 * settings 7 × 32 | send queue length 32 | receive queue length 32 | send queue | receive queue |
 */
export function encodeSnapshot(s: TcpSnapshot): Uint8Array {
  const out = Buffer.alloc(headBytes + s.sendQueue.length + s.receiveQueue.length);
  let at = 0;
  const u8 = (v: number) => void (at = out.writeUInt8(v, at));
  const u16 = (v: number) => void (at = out.writeUInt16BE(v, at));
  const u32 = (v: number) => void (at = out.writeUInt32BE(v >>> 0, at));
  const put = (bytes: Uint8Array) => {
    out.set(bytes, at);
    at += bytes.length;
  };
  u8(snapshotVersion);
  u8((s.scales ? flag.scales : 0) | (s.sackPermitted ? flag.sack : 0) | (s.timestamp === null ? 0 : flag.timestamps) | (s.ended ? flag.ended : 0) | (s.peerEnded ? flag.peerEnded : 0));
  for (const end of [s.local, s.peer]) {
    put(addressBytes(end.address));
    u16(end.port);
  }
  u16(s.segmentLimit);
  u8(s.scales?.send ?? 0);
  u8(s.scales?.receive ?? 0);
  u32(s.timestamp ?? 0);
  const w = s.window;
  for (const value of [w.lastWindowUpdate, w.sendWindow, w.maximumWindow, w.receiveWindow, w.receiveWindowUpdate]) u32(value);
  for (const value of [s.sendSequence, s.sentBytes, s.receiveSequence, s.rtt, s.congestionWindow]) u32(value);
  put(Buffer.from(s.congestionControl.padEnd(16, "\0"), "latin1").subarray(0, 16));
  u32(s.sendBuffer);
  const o = s.settings;
  for (const value of [o.noDelay, o.keepAlive, o.keepIdle, o.keepInterval, o.keepCount, o.userTimeout, o.trafficClass]) u32(value);
  u32(s.sendQueue.length);
  u32(s.receiveQueue.length);
  put(s.sendQueue);
  put(s.receiveQueue);
  return out;
}

/**
 * Reads a peer's snapshot: version, flags, lengths and ranges are checked here, whose connection it claims to be is the caller's to check. Throws
 * DecodeError `truncated`, `version`, `range` or `trailing`.
 */
export function decodeSnapshot(bytes: Uint8Array): TcpSnapshot {
  const r = new Reader(bytes);
  const version = r.u8("snapshot version");
  if (version !== snapshotVersion) throw new DecodeError("version", "snapshot version", `${version}, this agent reads ${snapshotVersion}`);
  const flags = inRange(r.u8("flags"), 0, knownFlags, "flags");
  const local = readEndpoint(r, "local");
  const peer = readEndpoint(r, "peer");
  const segmentLimit = inRange(r.u16("segment limit"), 64, 65535, "segment limit");
  const scales = { send: inRange(r.u8("send scale"), 0, 14, "send scale"), receive: inRange(r.u8("receive scale"), 0, 14, "receive scale") };
  const timestamp = r.u32("timestamp");
  const window = {
    lastWindowUpdate: r.u32("last window update"),
    sendWindow: r.u32("send window"),
    maximumWindow: r.u32("maximum window"),
    receiveWindow: r.u32("receive window"),
    receiveWindowUpdate: r.u32("receive window update"),
  };
  const sendSequence = r.u32("send sequence");
  const sentBytes = r.u32("sent bytes");
  const receiveSequence = r.u32("receive sequence");
  const rtt = r.u32("rtt");
  const congestionWindow = r.u32("congestion window");
  const congestionControl = readName(r.take(16, "congestion control"));
  const sendBuffer = inRange(r.u32("send buffer"), 0, maximumBuffer, "send buffer");
  const settings = readSettings(r);
  const sendLength = inRange(r.u32("send queue length"), 0, maximumQueue, "send queue length");
  const receiveLength = inRange(r.u32("receive queue length"), 0, maximumQueue, "receive queue length");
  inRange(sentBytes, 0, sendLength, "sent bytes");
  const sendQueue = r.take(sendLength, "send queue");
  const receiveQueue = r.take(receiveLength, "receive queue");
  if (r.remaining > 0) throw new DecodeError("trailing", "snapshot", `${r.remaining} bytes after its end`);
  return {
    local, peer, segmentLimit, window, sendSequence, sentBytes, sendQueue, receiveSequence, receiveQueue, rtt, congestionWindow, congestionControl, sendBuffer, settings,
    scales: flags & flag.scales ? scales : null,
    sackPermitted: (flags & flag.sack) !== 0,
    timestamp: flags & flag.timestamps ? timestamp : null,
    ended: (flags & flag.ended) !== 0,
    peerEnded: (flags & flag.peerEnded) !== 0,
  };
}

function readEndpoint(r: Reader, which: string): Endpoint {
  const address = formatAddress(r.take(16, `${which} address`));
  return { address, port: inRange(r.u16(`${which} port`), 1, 65535, `${which} port`) };
}

function readSettings(r: Reader): SocketSettings {
  return {
    noDelay: inRange(r.u32("no delay"), 0, 1, "no delay"),
    keepAlive: inRange(r.u32("keep alive"), 0, 1, "keep alive"),
    keepIdle: inRange(r.u32("keep idle"), 0, 32767, "keep idle"),
    keepInterval: inRange(r.u32("keep interval"), 0, 32767, "keep interval"),
    keepCount: inRange(r.u32("keep count"), 0, 127, "keep count"),
    userTimeout: inRange(r.u32("user timeout"), 0, 0x7fffffff, "user timeout"),
    trafficClass: inRange(r.u32("traffic class"), 0, 255, "traffic class"),
  };
}

function readName(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("latin1").replace(/\0+$/, "");
  if (!/^[a-z0-9_-]{0,15}$/.test(text)) throw new DecodeError("range", "congestion control", "not an algorithm's name");
  return text;
}

function inRange(value: number, low: number, high: number, field: string): number {
  if (value < low || value > high) throw new DecodeError("range", field, `${value}, expected ${low} to ${high}`);
  return value;
}
