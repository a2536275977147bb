import { keyAt } from "./addressKeys.ts";

/** Lengths on the packet sockets: struct virtio_net_hdr, then the Ethernet header. */
export const offloadLength = 10;
export const etherLength = 14;
export const frontLength = offloadLength + etherLength;
export const ipLength = 40;
export const extensionLength = 24;
/** Room in front of a packet for everything that translation may add. */
export const headroom = 128;

const NEEDS_CHECKSUM = 1;
const GSO_NONE = 0;
export const GSO_TCP6 = 4;

const nextHeaderAt = 6;
const hopLimitAt = 7;
export const sourceAt = 8;
export const destinationAt = 24;

/**
 * One packet in a buffer with room in front, and what the kernel left unfinished about it. Adding and removing headers moves only the headers
 * before the place; what is behind keeps its place in the buffer.
 */
export class Frame {
  readonly bytes: Buffer;
  /** Where the IPv6 header starts. */
  at: number;
  readonly end: number;
  /** Segment size of a large packet, bytes; 0: an ordinary packet. */
  segmentSize: number;
  readonly segmentKind: number;
  /** Where the upper-layer header starts whose checksum covers only the pseudo-header yet, and the field in it; -1: the checksum is done. */
  checksumFrom: number;
  readonly checksumOffset: number;

  constructor(bytes: Buffer, at: number, end: number, offload: { segmentKind: number; segmentSize: number; checksumFrom: number; checksumOffset: number }) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.segmentKind = offload.segmentKind;
    this.segmentSize = offload.segmentSize;
    this.checksumFrom = offload.checksumFrom;
    this.checksumOffset = offload.checksumOffset;
  }

  /** Reads what a packet socket gave: | virtio_net_hdr | Ethernet | packet |, from `start` to `end`. Undefined when it is no IPv6 packet. */
  static read(bytes: Buffer, start: number, end: number): Frame | undefined {
    const at = start + frontLength;
    if (end - at < ipLength || ((bytes[at] as number) >> 4) !== 6) return undefined;
    const flags = bytes[start] as number;
    const segmentKind = (bytes[start + 1] as number) & 0x7f;
    return new Frame(bytes, at, end, {
      segmentKind,
      segmentSize: segmentKind === GSO_NONE ? 0 : bytes.readUInt16LE(start + 4),
      checksumFrom: flags & NEEDS_CHECKSUM ? start + offloadLength + bytes.readUInt16LE(start + 6) : -1,
      checksumOffset: bytes.readUInt16LE(start + 8),
    });
  }

  /** A finished packet, as a frame of its own. */
  static of(packet: Uint8Array): Frame {
    const bytes = Buffer.alloc(headroom + packet.length);
    bytes.set(packet, headroom);
    return new Frame(bytes, headroom, bytes.length, { segmentKind: GSO_NONE, segmentSize: 0, checksumFrom: -1, checksumOffset: 0 });
  }

  /** Bytes from the IPv6 header on. */
  get length(): number {
    return this.end - this.at;
  }

  get next(): number {
    return this.bytes[this.at + nextHeaderAt] as number;
  }

  get hopLimit(): number {
    return this.bytes[this.at + hopLimitAt] as number;
  }

  get packet(): Buffer {
    return this.bytes.subarray(this.at, this.end);
  }

  /** A copy that stays when the buffer is reused. */
  copy(): Frame {
    const shift = headroom - this.at;
    const bytes = Buffer.alloc(headroom + this.length);
    this.bytes.copy(bytes, headroom, this.at, this.end);
    return new Frame(bytes, headroom, bytes.length, {
      segmentKind: this.segmentKind,
      segmentSize: this.segmentSize,
      checksumFrom: this.checksumFrom < 0 ? -1 : this.checksumFrom + shift,
      checksumOffset: this.checksumOffset,
    });
  }

  /** The 16 bytes of an address, `offset` from the IPv6 header, as a map key. */
  key(offset: number): string {
    return keyAt(this.bytes, this.at + offset);
  }

  /** Whether the destination has no meaning beyond the link: multicast or link-local. */
  isForLink(): boolean {
    const first = this.bytes[this.at + destinationAt] as number;
    return first === 0xff || (first === 0xfe && ((this.bytes[this.at + destinationAt + 1] as number) & 0xc0) === 0x80);
  }

  /**
   * Puts a 24-byte extension header, type `protocol`, behind the IPv6 header: `start` (its bytes 2 to 7), then the address that is at `offset` of the
   * IPv6 header and gives its place there to `address`. False, and nothing changed, when the packet would be longer than a packet can be.
   */
  insertExtension(protocol: number, start: Uint8Array, offset: number, address: Uint8Array): boolean {
    const { bytes } = this;
    const payload = bytes.readUInt16BE(this.at + 4) + extensionLength;
    if (payload > 0xffff) return false;
    const next = this.next;
    this.at -= extensionLength;
    bytes.copyWithin(this.at, this.at + extensionLength, this.at + extensionLength + ipLength);
    bytes.copyWithin(this.at + ipLength + 8, this.at + offset, this.at + offset + 16);
    bytes.set(address, this.at + offset);
    bytes.set(start, this.at + ipLength + 2);
    bytes[this.at + ipLength] = next;
    bytes[this.at + ipLength + 1] = 2;
    bytes[this.at + nextHeaderAt] = protocol;
    bytes.writeUInt16BE(payload, this.at + 4);
    return true;
  }

  /** Takes a 24-byte extension header out, whose address goes to `offset` of the IPv6 header. */
  stripExtension(offset: number): void {
    const { bytes } = this;
    bytes.copyWithin(this.at + offset, this.at + 48, this.at + 64);
    bytes[this.at + nextHeaderAt] = bytes[this.at + ipLength] as number;
    bytes.writeUInt16BE(bytes.readUInt16BE(this.at + 4) - extensionLength, this.at + 4);
    bytes.copyWithin(this.at + extensionLength, this.at, this.at + ipLength);
    this.at += extensionLength;
  }

  /** RFC 2473: puts an IPv6 header in front, traffic class and flow label those of the inner one. */
  encapsulate(source: Uint8Array, destination: Uint8Array, hopLimit: number): void {
    const { bytes } = this;
    const inner = this.at;
    this.at -= ipLength;
    bytes.copyWithin(this.at, inner, inner + 4);
    bytes.writeUInt16BE(this.end - inner, this.at + 4);
    bytes[this.at + nextHeaderAt] = 41;
    bytes[this.at + hopLimitAt] = hopLimit;
    bytes.set(source, this.at + sourceAt);
    bytes.set(destination, this.at + destinationAt);
  }

  /** Takes the outer header off; congestion experienced on the way stays visible (RFC 6040). */
  decapsulate(): void {
    const congested = ((this.bytes[this.at + 1] as number) & 0x30) === 0x30;
    this.at += ipLength;
    const second = this.bytes[this.at + 1] as number;
    if (congested && (second & 0x30) !== 0) this.bytes[this.at + 1] = second | 0x30;
  }

  /** Lowers the hop limit of the IPv6 header `offset` from the first; false when the packet's way ends here. */
  hop(offset = 0): boolean {
    const at = this.at + offset + hopLimitAt;
    const hops = this.bytes[at] as number;
    if (hops <= 1) return false;
    this.bytes[at] = hops - 1;
    return true;
  }

  /** Does what was left to the device: the checksum over what is behind `checksumFrom`, in a field that holds the pseudo-header's sum so far. */
  finishChecksum(): void {
    if (this.checksumFrom < 0) return;
    const { bytes, end } = this;
    let sum = (this.end - this.checksumFrom) % 2 === 1 ? (bytes[end - 1] as number) << 8 : 0;
    for (let at = this.checksumFrom; at + 1 < end; at += 2) sum += bytes.readUInt16BE(at);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    // RFC 8200 §8.1: 0 would say that there is none.
    bytes.writeUInt16BE(~sum & 0xffff || 0xffff, this.checksumFrom + this.checksumOffset);
    this.checksumFrom = -1;
  }

  /** Writes virtio_net_hdr and Ethernet header in front; returns where the whole starts. */
  finish(ethernet: Uint8Array): number {
    const start = this.at - frontLength;
    const { bytes } = this;
    bytes.writeUInt32LE(0, start);
    bytes.writeUInt32LE(0, start + 4);
    bytes.writeUInt16LE(0, start + 8);
    bytes.set(ethernet, start + offloadLength);
    if (this.checksumFrom >= 0) {
      bytes[start] = NEEDS_CHECKSUM;
      bytes.writeUInt16LE(this.checksumFrom - start - offloadLength, start + 6);
      bytes.writeUInt16LE(this.checksumOffset, start + 8);
    }
    if (this.segmentSize > 0) {
      bytes[start + 1] = this.segmentKind;
      bytes.writeUInt16LE(this.checksumFrom < 0 ? 0 : this.checksumFrom + this.#upperLength() - start - offloadLength, start + 2);
      bytes.writeUInt16LE(this.segmentSize, start + 4);
    }
    return start;
  }

  /** The largest packet, from the IPv6 header on, that reaches the wire of this frame. */
  largestPacket(): number {
    if (this.segmentSize === 0) return this.length;
    return this.checksumFrom - this.at + this.#upperLength() + this.segmentSize;
  }

  #upperLength(): number {
    return this.segmentKind === GSO_TCP6 ? ((this.bytes[this.checksumFrom + 12] as number) >> 4) * 4 : 8;
  }
}
