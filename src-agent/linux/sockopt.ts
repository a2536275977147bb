import { check, lastErrno, libc } from "./libc.ts";
import { readSockaddrIn6, type Endpoint } from "./sockaddr.ts";

export const SOL_SOCKET = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_IPV6 = 41;

const word = Buffer.alloc(4);
const length = Buffer.alloc(4);

/** An option's 32-bit value, signed. `what` names the option in errors. */
export function getInt(fd: number, level: number, option: number, what: string): number {
  length.writeUInt32LE(4);
  check(libc.getsockopt(fd, level, option, word, length), `getsockopt ${what}`);
  return word.readInt32LE();
}

export function getUint(fd: number, level: number, option: number, what: string): number {
  return getInt(fd, level, option, what) >>> 0;
}

export function setInt(fd: number, level: number, option: number, value: number, what: string): void {
  word.writeInt32LE(value | 0);
  check(libc.setsockopt(fd, level, option, word, 4), `setsockopt ${what} = ${value}`);
}

/** False where the kernel or our rights do not allow it. */
export function trySetInt(fd: number, level: number, option: number, value: number): boolean {
  word.writeInt32LE(value | 0);
  return libc.setsockopt(fd, level, option, word, 4) === 0;
}

/** An option's bytes: at most `size` of them. */
export function getBytes(fd: number, level: number, option: number, size: number, what: string): Buffer {
  const value = Buffer.alloc(size);
  length.writeUInt32LE(size);
  check(libc.getsockopt(fd, level, option, value, length), `getsockopt ${what}`);
  return value.subarray(0, length.readUInt32LE());
}

export function setBytes(fd: number, level: number, option: number, value: Buffer, what: string): void {
  check(libc.setsockopt(fd, level, option, value, value.length), `setsockopt ${what}`);
}

/** A queue length in bytes, by its ioctl. */
export function queueBytes(fd: number, request: number, what: string): number {
  check(libc.ioctl(fd, request, word), `ioctl ${what}`);
  return word.readInt32LE();
}

const SO_ERROR = 4;
const SO_LINGER = 13;

/** The error a socket keeps for us, 0 when none; reading clears it. */
export function pendingError(fd: number): number {
  return getInt(fd, SOL_SOCKET, SO_ERROR, "SO_ERROR");
}

/** Makes the last close of this socket send a reset instead of a FIN. */
export function resetOnClose(fd: number): void {
  const linger = Buffer.alloc(8);
  linger.writeInt32LE(1, 0);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, linger, 8) < 0) lastErrno();
}

export function localEndpoint(fd: number): Endpoint {
  return endpoint(fd, libc.getsockname, "getsockname");
}

export function peerEndpoint(fd: number): Endpoint {
  return endpoint(fd, libc.getpeername, "getpeername");
}

function endpoint(fd: number, call: typeof libc.getsockname, what: string): Endpoint {
  const address = Buffer.alloc(28);
  length.writeUInt32LE(28);
  check(call(fd, address, length), what);
  return readSockaddrIn6(address);
}
