import { constants } from "node:os";
import { check, lastErrno, libc, SystemCallError } from "../linux/libc.ts";
import { AF_INET6, sockaddrIn6 } from "../linux/sockaddr.ts";
import { fixReceiveBuffer, makeRoom, tuneSendBuffer } from "../linux/socketBuffer.ts";
import { getInt, IPPROTO_IPV6, setInt, SOL_SOCKET, trySetInt } from "../linux/sockopt.ts";
import {
  attachDropAll,
  detachFilter,
  limitUnsent,
  optionKind,
  repairQueue,
  selectQueue,
  setCongestionControl,
  setQueueSequence,
  setRepair,
  setRepairOptions,
  setRepairWindow,
  setTimestampClock,
} from "../linux/tcpRepair.ts";
import { settingOptions } from "./freeze.ts";
import type { TcpSnapshot } from "./snapshot.ts";

const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SO_REUSEADDR = 2;
const IPV6_FREEBIND = 78;
const SHUT_WR = 1;
const minimumBuffer = 64 * 1024;
/** What a served socket may keep unsent: a small queue freezes, travels and restores fast. In bytes. */
export const unsentLimit = 128 * 1024;
/** What a client may send ahead of its service: bounds what a slow service makes a move carry. In bytes; 160 Mbit/s over 100 ms still fit. */
export const receiveLimit = 2 * 1024 * 1024;

/**
 * Builds the connection up to its send queue, in repair mode and behind a filter that drops everything: it holds its place, sends nothing and arms
 * no timer, for as long as signalling takes. Throws SystemCallError naming the call; nothing is left then.
 */
export function prepare(s: TcpSnapshot): number {
  const fd = check(libc.socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  try {
    setRepair(fd, true);
    attachDropAll(fd);
    setInt(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND");
    makeRoom(fd, { send: Math.max(s.sendBuffer >> 1, s.sendQueue.length, minimumBuffer), receive: Math.max(receiveLimit, s.receiveQueue.length) });
    const local = sockaddrIn6(s.local);
    check(libc.bind(fd, local, local.length), `bind [${s.local.address}]:${s.local.port}`);
    selectQueue(fd, repairQueue.send);
    setQueueSequence(fd, s.sendSequence);
    selectQueue(fd, repairQueue.receive);
    setQueueSequence(fd, s.receiveSequence);
    const peer = sockaddrIn6(s.peer);
    check(libc.connect(fd, peer, peer.length), `connect [${s.peer.address}]:${s.peer.port} in repair mode`);
    restoreOptions(fd, s);
    fillReceiveQueue(fd, s.receiveQueue);
    // The room was for filling only: kept, it would let the queue grow with every move.
    fixReceiveBuffer(fd, receiveLimit);
    setRepairWindow(fd, s.window);
    restoreSettings(fd, s);
    return fd;
  } catch (error) {
    abort(fd);
    throw error;
  }
}

/**
 * Makes a prepared connection live (`onLive` is called right before its first packet leaves): the send queue as it was, repair mode off (a window probe leaves), then what had never been sent. Returns the tail
 * that the kernel did not take, normally empty; the service must send it first. Throws SystemCallError; the caller then resets the connection.
 */
export function activate(fd: number, s: TcpSnapshot, onLive: () => void = () => {}): Uint8Array {
  limitUnsent(fd, null);
  selectQueue(fd, repairQueue.send);
  const sent = s.sendQueue.subarray(0, s.sentBytes);
  // What does not fit (no right to force the buffer's size) is sent once more as new data: same bytes, same sequence numbers.
  const queued = sendAll(fd, sent);
  selectQueue(fd, repairQueue.none);
  detachFilter(fd);
  onLive();
  setRepair(fd, false);
  trySetInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  const rest = s.sendQueue.subarray(queued);
  const tail = rest.subarray(sendAll(fd, rest));
  if (s.ended) {
    if (tail.length > 0) throw new Error(`${tail.length} last bytes do not fit the send buffer`);
    check(libc.shutdown(fd, SHUT_WR), "shutdown");
  }
  limitUnsent(fd, unsentLimit);
  return tail;
}

/** Removes a prepared connection without a packet. */
export function abort(fd: number): void {
  libc.close(fd);
}

function restoreOptions(fd: number, s: TcpSnapshot): void {
  const pairs: [number, number][] = [];
  if (s.sackPermitted) pairs.push([optionKind.sackPermitted, 0]);
  if (s.scales) pairs.push([optionKind.windowScale, s.scales.send | (s.scales.receive << 16)]);
  if (s.timestamp !== null) pairs.push([optionKind.timestamp, 0]);
  pairs.push([optionKind.maximumSegment, s.segmentLimit]);
  setRepairOptions(fd, pairs);
  if (s.timestamp !== null) setTimestampClock(fd, s.timestamp);
}

/** One call makes one buffer in the kernel, which may be refused where several smaller ones fit. */
function fillReceiveQueue(fd: number, bytes: Uint8Array): void {
  const smallest = 1024;
  let chunk = 256 * 1024;
  selectQueue(fd, repairQueue.receive);
  for (let at = 0; at < bytes.length; ) {
    const part = bytes.subarray(at, at + chunk);
    const taken = libc.send(fd, part, part.length, 0);
    if (taken >= 0) at += taken;
    else if (chunk > smallest) chunk >>= 1;
    else throw new SystemCallError(`fill the receive queue at ${at} of ${bytes.length}`, lastErrno());
  }
}

function restoreSettings(fd: number, s: TcpSnapshot): void {
  setCongestionControl(fd, s.congestionControl);
  for (const [name, level, option] of settingOptions) {
    if (getInt(fd, level, option, name) !== s.settings[name]) trySetInt(fd, level, option, s.settings[name]);
  }
  tuneSendBuffer(fd);
  selectQueue(fd, repairQueue.none);
}

/** How many bytes the kernel took. */
function sendAll(fd: number, bytes: Uint8Array): number {
  const MSG_NOSIGNAL = 0x4000;
  let at = 0;
  while (at < bytes.length) {
    const part = bytes.subarray(at, at + (1 << 20));
    const taken = libc.send(fd, part, part.length, MSG_NOSIGNAL);
    if (taken < 0) {
      const errno = lastErrno();
      if (errno === constants.errno.EAGAIN) break;
      throw new SystemCallError("fill the send queue", errno);
    }
    at += taken;
  }
  return at;
}
