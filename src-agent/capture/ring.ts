import koffi from "koffi";
import { check, lastErrno, libc, pointerTo, SystemCallError } from "../linux/libc.ts";

const memory = koffi.load("libc.so.6");
const mmap = memory.func("void *mmap(void *, size_t, int, int, int, long)") as (at: null, length: number, protection: number, flags: number, fd: number, offset: number) => unknown;
const munmap = memory.func("int munmap(void *, size_t)") as (at: unknown, length: number) => number;

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SOL_PACKET = 263;
const PACKET_RX_RING = 5;
const PACKET_STATISTICS = 6;
const PACKET_VERSION = 10;
const TPACKET_V3 = 2;
const ETH_P_ALL = 0x0003;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const PACKET_OUTGOING = 4;
const MAP_FAILED = 0xffffffffffffffffn;

/**
 * Blocks go to the reader when they are full, or after this long with anything in them: so a ring of n blocks bears a reader that stands still for n times
 * this long, however little there is to capture. Small blocks bear more; frames that are kept whole (64 KB and more, merged by GRO) need large ones.
 */
const retireMs = 60;
const smallBlock = 1 << 16;
const largeBlock = 1 << 18;
/** Frames that are cut to this many bytes or less go into small blocks. */
const fewBytes = 4096;

/** Classic BPF: `ret 0`. */
const nothing = Buffer.from([0x06, 0, 0, 0, 0, 0, 0, 0]);

/** Offsets in `struct tpacket_block_desc` and `struct tpacket3_hdr` (linux/if_packet.h). */
const blockStatus = 8;
const blockPackets = 12;
const blockFirst = 16;
const headerLength = 48;
const packetType = headerLength + 10;

/** Takes a frame of the ring; `data` is valid until it returns. Plain arguments: no object per packet. */
export type OnFrame = (seconds: number, nanoseconds: number, originalLength: number, outgoing: boolean, data: Uint8Array) => void;

/**
 * A packet socket with a TPACKET_V3 ring: the kernel stamps, filters and cuts frames and hands over whole blocks of them, so a capture costs
 * neither a system call nor a copy per packet. Time stamps are the kernel's, CLOCK_REALTIME. Needs CAP_NET_RAW.
 */
export class PacketRing {
  readonly fd: number;
  readonly #blocks: number;
  readonly #blockSize: number;
  readonly #mapping: unknown;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #words: Int32Array;
  #next = 0;
  #received = 0;
  #dropped = 0;
  #closed = false;

  /** `program` is a classic BPF program whose result is the number of bytes kept, which is `snaplen` for most. Throws SystemCallError naming the call. */
  constructor(interfaceName: string, program: Buffer, snaplen: number, ringBytes: number) {
    const blockSize = snaplen <= fewBytes ? smallBlock : largeBlock;
    this.#blockSize = blockSize;
    const index = libc.ifNameToIndex(interfaceName);
    if (index === 0) throw new SystemCallError(`capture on ${interfaceName}`, lastErrno());
    this.#blocks = Math.max(4, Math.ceil(ringBytes / blockSize));
    // Protocol 0: nothing arrives before the filter is in place and the ring is bound.
    this.fd = check(libc.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "open a packet socket (needs CAP_NET_RAW)");
    try {
      this.#option(SOL_SOCKET, SO_ATTACH_FILTER, filterOption(program), "attach the capture filter");
      this.#option(SOL_PACKET, PACKET_VERSION, words(TPACKET_V3), "ask for a TPACKET_V3 ring");
      this.#option(SOL_PACKET, PACKET_RX_RING, words(blockSize, this.#blocks, 2048, (blockSize / 2048) * this.#blocks, retireMs, 0, 0), "make the capture ring");
      this.#mapping = mmap(null, this.#blocks * blockSize, PROT_READ_WRITE, MAP_SHARED, this.fd, 0);
      if (koffi.address(this.#mapping) === MAP_FAILED) throw new SystemCallError("map the capture ring", lastErrno());
      const buffer = koffi.view(this.#mapping, this.#blocks * blockSize);
      this.#bytes = new Uint8Array(buffer);
      this.#view = new DataView(buffer);
      this.#words = new Int32Array(buffer);
      check(libc.bind(this.fd, linkAddress(index), 20), `bind the packet socket to ${interfaceName}`);
    } catch (error) {
      libc.close(this.fd);
      throw error;
    }
  }

  /** Passes on the frames of every block that the kernel has handed over, oldest first, and gives the blocks back. Returns how many frames. */
  drain(onFrame: OnFrame): number {
    let frames = 0;
    for (;;) {
      const base = this.#next * this.#blockSize;
      if ((Atomics.load(this.#words, (base + blockStatus) >> 2) & 1) === 0) return frames;
      const count = this.#view.getUint32(base + blockPackets, true);
      let at = base + this.#view.getUint32(base + blockFirst, true);
      for (let i = 0; i < count; i++) {
        this.#pass(at, onFrame);
        at += this.#view.getUint32(at, true);
      }
      frames += count;
      Atomics.store(this.#words, (base + blockStatus) >> 2, 0);
      this.#next = (this.#next + 1) % this.#blocks;
    }
  }

  #pass(at: number, onFrame: OnFrame): void {
    const view = this.#view;
    const data = at + view.getUint16(at + 24, true);
    const kept = view.getUint32(at + 12, true);
    onFrame(view.getUint32(at + 4, true), view.getUint32(at + 8, true), view.getUint32(at + 16, true), this.#bytes[at + packetType] === PACKET_OUTGOING, this.#bytes.subarray(data, data + kept));
  }

  /** Takes no more frames; what was taken is handed over within `retireMs`. */
  stop(): void {
    this.#option(SOL_SOCKET, SO_ATTACH_FILTER, filterOption(nothing), "end the capture");
  }

  /** Frames that passed the filter since the start, and those of them for which the ring had no room. */
  statistics(): { readonly received: number; readonly dropped: number } {
    if (!this.#closed) {
      const now = Buffer.alloc(12);
      const length = words(12);
      check(libc.getsockopt(this.fd, SOL_PACKET, PACKET_STATISTICS, now, length), "read the capture's statistics");
      // The kernel counts dropped frames among the received ones, and starts from 0 after each reading.
      this.#received += now.readUInt32LE(0);
      this.#dropped += now.readUInt32LE(4);
    }
    return { received: this.#received, dropped: this.#dropped };
  }

  /** The kernel hands over a block that is not full after this many ms. */
  static readonly retireMs = retireMs;

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    munmap(this.#mapping, this.#blocks * this.#blockSize);
    libc.close(this.fd);
  }

  #option(level: number, name: number, value: Buffer, what: string): void {
    check(libc.setsockopt(this.fd, level, name, value, value.length), what);
  }
}

function words(...values: number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => buffer.writeUInt32LE(value, i * 4));
  return buffer;
}

/** `struct sock_fprog`: count 16, padding, pointer 64. */
function filterOption(program: Buffer): Buffer {
  const option = Buffer.alloc(16);
  option.writeUInt16LE(program.length / 8, 0);
  option.writeBigUInt64LE(pointerTo(program), 8);
  return option;
}

/** `struct sockaddr_ll` for all protocols on one interface. */
function linkAddress(index: number): Buffer {
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ALL, 2);
  address.writeInt32LE(index, 4);
  return address;
}
