import type { Address } from "../../src-shared/net/address.ts";
import { check, libc } from "./libc.ts";
import { orWouldBlock } from "./packetSocket.ts";
import { AF_INET6, sockaddrIn6 } from "./sockaddr.ts";
import { Watch } from "./watch.ts";

const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0x800 | 0x80000;
const room = 65_536;
const readsPerTurn = 64;

/**
 * What the kernel delivers of one protocol from `peer` to `local`, reassembled where it came in fragments: the bytes behind the IPv6 header. While it
 * is there the kernel does not tell that peer that nobody knows the protocol; everybody else it does. Needs CAP_NET_RAW.
 */
export class RawReceiver {
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #buffer = Buffer.alloc(room);
  #closed = false;

  constructor(protocol: number, local: Address, peer: Address, onPayload: (payload: Uint8Array) => void) {
    this.#fd = check(libc.socket(AF_INET6, SOCK_RAW_NONBLOCK_CLOEXEC, protocol), `socket(SOCK_RAW, ${protocol})`);
    try {
      const [own, other] = [sockaddrIn6({ address: local, port: 0 }), sockaddrIn6({ address: peer, port: 0 })];
      check(libc.bind(this.#fd, own, own.length), `bind ${local}`);
      check(libc.connect(this.#fd, other, other.length), `connect ${peer}`);
    } catch (error) {
      libc.close(this.#fd);
      throw error;
    }
    this.#watch = new Watch(this.#fd, { readable: true }, () => this.#read(onPayload));
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    libc.close(this.#fd);
  }

  #read(onPayload: (payload: Uint8Array) => void): void {
    for (let i = 0; i < readsPerTurn && !this.#closed; i++) {
      const length = orWouldBlock(libc.recv(this.#fd, this.#buffer, room, 0), "recv(raw)");
      if (length === undefined) return;
      onPayload(new Uint8Array(this.#buffer.subarray(0, length)));
    }
  }
}
