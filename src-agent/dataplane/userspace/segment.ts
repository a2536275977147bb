import { Frame, GSO_TCP6, headroom } from "./frame.ts";

const FIN = 0x01;
const PSH = 0x08;
const CWR = 0x80;

/** Whether `segments` can cut this packet: an ordinary one needs no cutting, of large ones we can cut those of TCP. */
export function canCut(frame: Frame): boolean {
  return frame.segmentSize === 0 || (frame.segmentKind === GSO_TCP6 && frame.checksumFrom >= 0);
}

/**
 * Cuts a large TCP packet (not in a tunnel, no extension headers needed to be known) into the segments it stands for, each with its own
 * checksum still to be finished by the device; `canCut` says whether that is possible. The frames share `scratch`, one after the other: each is
 * good until the next is taken.
 */
export function* segments(frame: Frame, scratch: Buffer): Generator<Frame, void> {
  if (frame.segmentSize === 0) return yield frame;
  const { bytes, at, end, checksumFrom: tcp } = frame;
  const headers = tcp - at + ((bytes[tcp + 12] as number) >> 4) * 4;
  const sequence = bytes.readUInt32BE(tcp + 4);
  const flags = bytes[tcp + 13] as number;
  const wholeUpper = end - tcp;
  const partial = bytes.readUInt16BE(tcp + 16);
  for (let from = at + headers; from < end; from += frame.segmentSize) {
    const to = Math.min(end, from + frame.segmentSize);
    bytes.copy(scratch, headroom, at, at + headers);
    bytes.copy(scratch, headroom + headers, from, to);
    const length = headers + to - from;
    const upper = headroom + tcp - at;
    scratch.writeUInt16BE(length - 40, headroom + 4);
    scratch.writeUInt32BE((sequence + from - at - headers) >>> 0, upper + 4);
    let own = flags;
    if (to < end) own &= ~(FIN | PSH);
    if (from > at + headers) own &= ~CWR;
    scratch[upper + 13] = own;
    // The sum so far covers the pseudo-header with the whole's length (RFC 1624).
    scratch.writeUInt16BE(fold(partial + (~wholeUpper & 0xffff) + (length - (tcp - at))), upper + 16);
    yield new Frame(scratch, headroom, headroom + length, { segmentKind: 0, segmentSize: 0, checksumFrom: upper, checksumOffset: 16 });
  }
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}
