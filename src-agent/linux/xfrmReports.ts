import { formatAddress, type Address } from "../../src-shared/net/address.ts";
import { NETLINK_XFRM, parseAttributes } from "./netlink.ts";
import { NetlinkListener } from "./netlinkListener.ts";

const XFRM_MSG_REPORT = 0x20;
/** Group XFRMNLGRP_REPORT (6) as a bit. */
const REPORTS = 1 << 5;
const XFRMA_COADDR = 14;
const destinationOptions = 60;
/** struct xfrm_user_report: | proto 1 | pad 3 | selector 56 | */
const selectorAt = 4;
const reportLength = 60;

/** Hears from the kernel about packets with a Home Address option that no state and policy wanted (it limits the rate). Needs CAP_NET_ADMIN. */
export class XfrmReports {
  readonly #listener: NetlinkListener;

  constructor(onUnbound: (home: Address, careOf: Address, destination: Address) => void) {
    this.#listener = new NetlinkListener(REPORTS, NETLINK_XFRM, (type, report) => {
      if (type !== XFRM_MSG_REPORT || report.length < reportLength || report[0] !== destinationOptions) return;
      const careOf = parseAttributes(Buffer.from(report), reportLength).get(XFRMA_COADDR);
      if (careOf?.length === 16) onUnbound(formatAddress(report, selectorAt + 16), formatAddress(careOf), formatAddress(report, selectorAt));
    });
  }

  close(): void {
    this.#listener.close();
  }
}
