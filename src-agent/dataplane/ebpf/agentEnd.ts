import koffi, { type node } from "koffi";
import { libc } from "../../linux/libc.ts";
import { openPacketSocket, orWouldBlock, takePacketDrops } from "../../linux/packetSocket.ts";
import { noticeNames, type Notice } from "../counters.ts";
import type { Steering } from "../steering.ts";

/** struct virtio_net_hdr, before each frame. */
export const offloadHeaderLength = 10;
const etherLength = 14;
const marker = Buffer.from([0x02, 0x61, 0x6c, 0x61, 0x62]);
const frameRoom = 70_000;
const receiveBuffer = 32 << 20;

/** A packet that the programs left to the agent. */
export interface Punted {
  readonly notice: Notice;
  /** virtio_net_hdr, Ethernet header, packet: a copy, and as `giveBack` takes it. */
  readonly frame: Buffer;
  /** The packet from its IPv6 header on; shares memory with `frame`. */
  readonly packet: Buffer;
}

/** Our end of the steering pair: reads what the programs send up, and hands packets to the stack. */
export class AgentEnd {
  readonly #fd: number;
  readonly #poll: node.PollHandle;
  readonly #buffer = Buffer.alloc(frameRoom);
  readonly #ethernet: Buffer;
  readonly #ethernetOfDevice: Buffer;
  #lost = 0;
  #closed = false;

  /** `onReadable` is called when packets wait; it takes them with `read`. */
  constructor(steering: Steering, onReadable: () => void) {
    const header = (to: Buffer): Buffer => Buffer.concat([to, steering.agentEnd.address, Buffer.from([0x86, 0xdd])]);
    this.#ethernet = header(steering.stackEnd.address);
    this.#ethernetOfDevice = header(steering.device.address);
    this.#fd = openPacketSocket({ device: steering.agentEnd.index, linkLayer: true, offloadHeader: true, receiveBuffer });
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, onReadable);
  }

  /** The next packet, or undefined when there is none now. */
  read(): Punted | undefined {
    for (;;) {
      const length = orWouldBlock(libc.recv(this.#fd, this.#buffer, this.#buffer.length, 0), "recv(steering device)");
      if (length === undefined) return undefined;
      const start = offloadHeaderLength + etherLength;
      if (length < start + 40 || this.#buffer.compare(marker, 0, 5, offloadHeaderLength, offloadHeaderLength + 5) !== 0) continue;
      const notice = noticeNames[(this.#buffer[offloadHeaderLength + 5] as number) - 1];
      if (!notice) continue;
      const frame = Buffer.from(this.#buffer.subarray(0, length));
      return { notice, frame, packet: frame.subarray(start) };
    }
  }

  /** Hands a frame that `read` gave (or `frameOf` made) to the stack, as if it had just arrived. One that the kernel refuses counts as lost. */
  giveBack(frame: Uint8Array): void {
    this.#give(frame, this.#ethernet);
  }

  /** Has a reassembled tunnel packet arrive at the data interface: a program sends it there. */
  giveToDevice(packet: Uint8Array): void {
    this.#give(frameOf(packet), this.#ethernetOfDevice);
  }

  #give(frame: Uint8Array, ethernet: Buffer): void {
    frame.set(ethernet, offloadHeaderLength);
    if (libc.send(this.#fd, frame, frame.length, 0) < 0) this.#lost++;
  }

  /** Frames that did not fit the socket's buffer, or that the stack would not have back, since the start. */
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
  }
}

/** A complete packet (checksum done) as a frame for `giveBack`. */
export function frameOf(packet: Uint8Array): Uint8Array {
  const frame = new Uint8Array(offloadHeaderLength + etherLength + packet.length);
  frame.set(packet, offloadHeaderLength + etherLength);
  return frame;
}
