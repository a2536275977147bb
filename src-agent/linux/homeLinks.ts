import type { Address } from "../../src-shared/net/address.ts";
import { prefixContains, prefixOf } from "../../src-shared/net/prefix.ts";
import { listAddresses } from "./addresses.ts";
import { requireLink } from "./links.ts";
import { Netlink } from "./netlink.ts";
import { NeighborSocket } from "./neighborSocket.ts";

/** Home addresses on the link of one device, by its addresses' prefixes: the port `HomeLinks`. */
export class LinuxHomeLinks {
  readonly #device: string;

  constructor(device: string) {
    this.#device = device;
  }

  prefixValidMs(home: Address): number | undefined {
    const longest = this.#withNetlink((netlink, device) =>
      listAddresses(netlink)
        .filter(({ index, address, prefixLength }) => index === device.index && address !== home && prefixLength < 128 && prefixContains(prefixOf(address, prefixLength), home))
        .map(({ validSeconds }) => validSeconds * 1000),
    );
    return longest.length > 0 ? Math.max(...longest) : undefined;
  }

  open(home: Address, onPacket: (packet: Uint8Array, from: Uint8Array) => void) {
    return this.#withNetlink((_, device) => {
      if (!device.ethernet) throw new Error(`${device.name} is not an Ethernet device: a home address on its link cannot be defended`);
      const socket = new NeighborSocket(device, home, onPacket);
      return { linkLayer: new Uint8Array(device.address), send: (packet: Uint8Array, to?: Uint8Array) => socket.send(packet, to), close: () => socket.close() };
    });
  }

  #withNetlink<T>(use: (netlink: Netlink, device: ReturnType<typeof requireLink>) => T): T {
    const netlink = new Netlink();
    try {
      return use(netlink, requireLink(netlink, this.#device));
    } finally {
      netlink.close();
    }
  }
}
