import koffi, { type node } from "koffi";
import { libc } from "./libc.ts";
import { openNetlinkSocket } from "./netlink.ts";
import { ownProtocol } from "./routes.ts";

const RTMGRP_IPV6_IFADDR = 0x100;
const RTMGRP_IPV6_ROUTE = 0x400;
const MSG_DONTWAIT = 0x40;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
/** Changes come in crowds: they are told once, this much later, ms. */
const settleMs = 50;

/** Tells when IPv6 addresses or routes other than our own have changed. */
export class RouteWatch {
  readonly #fd: number;
  readonly #poll: node.PollHandle;
  readonly #buffer = Buffer.alloc(65536);
  #timer: NodeJS.Timeout | undefined;

  constructor(onChange: () => void) {
    this.#fd = openNetlinkSocket(RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE);
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, () => {
      if (!this.#read() || this.#timer) return;
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        onChange();
      }, settleMs);
      this.#timer.unref();
    });
    this.#poll.unref();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#poll.close();
    libc.close(this.#fd);
  }

  /** Reads what there is; true when any of it matters. A full socket (the kernel dropped notifications) matters, too. */
  #read(): boolean {
    let matters = false;
    for (;;) {
      const length = libc.recv(this.#fd, this.#buffer, this.#buffer.length, MSG_DONTWAIT);
      if (length < 0) return matters;
      for (let at = 0; at + 28 <= length; at += Math.max(16, (this.#buffer.readUInt32LE(at) + 3) & ~3)) {
        const type = this.#buffer.readUInt16LE(at + 4);
        const isRoute = type === RTM_NEWROUTE || type === RTM_DELROUTE;
        if (!isRoute || this.#buffer[at + 16 + 5] !== ownProtocol) matters = true;
      }
    }
  }
}
