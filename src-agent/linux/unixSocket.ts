import { constants } from "node:os";
import { check, lastErrno, libc, pointerTo, SystemCallError } from "./libc.ts";
import { AF_UNIX, sockaddrUnix } from "./sockaddr.ts";
import { getBytes, SOL_SOCKET } from "./sockopt.ts";

const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SO_PEERCRED = 17;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_TRUNC = 0x20;
const MSG_CTRUNC = 0x8;

/** Descriptors that one datagram may carry. */
export const maximumDescriptors = 4;
const cmsgHeader = 16;

/** Who is at the other end, as the kernel recorded it when they connected. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** A listening SOCK_SEQPACKET socket at `path`, non-blocking. The path must be free. */
export function listenUnix(path: string, backlog = 16): number {
  const fd = newSocket();
  try {
    const address = sockaddrUnix(path);
    check(libc.bind(fd, address, address.length), `bind ${path}`);
    check(libc.listen(fd, backlog), `listen ${path}`);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** The next waiting connection, or null. */
export function acceptUnix(fd: number): number | null {
  const accepted = libc.accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return accepted >= 0 ? accepted : nullWhenAgain("accept");
}

export function connectUnix(path: string): number {
  const fd = newSocket();
  try {
    const address = sockaddrUnix(path);
    check(libc.connect(fd, address, address.length), `connect ${path}`);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Two connected SOCK_SEQPACKET sockets, non-blocking. */
export function unixPair(): [number, number] {
  const fds = Buffer.alloc(8);
  check(libc.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), "socketpair");
  return [fds.readInt32LE(0), fds.readInt32LE(4)];
}

export function peerCredentials(fd: number): PeerCredentials {
  const ucred = getBytes(fd, SOL_SOCKET, SO_PEERCRED, 12, "SO_PEERCRED");
  return { pid: ucred.readInt32LE(0), uid: ucred.readUInt32LE(4), gid: ucred.readUInt32LE(8) };
}

/** Sends one datagram with descriptors. False when the socket is full for now; throws on any other failure. */
export function sendPacket(fd: number, packet: Buffer, descriptors: readonly number[] = []): boolean {
  if (descriptors.length > maximumDescriptors) throw new RangeError(`${descriptors.length} descriptors in one datagram, at most ${maximumDescriptors}`);
  const control = descriptors.length > 0 ? rights(descriptors) : null;
  const { header, iovec } = messageHeader(packet, control);
  const sent = libc.sendmsg(fd, header, MSG_NOSIGNAL);
  keep(iovec, packet, control);
  if (sent >= 0) return true;
  nullWhenAgain("sendmsg");
  return false;
}

/**
 * Receives one datagram into `buffer` with its descriptors (close-on-exec, the caller's to close). Null when none waits; `length` 0 is the end.
 * A datagram longer than the buffer, or with more descriptors than allowed, throws and leaks nothing.
 */
export function receivePacket(fd: number, buffer: Buffer): { length: number; descriptors: number[] } | null {
  const control = Buffer.alloc(align(cmsgHeader + 4 * maximumDescriptors));
  const { header, iovec } = messageHeader(buffer, control);
  const length = libc.recvmsg(fd, header, MSG_CMSG_CLOEXEC);
  keep(iovec, buffer, control);
  if (length < 0) return nullWhenAgain("recvmsg");
  const descriptors = readRights(control, Number(header.readBigUInt64LE(40)));
  const flags = header.readInt32LE(48);
  if (flags & (MSG_TRUNC | MSG_CTRUNC)) {
    for (const d of descriptors) libc.close(d);
    throw new RangeError(flags & MSG_TRUNC ? `a datagram of more than ${buffer.length} bytes` : `a datagram with more than ${maximumDescriptors} descriptors`);
  }
  return { length, descriptors };
}

function newSocket(): number {
  return check(libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket AF_UNIX SOCK_SEQPACKET");
}

function nullWhenAgain(what: string): null {
  const errno = lastErrno();
  if (errno === constants.errno.EAGAIN || errno === constants.errno.EINTR) return null;
  throw new SystemCallError(what, errno);
}

/** struct msghdr and its one struct iovec; 64-bit layout. */
function messageHeader(data: Buffer, control: Buffer | null): { header: Buffer; iovec: Buffer } {
  const iovec = Buffer.alloc(16);
  iovec.writeBigUInt64LE(pointerTo(data), 0);
  iovec.writeBigUInt64LE(BigInt(data.length), 8);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(pointerTo(iovec), 16);
  header.writeBigUInt64LE(1n, 24);
  if (control) {
    header.writeBigUInt64LE(pointerTo(control), 32);
    header.writeBigUInt64LE(BigInt(control.length), 40);
  }
  return { header, iovec };
}

/** struct cmsghdr with SCM_RIGHTS: | length 64 | level 32 | type 32 | descriptors 32… |. */
function rights(descriptors: readonly number[]): Buffer {
  const length = cmsgHeader + 4 * descriptors.length;
  const control = Buffer.alloc(align(length));
  control.writeBigUInt64LE(BigInt(length), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  descriptors.forEach((d, i) => control.writeInt32LE(d, cmsgHeader + 4 * i));
  return control;
}

function readRights(control: Buffer, controlLength: number): number[] {
  const found: number[] = [];
  for (let at = 0; at + cmsgHeader <= controlLength; ) {
    const length = Number(control.readBigUInt64LE(at));
    if (length < cmsgHeader) break;
    if (control.readInt32LE(at + 8) === SOL_SOCKET && control.readInt32LE(at + 12) === SCM_RIGHTS) {
      for (let d = at + cmsgHeader; d + 4 <= at + length; d += 4) found.push(control.readInt32LE(d));
    }
    at += align(length);
  }
  return found;
}

function align(length: number): number {
  return (length + 7) & ~7;
}

/** The kernel read these through raw pointers: a use after the call keeps them from being collected before it. */
function keep(...buffers: (Buffer | null)[]): void {
  if (buffers.length < 0) throw new Error("unreachable");
}
