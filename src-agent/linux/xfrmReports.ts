import koffi, { type node } from "koffi";
import { formatAddress, type Address } from "../../src-shared/net/address.ts";
import { libc } from "./libc.ts";
import { NETLINK_XFRM, openNetlinkSocket, parseAttributes } from "./netlink.ts";

const XFRM_MSG_REPORT = 0x20;
/** Group XFRMNLGRP_REPORT (6) as a bit. */
const REPORTS = 1 << 5;
const XFRMA_COADDR = 14;
const MSG_DONTWAIT = 0x40;
const destinationOptions = 60;
/** struct xfrm_user_report: | proto 1 | pad 3 | selector 56 | */
const selectorAt = 4;
const reportLength = 60;

/** Hears from the kernel about packets with a Home Address option that no state and policy wanted (it limits the rate). Needs CAP_NET_ADMIN. */
export class XfrmReports {
  readonly #fd: number;
  readonly #poll: node.PollHandle;
  readonly #buffer = Buffer.alloc(16384);

  constructor(onUnbound: (home: Address, careOf: Address, destination: Address) => void) {
    this.#fd = openNetlinkSocket(REPORTS, NETLINK_XFRM);
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, () => {
      for (const [home, careOf, destination] of this.#read()) onUnbound(home, careOf, destination);
    });
    this.#poll.unref();
  }

  close(): void {
    this.#poll.close();
    libc.close(this.#fd);
  }

  #read(): (readonly [home: Address, careOf: Address, destination: Address])[] {
    const length = libc.recv(this.#fd, this.#buffer, this.#buffer.length, MSG_DONTWAIT);
    const found: (readonly [Address, Address, Address])[] = [];
    for (let at = 0; at + 16 <= length; at += Math.max(16, (this.#buffer.readUInt32LE(at) + 3) & ~3)) {
      const report = this.#buffer.subarray(at + 16, Math.min(length, at + this.#buffer.readUInt32LE(at)));
      if (this.#buffer.readUInt16LE(at + 4) !== XFRM_MSG_REPORT || report.length < reportLength || report[0] !== destinationOptions) continue;
      const careOf = parseAttributes(Buffer.from(report), reportLength).get(XFRMA_COADDR);
      if (careOf?.length === 16) found.push([formatAddress(report, selectorAt + 16), formatAddress(careOf), formatAddress(report, selectorAt)]);
    }
    return found;
  }
}
