import { SystemCallError } from "./libc.ts";
import { attribute, attributeText, NLM_F_CREATE, NLM_F_EXCL, nestedAttribute, parseAttributes, textAttribute, u32Attribute, type Netlink } from "./netlink.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
const AF_INET6 = 10;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const ADDR_GEN_MODE_NONE = 1;
const IFF_UP = 0x1;
const IFF_NOARP = 0x80;
const ARPHRD_ETHER = 1;

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  /** The 6 bytes of an Ethernet address; empty for devices without. */
  readonly address: Buffer;
  readonly up: boolean;
  readonly ethernet: boolean;
  /** veth, bridge, …; empty for hardware. */
  readonly kind: string;
}

function linkMessage(index: number, flags: number, change: number, attributes: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(16);
  head.writeInt32LE(index, 4);
  head.writeUInt32LE(flags, 8);
  head.writeUInt32LE(change, 12);
  return Buffer.concat([head, ...attributes]);
}

/** The named device, or undefined. */
export function findLink(netlink: Netlink, name: string): Link | undefined {
  let answer: Buffer;
  try {
    answer = netlink.query(RTM_GETLINK, linkMessage(0, 0, 0, [textAttribute(IFLA_IFNAME, name)]), `look up device ${name}`);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === "ENODEV") return undefined;
    throw error;
  }
  const attributes = parseAttributes(answer, 16);
  const info = attributes.get(IFLA_LINKINFO);
  return {
    index: answer.readInt32LE(4),
    name: attributeText(attributes.get(IFLA_IFNAME)),
    mtu: attributes.get(IFLA_MTU)?.readUInt32LE(0) ?? 1500,
    address: Buffer.from(attributes.get(IFLA_ADDRESS) ?? []),
    up: (answer.readUInt32LE(8) & IFF_UP) !== 0,
    ethernet: answer.readUInt16LE(2) === ARPHRD_ETHER,
    kind: info ? attributeText(parseAttributes(info).get(IFLA_INFO_KIND)) : "",
  };
}

/** The named device. Throws when it does not exist. */
export function requireLink(netlink: Netlink, name: string): Link {
  const link = findLink(netlink, name);
  if (!link) throw new Error(`there is no network device named ${name} here`);
  return link;
}

/**
 * Two connected Ethernet devices that own no IPv6 address, not even a link-local one, and ask for no neighbours; both up.
 * Fails with EEXIST when a name is taken.
 */
export function createVethPair(netlink: Netlink, first: string, second: string, mtu: number): void {
  const peer = attribute(VETH_INFO_PEER, linkMessage(0, 0, 0, [textAttribute(IFLA_IFNAME, second), u32Attribute(IFLA_MTU, mtu)]));
  const info = nestedAttribute(IFLA_LINKINFO, [textAttribute(IFLA_INFO_KIND, "veth"), nestedAttribute(IFLA_INFO_DATA, [peer])]);
  const body = linkMessage(0, 0, 0, [textAttribute(IFLA_IFNAME, first), u32Attribute(IFLA_MTU, mtu), info]);
  netlink.request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, `create devices ${first} and ${second}`);
  const quiet = nestedAttribute(IFLA_AF_SPEC, [nestedAttribute(AF_INET6, [attribute(IFLA_INET6_ADDR_GEN_MODE, Buffer.from([ADDR_GEN_MODE_NONE]))])]);
  for (const name of [second, first]) {
    const index = requireLink(netlink, name).index;
    netlink.request(RTM_NEWLINK, 0, linkMessage(index, 0, 0, [quiet]), `keep ${name} free of addresses`);
    netlink.request(RTM_NEWLINK, 0, linkMessage(index, IFF_UP | IFF_NOARP, IFF_UP | IFF_NOARP, []), `set ${name} up`);
  }
}

/** Removes a device; false when there is none of that name. */
export function deleteLink(netlink: Netlink, name: string): boolean {
  return netlink.attempt(RTM_DELLINK, 0, linkMessage(0, 0, 0, [textAttribute(IFLA_IFNAME, name)]), `remove device ${name}`, ["ENODEV"]);
}
