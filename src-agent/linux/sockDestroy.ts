import { addressBytes } from "../../src-shared/net/address.ts";
import { check, libc } from "./libc.ts";
import { AF_INET6, type Endpoint } from "./sockaddr.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DESTROY = 21;
const NLM_F_REQUEST_ACK = 5;
const IPPROTO_TCP = 6;
const headerBytes = 16;
const requestBytes = 56;
const anyCookie = 0xffff_ffff;

/**
 * Has the kernel drop one TCP socket that no program holds, such as a half-done handshake, which goes without a packet. False where it is gone already,
 * or the kernel cannot (CONFIG_INET_DIAG_DESTROY) or may not (CAP_NET_ADMIN).
 */
export function destroySocket(local: Endpoint, peer: Endpoint): boolean {
  const fd = check(libc.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG), "socket NETLINK_SOCK_DIAG");
  try {
    const message = request(local, peer);
    check(libc.send(fd, message, message.length, 0), "send SOCK_DESTROY");
    const answer = Buffer.alloc(256);
    const length = check(libc.recv(fd, answer, answer.length, 0), "receive the answer to SOCK_DESTROY");
    return length >= headerBytes + 4 && answer.readInt32LE(headerBytes) === 0;
  } finally {
    libc.close(fd);
  }
}

/** struct nlmsghdr, struct inet_diag_req_v2. */
function request(local: Endpoint, peer: Endpoint): Buffer {
  const b = Buffer.alloc(headerBytes + requestBytes);
  b.writeUInt32LE(b.length, 0);
  b.writeUInt16LE(SOCK_DESTROY, 4);
  b.writeUInt16LE(NLM_F_REQUEST_ACK, 6);
  b.writeUInt8(AF_INET6, headerBytes);
  b.writeUInt8(IPPROTO_TCP, headerBytes + 1);
  b.writeUInt32LE(0xffff_ffff, headerBytes + 4); // any state
  b.writeUInt16BE(local.port, headerBytes + 8);
  b.writeUInt16BE(peer.port, headerBytes + 10);
  b.set(addressBytes(local.address), headerBytes + 12);
  b.set(addressBytes(peer.address), headerBytes + 28);
  b.writeUInt32LE(anyCookie, headerBytes + 48);
  b.writeUInt32LE(anyCookie, headerBytes + 52);
  return b;
}
