import { check, lastErrno, errnoName, libc, pointerTo, SystemCallError } from "./libc.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_ATTACH_FILTER = 26;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_TIMESTAMPNS = 35;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const ETH_P_ALL = 0x0003;
const F_SETFL = 4;
const O_NONBLOCK = 0x800;

/** One instruction of a classic BPF program: operation, jumps, constant. */
export type FilterInstruction = readonly [code: number, jumpTrue: number, jumpFalse: number, k: number];

function setOption(fd: number, level: number, option: number, value: number, what: string): void {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  check(libc.setsockopt(fd, level, option, buffer, 4), what);
}

/** Asks for a buffer of this many bytes: past the system's limit when we may, else as much as it allows. */
export function setBuffers(fd: number, bytes: { readonly receive?: number; readonly send?: number }): void {
  const value = Buffer.alloc(4);
  for (const [size, force, plain] of [
    [bytes.receive, SO_RCVBUFFORCE, SO_RCVBUF],
    [bytes.send, SO_SNDBUFFORCE, SO_SNDBUF],
  ] as const) {
    if (size === undefined) continue;
    value.writeInt32LE(size);
    if (libc.setsockopt(fd, SOL_SOCKET, force, value, 4) < 0) libc.setsockopt(fd, SOL_SOCKET, plain, value, 4);
  }
}

/** Attaches a classic BPF program that picks the packets a socket gets. */
export function attachFilter(fd: number, program: readonly FilterInstruction[]): void {
  const code = Buffer.alloc(8 * program.length);
  program.forEach(([op, jumpTrue, jumpFalse, k], i) => {
    code.writeUInt16LE(op, 8 * i);
    code[8 * i + 2] = jumpTrue;
    code[8 * i + 3] = jumpFalse;
    code.writeUInt32LE(k >>> 0, 8 * i + 4);
  });
  const reference = Buffer.alloc(16);
  reference.writeUInt16LE(program.length, 0);
  reference.writeBigUInt64LE(pointerTo(code), 8);
  check(libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, reference, 16), "setsockopt(SO_ATTACH_FILTER)");
}

export interface PacketSocketOptions {
  readonly device: number;
  /** Packets from the link-layer header on (true), or from the IP header on. */
  readonly linkLayer: boolean;
  /** A virtio_net_hdr (10 bytes) before each packet, both ways: large packets and unfinished checksums pass whole. */
  readonly offloadHeader?: boolean;
  readonly filter?: readonly FilterInstruction[];
  /** Receive nothing: for sending only. */
  readonly sendOnly?: boolean;
  readonly timestamps?: boolean;
  readonly receiveBuffer?: number;
  readonly sendBuffer?: number;
  readonly blocking?: boolean;
}

/**
 * An AF_PACKET socket on one device that sees arriving packets only, before any tc filter. The filter is in place before the first packet
 * can arrive. Needs CAP_NET_RAW.
 */
export function openPacketSocket(options: PacketSocketOptions): number {
  const fd = check(libc.socket(AF_PACKET, (options.linkLayer ? SOCK_RAW : SOCK_DGRAM) | SOCK_CLOEXEC, 0), "socket(AF_PACKET)");
  try {
    if (options.filter) attachFilter(fd, options.filter);
    if (!options.sendOnly) setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "setsockopt(PACKET_IGNORE_OUTGOING)");
    if (options.offloadHeader) setOption(fd, SOL_PACKET, PACKET_VNET_HDR, 1, "setsockopt(PACKET_VNET_HDR)");
    if (options.timestamps) setOption(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "setsockopt(SO_TIMESTAMPNS)");
    setBuffers(fd, {
      ...(options.receiveBuffer === undefined ? {} : { receive: options.receiveBuffer }),
      ...(options.sendBuffer === undefined ? {} : { send: options.sendBuffer }),
    });
    if (!options.blocking) check(libc.fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl(O_NONBLOCK)");
    const address = Buffer.alloc(20);
    address.writeUInt16LE(AF_PACKET, 0);
    address.writeUInt16BE(options.sendOnly ? 0 : ETH_P_ALL, 2);
    address.writeInt32LE(options.device, 4);
    check(libc.bind(fd, address, 20), "bind(AF_PACKET)");
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Packets the kernel had to drop for want of room since the last call. */
export function takePacketDrops(fd: number): number {
  const statistics = Buffer.alloc(8);
  const length = Buffer.alloc(4);
  length.writeInt32LE(8);
  return libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, statistics, length) < 0 ? 0 : statistics.readUInt32LE(4);
}

/** The result of a non-blocking read or write: bytes, or undefined when it would block; throws on any other failure. */
export function orWouldBlock(result: number, what: string): number | undefined {
  if (result >= 0) return result;
  const errno = lastErrno();
  const code = errnoName(errno);
  if (code === "EAGAIN" || code === "EINTR" || code === "ENOBUFS" || code === "ENETDOWN") return undefined;
  throw new SystemCallError(what, errno);
}
