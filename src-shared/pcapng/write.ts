/**
 * The pcapng blocks that we write (draft-ietf-opsawg-pcapng), little-endian, each padded to 32 bits:
 * | type 32 | total length 32 | body … | options … | total length 32 |
 * Our own writer, because the packages there are only read, or have had no release in years.
 */

export const blockType = { sectionHeader: 0x0a0d0d0a, interfaceDescription: 1, interfaceStatistics: 5, enhancedPacket: 6 } as const;
export const linkTypeEthernet = 1;

export type Direction = "in" | "out" | "unknown";

const encoder = new TextEncoder();
const padded = (length: number) => (length + 3) & ~3;

const option = { end: 0, comment: 1, interfaceName: 2, interfaceDescription: 3, timestampResolution: 9, filter: 11, hardware: 2, os: 3, application: 4, packetFlags: 2, received: 4, dropped: 5 } as const;

interface Option {
  readonly code: number;
  readonly value: Uint8Array;
}

/** A text option; what is longer than 65535 bytes in UTF-8 is cut. */
function text(code: number, value: string | undefined): Option[] {
  return value ? [{ code, value: encoder.encode(value).subarray(0, 0xffff) }] : [];
}

function u64(code: number, value: number): Option {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return { code, value: bytes };
}

function u32(code: number, value: number): Option {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return { code, value: bytes };
}

/** Length of a list of options with its end mark; 0 for none. */
function optionsLength(options: readonly Option[]): number {
  return options.length === 0 ? 0 : options.reduce((sum, o) => sum + 4 + padded(o.value.length), 4);
}

/** A block around a body of `bodyLength` bytes that `fill` writes, followed by the options. */
function block(type: number, bodyLength: number, options: readonly Option[], fill: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
  const total = 12 + padded(bodyLength) + optionsLength(options);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, total, true);
  fill(new DataView(bytes.buffer, 8, bodyLength), bytes.subarray(8, 8 + bodyLength));
  let at = 8 + padded(bodyLength);
  for (const o of options) {
    view.setUint16(at, o.code, true);
    view.setUint16(at + 2, o.value.length, true);
    bytes.set(o.value, at + 4);
    at += 4 + padded(o.value.length);
  }
  view.setUint32(total - 4, total, true);
  return bytes;
}

/** Starts a file. The section's length is left open. */
export function sectionHeader(about: { readonly application: string; readonly os?: string; readonly comment?: string }): Uint8Array {
  const options = [...text(option.comment, about.comment), ...text(option.os, about.os), ...text(option.application, about.application)];
  return block(blockType.sectionHeader, 16, options, (view) => {
    view.setUint32(0, 0x1a2b3c4d, true);
    view.setUint16(4, 1, true);
    view.setBigInt64(8, -1n, true);
  });
}

/** An Ethernet interface with nanosecond time stamps. Interfaces count from 0 in the order in which they are described. */
export function interfaceDescription(about: { readonly name: string; readonly description?: string; readonly filter?: string; readonly snaplen: number; readonly comment?: string }): Uint8Array {
  const options = [
    ...text(option.comment, about.comment),
    ...text(option.interfaceName, about.name),
    ...text(option.interfaceDescription, about.description),
    { code: option.timestampResolution, value: Uint8Array.of(9) },
    // The option starts with a byte that says how the filter is written: 0 means as text.
    ...(about.filter ? [{ code: option.filter, value: Uint8Array.of(0, ...encoder.encode(about.filter)) }] : []),
  ];
  return block(blockType.interfaceDescription, 8, options, (view) => {
    view.setUint16(0, linkTypeEthernet, true);
    view.setUint32(4, about.snaplen, true);
  });
}

/** How many packets an interface's capture took and lost. `timeNs` is nanoseconds since 1970. */
export function interfaceStatistics(about: { readonly interface: number; readonly timeNs: bigint; readonly received: number; readonly dropped: number }): Uint8Array {
  const options = [u64(option.received, about.received), u64(option.dropped, about.dropped)];
  return block(blockType.interfaceStatistics, 12, options, (view) => {
    view.setUint32(0, about.interface, true);
    view.setUint32(4, Number(about.timeNs >> 32n), true);
    view.setUint32(8, Number(about.timeNs & 0xffffffffn), true);
  });
}

export interface PacketAbout {
  readonly interface: number;
  /** Nanoseconds since 1970, as the two halves of 64 bits. */
  readonly timeHigh: number;
  readonly timeLow: number;
  readonly originalLength: number;
  readonly direction: Direction;
  readonly comment?: string;
}

/** One packet, `data` being what was kept of it from its Ethernet header on. */
export function enhancedPacket(about: PacketAbout, data: Uint8Array): Uint8Array {
  const flags = about.direction === "in" ? 1 : about.direction === "out" ? 2 : 0;
  const options = [...text(option.comment, about.comment), ...(flags ? [u32(option.packetFlags, flags)] : [])];
  return block(blockType.enhancedPacket, 20 + data.length, options, (view, bytes) => {
    view.setUint32(0, about.interface, true);
    view.setUint32(4, about.timeHigh, true);
    view.setUint32(8, about.timeLow, true);
    view.setUint32(12, data.length, true);
    view.setUint32(16, about.originalLength, true);
    bytes.set(data, 20);
  });
}

/** Bytes that `PacketPen` needs for a packet of which `captured` bytes were kept. */
export function packetBlockLength(captured: number): number {
  return 12 + 20 + padded(captured) + 12;
}

/** Writes packet blocks one behind the other into one buffer: what a capture does a hundred thousand times a second. */
export class PacketPen {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** How much of the buffer is written. */
  length = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Whether a packet of which `captured` bytes were kept still fits. */
  fits(captured: number): boolean {
    return this.length + packetBlockLength(captured) <= this.#bytes.length;
  }

  /** The same block as `enhancedPacket` without a comment, for interface 0. `nanoseconds` below 10^9. Throws RangeError when it does not fit. */
  packet(seconds: number, nanoseconds: number, originalLength: number, outgoing: boolean, data: Uint8Array): void {
    const total = packetBlockLength(data.length);
    const at = this.length;
    const view = this.#view;
    // seconds * 10^9 exceeds 2^53: multiply the halves of 16 bits apart, then carry.
    const low = (seconds % 0x10000) * 1_000_000_000 + nanoseconds;
    const high = Math.floor(seconds / 0x10000) * 1_000_000_000;
    const sum = (high % 0x10000) * 0x10000 + low;
    view.setUint32(at, blockType.enhancedPacket, true);
    view.setUint32(at + 4, total, true);
    view.setUint32(at + 8, 0, true);
    view.setUint32(at + 12, Math.floor(high / 0x10000) + Math.floor(sum / 0x1_0000_0000), true);
    view.setUint32(at + 16, sum % 0x1_0000_0000, true);
    view.setUint32(at + 20, data.length, true);
    view.setUint32(at + 24, originalLength, true);
    this.#bytes.set(data, at + 28);
    const end = at + 28 + padded(data.length);
    this.#bytes.fill(0, at + 28 + data.length, end);
    view.setUint16(end, option.packetFlags, true);
    view.setUint16(end + 2, 4, true);
    view.setUint32(end + 4, outgoing ? 2 : 1, true);
    view.setUint32(end + 8, option.end, true);
    view.setUint32(end + 12, total, true);
    this.length = end + 16;
  }
}

/** Nanoseconds since 1970 as the two halves that pcapng keeps. Exact: no number here exceeds 2^53. */
export function timeHalves(seconds: number, nanoseconds: number): { readonly timeHigh: number; readonly timeLow: number } {
  const total = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  return { timeHigh: Number(total >> 32n), timeLow: Number(total & 0xffffffffn) };
}
