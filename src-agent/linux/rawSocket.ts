import { formatAddress } from "../../src-shared/net/address.ts";
import { check, libc } from "./libc.ts";
import { sockaddrIn6 } from "./sockaddr.ts";
import { setInt, SOL_SOCKET } from "./sockopt.ts";

const AF_INET6 = 10;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
/** With this protocol the IPv6 header is ours, and nothing is ever received. */
const IPPROTO_RAW = 255;
const SO_MARK = 36;

/** Sends whole IPv6 packets, headers and checksums ours, routed by their destination. Needs CAP_NET_RAW, and CAP_NET_ADMIN for a mark. */
export class RawSender {
  #fd: number;

  /** `mark` is what routing rules see. */
  constructor(mark: number) {
    this.#fd = check(libc.socket(AF_INET6, SOCK_RAW_CLOEXEC, IPPROTO_RAW), "socket(SOCK_RAW)");
    try {
      setInt(this.#fd, SOL_SOCKET, SO_MARK, mark, "SO_MARK");
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** `packet` starts at its IPv6 header. Throws a SystemCallError (EMSGSIZE, ENETUNREACH, …) that names the destination. */
  send(packet: Uint8Array): void {
    const destination = formatAddress(packet, 24);
    const to = sockaddrIn6({ address: destination, port: 0 });
    check(libc.sendto(this.#fd, packet, packet.length, 0, to, to.length), `send packet to ${destination}`);
  }

  close(): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }
}
