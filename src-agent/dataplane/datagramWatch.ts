import { type Address, addressBytes, formatAddress } from "../../src-shared/net/address.ts";
import { libc } from "../linux/libc.ts";
import { requireLink } from "../linux/links.ts";
import { Netlink } from "../linux/netlink.ts";
import { type FilterInstruction, openPacketSocket, orWouldBlock, takePacketDrops } from "../linux/packetSocket.ts";
import { Watch } from "../linux/watch.ts";
import type { DatagramWatch } from "../ports.ts";
import { assemble, ETH_P_IPV6, JEQ, label, LD_BYTE, LD_HALF, LD_WORD, type Line, op, PACKET_HOST, PACKET_TYPE, PROTOCOL, when } from "./packetFilter.ts";

const headerLength = 40;
const extensionLength = 24;
const destinationAt = 24;
const TUNNEL = 41;
const ROUTING = 43;
const FRAGMENT = 44;
const ICMPV6 = 58;
const UDP = 17;
const SCTP = 132;
const UDP_LITE = 136;
const ECHO_REQUEST = 128;
const TYPE_2 = 2;
/** Two IPv6 headers: all that is looked at. */
const bytesKept = 2 * headerLength;
/** Small on purpose: whoever sends more than we look at is known already. */
const receiveBuffer = 64 << 10;
const readsPerTurn = 64;
/** Pause between turns, ms: bounds what a flood can cost. */
const pauseMs = 20;

const word = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);

/** Datagrams (UDP and its like, their fragments, echo requests) to `home` that arrive in a tunnel or with a type 2 routing header. */
export function datagramFilter(home: Address): readonly FilterInstruction[] {
  const bytes = addressBytes(home);
  const to = (at: number): Line[] => [0, 4, 8, 12].flatMap((i) => [op(LD_WORD, at + i), when(JEQ, word(bytes, i), "next", "reject")]);
  const carries = (name: string, nextAt: number, upperAt: number): Line[] => [
    op(LD_BYTE, nextAt),
    ...[UDP, FRAGMENT, SCTP, UDP_LITE].map((protocol) => when(JEQ, protocol, "accept")),
    when(JEQ, ICMPV6, `label ${name} icmp`, "reject"),
    label(`${name} icmp`),
    op(LD_BYTE, upperAt),
    when(JEQ, ECHO_REQUEST, "accept", "reject"),
  ];
  return assemble(
    [
      op(LD_HALF, PROTOCOL),
      when(JEQ, ETH_P_IPV6, "next", "reject"),
      op(LD_BYTE, PACKET_TYPE),
      when(JEQ, PACKET_HOST, "next", "reject"),
      op(LD_BYTE, 6),
      when(JEQ, TUNNEL, "label tunnel"),
      when(JEQ, ROUTING, "next", "reject"),
      op(LD_BYTE, headerLength + 2),
      when(JEQ, TYPE_2, "next", "reject"),
      ...to(headerLength + 8),
      ...carries("routed", headerLength, headerLength + extensionLength),
      label("tunnel"),
      ...to(headerLength + destinationAt),
      ...carries("tunnelled", headerLength + 6, 2 * headerLength),
    ],
    bytesKept,
  );
}

/** Sees datagrams to one home address through a packet socket, before any data plane does: a sample when there are many. Needs CAP_NET_RAW. */
export class PacketDatagramWatch implements DatagramWatch {
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #packet = Buffer.alloc(bytesKept);
  readonly #handler: (client: Address, tunnelSource: Address | null) => void;
  #pause: NodeJS.Timeout | undefined;

  constructor(device: string, home: Address, handler: (client: Address, tunnelSource: Address | null) => void) {
    this.#handler = handler;
    this.#fd = openPacketSocket({ device: indexOf(device), linkLayer: false, filter: datagramFilter(home), receiveBuffer });
    this.#watch = new Watch(this.#fd, { readable: true }, () => this.#read());
  }

  takeLost(): number {
    return takePacketDrops(this.#fd);
  }

  close(): void {
    clearTimeout(this.#pause);
    this.#watch.close();
    libc.close(this.#fd);
  }

  #read(): void {
    for (let i = 0; i < readsPerTurn; i++) {
      const length = orWouldBlock(libc.recv(this.#fd, this.#packet, bytesKept, 0), "recv(datagrams)");
      if (length === undefined) return;
      if (length < bytesKept && this.#packet[6] === TUNNEL) continue;
      if (this.#packet[6] === TUNNEL) this.#handler(formatAddress(this.#packet, headerLength + 8), formatAddress(this.#packet, 8));
      else this.#handler(formatAddress(this.#packet, 8), null);
    }
    this.#watch.want({});
    this.#pause = setTimeout(() => this.#watch.want({ readable: true }), pauseMs);
  }
}

function indexOf(device: string): number {
  const netlink = new Netlink();
  try {
    return requireLink(netlink, device).index;
  } finally {
    netlink.close();
  }
}
