import koffi, { type node } from "koffi";
import { libc } from "./libc.ts";
import { openNetlinkSocket } from "./netlink.ts";

const MSG_DONTWAIT = 0x40;
/** struct nlmsghdr: | length 4 | type 2 | flags 2 | sequence 4 | port 4 | */
const headerLength = 16;

/** What the kernel multicasts to netlink groups (`groups` as bits), message by message. Those that it could not keep are lost. Throws SystemCallError. */
export class NetlinkListener {
  readonly #fd: number;
  readonly #poll: node.PollHandle;
  readonly #buffer = Buffer.alloc(65536);

  /** `body` is behind the netlink header, and good only during the call. */
  constructor(groups: number, protocol: number, onMessage: (type: number, body: Buffer) => void) {
    this.#fd = openNetlinkSocket(groups, protocol);
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, () => this.#read(onMessage));
    this.#poll.unref();
  }

  close(): void {
    this.#poll.close();
    libc.close(this.#fd);
  }

  #read(onMessage: (type: number, body: Buffer) => void): void {
    const buffer = this.#buffer;
    for (;;) {
      const length = libc.recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT);
      if (length < 0) return;
      for (let at = 0; at + headerLength <= length; ) {
        const end = at + Math.max(headerLength, buffer.readUInt32LE(at));
        onMessage(buffer.readUInt16LE(at + 4), buffer.subarray(at + headerLength, Math.min(length, end)));
        at = (end + 3) & ~3;
      }
    }
  }
}
