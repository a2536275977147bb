import { NETLINK_ROUTE } from "./netlink.ts";
import { NetlinkListener } from "./netlinkListener.ts";
import { ownProtocol } from "./routes.ts";

const RTMGRP_IPV6_IFADDR = 0x100;
const RTMGRP_IPV6_ROUTE = 0x400;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
/** struct rtmsg: the protocol that made a route. */
const protocolAt = 5;
/** Changes come in crowds: they are told once, this much later, ms. */
const settleMs = 50;

/** Tells when IPv6 addresses or routes other than our own have changed. */
export class RouteWatch {
  readonly #listener: NetlinkListener;
  #timer: NodeJS.Timeout | undefined;

  constructor(onChange: () => void) {
    this.#listener = new NetlinkListener(RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE, NETLINK_ROUTE, (type, body) => {
      const isOwn = (type === RTM_NEWROUTE || type === RTM_DELROUTE) && body[protocolAt] === ownProtocol;
      if (isOwn || this.#timer) return;
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        onChange();
      }, settleMs);
      this.#timer.unref();
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#listener.close();
  }
}
