import { lastErrno, errnoName, libc, pointerTo } from "../linux/libc.ts";
import { openPacketSocket, takePacketDrops } from "../linux/packetSocket.ts";

const batch = 32;
/** Room for a 64 KiB super-packet with its headers. */
const frameBytes = 66_560;
/** struct mmsghdr on 64-bit Linux: msghdr 56, length 4, padding 4. */
const messageBytes = 64;
const addressBytes = 20;
/** cmsghdr 16, timespec 16. */
const controlBytes = 32;
const SOL_SOCKET = 1;
const SO_TIMESTAMPNS = 35;
const AF_PACKET = 17;
const ETH_P_IPV6 = 0x86dd;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const CLOCK_REALTIME = 0;
const bufferBytes = 64 << 20;

/** A packet that has arrived: virtio header first, `length` bytes at `start` of the shared buffer; `at` on performance.now()'s clock. */
export type OnFrame = (packet: Buffer, start: number, length: number, device: number, at: number) => void;

/** One packet socket for all devices of the network namespace, 32 packets a call, each with the time at which the kernel saw it. */
export class PacketIo {
  readonly fd: number;
  readonly #frames = Buffer.alloc(batch * frameBytes);
  readonly #addresses = Buffer.alloc(batch * addressBytes);
  readonly #controls = Buffer.alloc(batch * controlBytes);
  readonly #vectors = Buffer.alloc(batch * 16);
  readonly #messages = Buffer.alloc(batch * messageBytes);
  readonly #target = Buffer.alloc(addressBytes);
  readonly #timespec = Buffer.alloc(16);

  constructor() {
    this.fd = openPacketSocket({ device: 0, linkLayer: true, offloadHeader: true, timestamps: true, receiveBuffer: bufferBytes, sendBuffer: bufferBytes });
    for (let i = 0; i < batch; i++) {
      this.#vectors.writeBigUInt64LE(pointerTo(this.#frames) + BigInt(i * frameBytes), 16 * i);
      this.#vectors.writeBigUInt64LE(BigInt(frameBytes), 16 * i + 8);
      const m = i * messageBytes;
      this.#messages.writeBigUInt64LE(pointerTo(this.#addresses) + BigInt(i * addressBytes), m);
      this.#messages.writeBigUInt64LE(pointerTo(this.#vectors) + BigInt(16 * i), m + 16);
      this.#messages.writeBigUInt64LE(1n, m + 24);
      this.#messages.writeBigUInt64LE(pointerTo(this.#controls) + BigInt(i * controlBytes), m + 32);
    }
    this.#target.writeUInt16LE(AF_PACKET, 0);
    this.#target.writeUInt16BE(ETH_P_IPV6, 2);
  }

  /** Hands on what has arrived, at most 32 packets. How many; -1 when a packet could not be read (its offload is unknown to the kernel's interface). */
  receive(onFrame: OnFrame): number {
    for (let i = 0; i < batch; i++) {
      this.#messages.writeUInt32LE(addressBytes, i * messageBytes + 8);
      this.#messages.writeUInt32LE(controlBytes, i * messageBytes + 40);
    }
    const count = libc.recvmmsg(this.fd, this.#messages, batch, MSG_DONTWAIT, null);
    if (count < 0) return errnoName(lastErrno()) === "EINVAL" ? -1 : 0;
    const now = performance.now();
    const ahead = this.#realtime() - now;
    for (let i = 0; i < count; i++) {
      const length = this.#messages.readUInt32LE(i * messageBytes + 56);
      if (this.#messages.readUInt32LE(i * messageBytes + 48) & MSG_TRUNC) continue;
      const at = Math.min(now, Math.max(now - 1000, this.#arrival(i, now + ahead) - ahead));
      onFrame(this.#frames, i * frameBytes, length, this.#addresses.readInt32LE(i * addressBytes + 4), at);
    }
    return count;
  }

  /** Sends `length` bytes at `address` (virtio header first) out of a device. The errno's name when it fails. */
  send(packet: Buffer | bigint, length: number, device: number): string | undefined {
    this.#target.writeInt32LE(device, 4);
    return libc.sendto(this.fd, packet, length, MSG_DONTWAIT, this.#target, addressBytes) < 0 ? errnoName(lastErrno()) : undefined;
  }

  /** Packets that the kernel dropped because we were too slow, since the last call. */
  takeOverruns(): number {
    return takePacketDrops(this.fd);
  }

  /** Wall-clock ms at which the kernel saw packet `i`, or `otherwise` where it does not say. */
  #arrival(i: number, otherwise: number): number {
    const c = i * controlBytes;
    if (this.#messages.readUInt32LE(i * messageBytes + 40) < controlBytes) return otherwise;
    if (this.#controls.readInt32LE(c + 8) !== SOL_SOCKET || this.#controls.readInt32LE(c + 12) !== SO_TIMESTAMPNS) return otherwise;
    return milliseconds(this.#controls, c + 16);
  }

  #realtime(): number {
    libc.clockGettime(CLOCK_REALTIME, this.#timespec);
    return milliseconds(this.#timespec, 0);
  }
}

/** A struct timespec in ms. Doubles hold wall-clock ms to 0.2 µs. */
function milliseconds(buffer: Buffer, at: number): number {
  return (buffer.readUInt32LE(at) + buffer.readInt32LE(at + 4) * 2 ** 32) * 1000 + buffer.readUInt32LE(at + 8) / 1e6;
}
