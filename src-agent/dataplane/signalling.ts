import koffi, { type node } from "koffi";
import { formatAddress, type Address } from "../../src-shared/net/address.ts";
import type { Signalling } from "../ports.ts";
import { monotonicMs, monotonicOf } from "../linux/clocks.ts";
import { libc, pointerTo } from "../linux/libc.ts";
import { requireLink } from "../linux/links.ts";
import { Netlink } from "../linux/netlink.ts";
import { openPacketSocket, orWouldBlock, takePacketDrops } from "../linux/packetSocket.ts";
import { RawSender } from "../linux/rawSocket.ts";
import { names } from "./names.ts";
import { signallingFilter } from "./signallingFilter.ts";

const SOL_SOCKET = 1;
const SCM_TIMESTAMPNS = 35;
const packetRoom = 65_536;
const controlRoom = 64;
/** Holds a burst of some ten thousand signalling packets. */
const receiveBuffer = 8 << 20;
const readsPerTurn = 64;

const tunnelProtocol = 41;
const headerLength = 40;

type PacketHandler = (packet: Uint8Array, at: number) => void;
type SynHandler = (client: Address, home: Address, tunnelSource: Address, at: number) => void;

/**
 * Mobility Headers through an AF_PACKET socket, which sees them before any tc filter does: the data plane then keeps them from the kernel, which
 * would answer with a Parameter Problem. Sends past our own routing rules: signalling is never translated. Needs CAP_NET_RAW and CAP_NET_ADMIN.
 */
export class LinuxSignalling implements Signalling {
  readonly #fd: number;
  readonly #sender: RawSender;
  readonly #poll: node.PollHandle;
  readonly #packet = Buffer.alloc(packetRoom);
  readonly #control = Buffer.alloc(controlRoom);
  readonly #message = Buffer.alloc(56);
  readonly #vector = Buffer.alloc(16);
  #onPacket: PacketHandler = () => {};
  #onError: PacketHandler = () => {};
  #onTunnelledSyn: SynHandler = () => {};
  #lost = 0;
  #closed = false;

  constructor(device: string) {
    this.#fd = openPacketSocket({ device: deviceIndex(device), linkLayer: false, filter: signallingFilter, timestamps: true, receiveBuffer });
    try {
      this.#sender = new RawSender(names.mark);
    } catch (error) {
      libc.close(this.#fd);
      throw error;
    }
    this.#vector.writeBigUInt64LE(pointerTo(this.#packet), 0);
    this.#vector.writeBigUInt64LE(BigInt(packetRoom), 8);
    this.#message.writeBigUInt64LE(pointerTo(this.#vector), 16);
    this.#message.writeBigUInt64LE(1n, 24);
    this.#message.writeBigUInt64LE(pointerTo(this.#control), 32);
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, () => this.#read());
  }

  send(packet: Uint8Array): number {
    return this.#sender.send(packet);
  }

  onPacket(handler: PacketHandler): void {
    this.#onPacket = handler;
  }

  onError(handler: PacketHandler): void {
    this.#onError = handler;
  }

  onTunnelledSyn(handler: SynHandler): void {
    this.#onTunnelledSyn = handler;
  }

  lost(): number {
    if (!this.#closed) this.#lost += takePacketDrops(this.#fd);
    return this.#lost;
  }

  close(): void {
    if (this.#closed) return;
    this.lost();
    this.#closed = true;
    this.#poll.close();
    libc.close(this.#fd);
    this.#sender.close();
  }

  #read(): void {
    for (let i = 0; i < readsPerTurn && !this.#closed; i++) {
      this.#message.writeBigUInt64LE(BigInt(controlRoom), 40);
      const length = orWouldBlock(libc.recvmsg(this.#fd, this.#message, 0), "recvmsg(signalling)");
      if (length === undefined) return;
      if (length >= headerLength) this.#dispatch(Buffer.from(this.#packet.subarray(0, length)), this.#arrival());
    }
  }

  #dispatch(packet: Buffer, at: number): void {
    switch (upperLayer(packet)) {
      case "mobility":
        return this.#onPacket(packet, at);
      case "icmp":
        return this.#onError(packet, at);
      case "tcp":
        return this.#onTunnelledSyn(formatAddress(packet, headerLength + 8), formatAddress(packet, headerLength + 24), formatAddress(packet, 8), at);
    }
  }

  /** When the kernel saw the packet just read: its wall-clock timestamp, moved to the monotonic clock by what the two read now. */
  #arrival(): number {
    const length = Number(this.#message.readBigUInt64LE(40));
    if (length < 32 || this.#control.readInt32LE(8) !== SOL_SOCKET || this.#control.readInt32LE(12) !== SCM_TIMESTAMPNS) return monotonicMs();
    return monotonicOf(this.#control, 16);
  }
}

function deviceIndex(name: string): number {
  const netlink = new Netlink();
  try {
    return requireLink(netlink, name).index;
  } finally {
    netlink.close();
  }
}

/** What a packet that passed the filter is about. */
function upperLayer(packet: Buffer): "mobility" | "icmp" | "tcp" | undefined {
  let next = packet[6];
  let at = headerLength;
  for (let steps = 0; steps < 8 && next !== undefined; steps++) {
    switch (next) {
      case 135:
        return "mobility";
      case 58:
        return "icmp";
      case 6:
        return "tcp";
      case tunnelProtocol:
        next = packet[at + 6];
        at += headerLength;
        break;
      case 0:
      case 43:
      case 60: {
        const length = packet[at + 1];
        next = packet[at];
        at += 8 * ((length ?? 0) + 1);
        break;
      }
      default:
        return undefined;
    }
  }
  return undefined;
}
