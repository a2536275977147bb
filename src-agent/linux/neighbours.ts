import { type Address, addressBytes } from "../../src-shared/net/address.ts";
import { SystemCallError } from "./libc.ts";
import { attribute, NLM_F_CREATE, parseAttributes, type Netlink } from "./netlink.ts";

const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const AF_INET6 = 10;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NTF_USE = 1;
const NUD_NONE = 0;
/** reachable, stale, delay, probe, noarp, permanent: states whose link-layer address may be used. */
const NUD_VALID = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
/** noarp, permanent: states that only whoever set them ends. */
const NUD_FIXED = 0x40 | 0x80;

function neighbourMessage(device: number, address: Address, flags: number): Buffer {
  const head = Buffer.alloc(12);
  head[0] = AF_INET6;
  head.writeInt32LE(device, 4);
  head.writeUInt16LE(NUD_NONE, 8);
  head[10] = flags;
  return Buffer.concat([head, attribute(NDA_DST, addressBytes(address))]);
}

/** A neighbour in the kernel's table: its usable link-layer address, and whether somebody has set it for good, so that it needs no asking. */
export interface Neighbour {
  readonly address: Buffer | undefined;
  readonly fixed: boolean;
}

/** What the kernel's table has about a neighbour; undefined when that is nothing. */
export function findNeighbour(netlink: Netlink, device: number, address: Address): Neighbour | undefined {
  let answer: Buffer;
  try {
    answer = netlink.query(RTM_GETNEIGH, neighbourMessage(device, address, 0), `look up neighbour ${address}`);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === "ENOENT") return undefined;
    throw error;
  }
  const state = answer.readUInt16LE(8);
  const lladdr = parseAttributes(answer, 12).get(NDA_LLADDR);
  return { address: (state & NUD_VALID) !== 0 && lladdr?.length === 6 ? Buffer.from(lladdr) : undefined, fixed: (state & NUD_FIXED) !== 0 };
}

/**
 * Tells the kernel that we send to this neighbour: it resolves the address, and keeps probing whether it is still there. Never for a fixed one: since Linux
 * 5.16 that would make it an ordinary neighbour without an address.
 */
export function useNeighbour(netlink: Netlink, device: number, address: Address): void {
  netlink.attempt(RTM_NEWNEIGH, NLM_F_CREATE, neighbourMessage(device, address, NTF_USE), `resolve neighbour ${address}`, ["ENOBUFS", "EINVAL"]);
}
