import { formatAddress } from "../../src-shared/net/address.ts";
import { monotonicMs, monotonicOf } from "./clocks.ts";
import { check, libc, pointerTo } from "./libc.ts";
import { sockaddrIn6 } from "./sockaddr.ts";
import { setInt, SOL_SOCKET, trySetInt } from "./sockopt.ts";

const AF_INET6 = 10;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
/** With this protocol the IPv6 header is ours, and nothing is ever received. */
const IPPROTO_RAW = 255;
const SO_MARK = 36;
const SO_TIMESTAMPING = 37;
/** SOF_TIMESTAMPING_SOFTWARE | OPT_TSONLY | TX_SCHED: when a packet enters the device's queue, told at once and without the packet. */
const whenQueued = (1 << 4) | (1 << 11) | (1 << 8);
const MSG_ERRQUEUE = 0x2000;
const MSG_DONTWAIT = 0x40;
const controlRoom = 512;

/** Sends whole IPv6 packets, headers and checksums ours, routed by their destination. Needs CAP_NET_RAW, and CAP_NET_ADMIN for a mark. */
export class RawSender {
  #fd: number;
  readonly #control = Buffer.alloc(controlRoom);
  readonly #message = Buffer.alloc(56);

  /** `mark` is what routing rules see. */
  constructor(mark: number) {
    this.#fd = check(libc.socket(AF_INET6, SOCK_RAW_CLOEXEC, IPPROTO_RAW), "socket(SOCK_RAW)");
    try {
      setInt(this.#fd, SOL_SOCKET, SO_MARK, mark, "SO_MARK");
      // Without it (a kernel that does not stamp) our own reading of the clock stands.
      trySetInt(this.#fd, SOL_SOCKET, SO_TIMESTAMPING, whenQueued);
    } catch (error) {
      this.close();
      throw error;
    }
    this.#message.writeBigUInt64LE(pointerTo(this.#control), 32);
  }

  /**
   * `packet` starts at its IPv6 header. Returns when it left, by the kernel, on the monotonic clock in ms. Throws a SystemCallError (EMSGSIZE, ENETUNREACH, …)
   * that names the destination.
   */
  send(packet: Uint8Array): number {
    const destination = formatAddress(packet, 24);
    const to = sockaddrIn6({ address: destination, port: 0 });
    const before = monotonicMs();
    check(libc.sendto(this.#fd, packet, packet.length, 0, to, to.length), `send packet to ${destination}`);
    return this.#stamp() ?? before;
  }

  /** The kernel's stamp of the newest packet; undefined when it gave none. */
  #stamp(): number | undefined {
    let stamp: number | undefined;
    while (true) {
      this.#message.writeBigUInt64LE(BigInt(controlRoom), 40);
      if (libc.recvmsg(this.#fd, this.#message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return stamp;
      const length = Number(this.#message.readBigUInt64LE(40));
      for (let at = 0; at + 16 <= length; ) {
        const size = Number(this.#control.readBigUInt64LE(at));
        if (this.#control.readInt32LE(at + 8) === SOL_SOCKET && this.#control.readInt32LE(at + 12) === SO_TIMESTAMPING) stamp = monotonicOf(this.#control, at + 16);
        if (size < 16) break;
        at += (size + 7) & ~7;
      }
    }
  }

  close(): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }
}
