import { addressBytes, formatAddress, type Address } from "../../src-shared/net/address.ts";
import { check, lastErrno, libc } from "./libc.ts";
import { AF_INET6, type Endpoint } from "./sockaddr.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const SOCK_DESTROY = 21;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_DUMP = 0x300;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const IPPROTO_TCP = 6;
/** TCPF_SYN_RECV and TCPF_NEW_SYN_RECV. */
const halfOpenStates = (1 << 3) | (1 << 12);
const everyState = 0xffff_ffff;
const anyCookie = 0xffff_ffff;
const headerBytes = 16;
const requestBytes = 56;
/** struct inet_diag_msg. */
const messageBytes = 72;
const nowhere: Endpoint = { address: "::" as Address, port: 0 };

/** Both ends of a TCP socket that the kernel knows. */
export interface SocketEnds {
  readonly local: Endpoint;
  readonly peer: Endpoint;
}

/**
 * The IPv6 handshakes that are half done in this network namespace: SYN answered, ACK not here. Takes a scan of the kernel's table, about half a
 * millisecond for the largest. None where the kernel cannot tell (CONFIG_INET_DIAG).
 */
export function halfOpenSockets(): readonly SocketEnds[] {
  return ask(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, halfOpenStates, { local: nowhere, peer: nowhere }).found;
}

/**
 * Has the kernel drop one TCP socket that no program holds, such as a half-done handshake, which goes without a packet. False where it is gone already,
 * or the kernel cannot (CONFIG_INET_DIAG_DESTROY) or may not (CAP_NET_ADMIN).
 */
export function destroySocket(ends: SocketEnds): boolean {
  return ask(SOCK_DESTROY, NLM_F_ACK, everyState, ends).error === 0;
}

function ask(type: number, flags: number, states: number, ends: SocketEnds): { readonly found: readonly SocketEnds[]; readonly error: number } {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return { found: [], error: -lastErrno() };
  const reply = Buffer.alloc(32 * 1024);
  const found: SocketEnds[] = [];
  try {
    const message = request(type, flags, states, ends);
    check(libc.send(fd, message, message.length, 0), "send to NETLINK_SOCK_DIAG");
    for (;;) {
      const length = check(libc.recv(fd, reply, reply.length, 0), "receive from NETLINK_SOCK_DIAG");
      for (let at = 0; at + headerBytes <= length; at += (reply.readUInt32LE(at) + 3) & ~3) {
        const [size, kind] = [reply.readUInt32LE(at), reply.readUInt16LE(at + 4)];
        if (size < headerBytes || kind === NLMSG_DONE) return { found, error: 0 };
        if (kind === NLMSG_ERROR) return { found, error: reply.readInt32LE(at + headerBytes) };
        if (size >= headerBytes + messageBytes) found.push(readEnds(reply, at + headerBytes));
      }
    }
  } finally {
    libc.close(fd);
  }
}

/** struct inet_diag_msg: | family 8 | state 8 | timer 8 | retransmits 8 | ports 2 × 16 | local 128 | peer 128 | …. */
function readEnds(b: Buffer, at: number): SocketEnds {
  return { local: { address: formatAddress(b, at + 8), port: b.readUInt16BE(at + 4) }, peer: { address: formatAddress(b, at + 24), port: b.readUInt16BE(at + 6) } };
}

/** struct nlmsghdr, struct inet_diag_req_v2. */
function request(type: number, flags: number, states: number, { local, peer }: SocketEnds): Buffer {
  const b = Buffer.alloc(headerBytes + requestBytes);
  b.writeUInt32LE(b.length, 0);
  b.writeUInt16LE(type, 4);
  b.writeUInt16LE(flags | NLM_F_REQUEST, 6);
  b.writeUInt8(AF_INET6, headerBytes);
  b.writeUInt8(IPPROTO_TCP, headerBytes + 1);
  b.writeUInt32LE(states, headerBytes + 4);
  b.writeUInt16BE(local.port, headerBytes + 8);
  b.writeUInt16BE(peer.port, headerBytes + 10);
  b.set(addressBytes(local.address), headerBytes + 12);
  b.set(addressBytes(peer.address), headerBytes + 28);
  b.writeUInt32LE(anyCookie, headerBytes + 48);
  b.writeUInt32LE(anyCookie, headerBytes + 52);
  return b;
}
