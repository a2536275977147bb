import { type Address, addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { attribute, NLM_F_CREATE, NLM_F_REPLACE, parseAttributes, u32Attribute, type Netlink } from "./netlink.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const AF_INET6 = 10;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const IFA_F_HOMEADDRESS = 0x10;
const FOREVER = 0xffffffff;

function addressMessage(index: number, prefixLength: number, attributes: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(8);
  head[0] = AF_INET6;
  head[1] = prefixLength;
  head.writeUInt32LE(index, 4);
  return Buffer.concat([head, ...attributes]);
}

/**
 * Puts `address`/128 on a device without duplicate address detection and with preferred lifetime 0, so that nothing picks it as a
 * source unasked. Also succeeds when it is already there. `isHome`: marked as a mobile node's home address, or the kernel's own Mobile IPv6 takes no
 * type 2 routing header for it.
 */
export function addPassiveAddress(netlink: Netlink, index: number, address: Address, isHome = false): void {
  const lifetimes = Buffer.alloc(16);
  lifetimes.writeUInt32LE(0, 0);
  lifetimes.writeUInt32LE(FOREVER, 4);
  const body = addressMessage(index, 128, [
    attribute(IFA_LOCAL, addressBytes(address)),
    attribute(IFA_ADDRESS, addressBytes(address)),
    attribute(IFA_CACHEINFO, lifetimes),
    u32Attribute(IFA_FLAGS, isHome ? IFA_F_NODAD | IFA_F_HOMEADDRESS : IFA_F_NODAD),
  ]);
  netlink.request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, `add address ${address}`);
}

/** Removes `address`/128 from a device; false when it is not there. */
export function removeAddress(netlink: Netlink, index: number, address: Address): boolean {
  const body = addressMessage(index, 128, [attribute(IFA_LOCAL, addressBytes(address)), attribute(IFA_ADDRESS, addressBytes(address))]);
  return netlink.attempt(RTM_DELADDR, 0, body, `remove address ${address}`, ["EADDRNOTAVAIL", "ENODEV"]);
}

/** Every IPv6 address of this host, with the device that has it, and how much longer it (with its prefix) is valid: Infinity when for ever. */
export function listAddresses(netlink: Netlink): { index: number; address: Address; prefixLength: number; validSeconds: number }[] {
  return netlink.dump(RTM_GETADDR, addressMessage(0, 0, []), "list addresses").flatMap((message) => {
    const attributes = parseAttributes(message, 8);
    const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
    if (message[0] !== AF_INET6 || bytes?.length !== 16) return [];
    const valid = attributes.get(IFA_CACHEINFO)?.readUInt32LE(4) ?? FOREVER;
    return [{ index: message.readUInt32LE(4), address: formatAddress(bytes), prefixLength: message[1] as number, validSeconds: valid === FOREVER ? Infinity : valid }];
  });
}
