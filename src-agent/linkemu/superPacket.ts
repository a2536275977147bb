/**
 * What a packet socket with PACKET_VNET_HDR gives: virtio_net_hdr, Ethernet, IPv6. A super-packet is many TCP or UDP segments under one
 * header, as the sender's stack leaves them to the card; its checksum covers the pseudo-header only.
 *
 * virtio_net_hdr, little endian: | flags 8 | type 8 | header length 16 | segment size 16 | checksum start 16 | checksum offset 16 |;
 * lengths count from the Ethernet header.
 */
export const vnetHeader = 10;
export const ethernetHeader = 14;
/** Where the IPv6 header starts. */
export const ipv6Start = vnetHeader + ethernetHeader;
export const ipv6Header = 40;

const needsChecksum = 1;
const typeTcp6 = 4;
const typeUdp = 5;
const typeEcn = 0x80;
const TCP_FIN_PSH = 0x09;
const TCP_CWR = 0x80;
const IPPROTO_IPV6 = 41;

/** How a packet is cut. `headers` counts bytes from the IPv6 header to the payload; `segment` payload bytes each; one segment: not a super-packet. */
export interface Segmentation {
  readonly segments: number;
  readonly headers: number;
  readonly segment: number;
  readonly tcp: boolean;
}

/** `length` counts from the virtio header at `start`. A super-packet of a kind that we cannot cut counts as one segment. */
export function segmentation(packet: Buffer, start: number, length: number): Segmentation {
  const total = length - ipv6Start;
  const type = (packet[start + 1] as number) & ~typeEcn;
  const segment = packet.readUInt16LE(start + 4);
  const whole = { segments: 1, headers: ipv6Header, segment: total - ipv6Header, tcp: type === typeTcp6 };
  if ((type !== typeTcp6 && type !== typeUdp) || segment === 0 || !((packet[start] as number) & needsChecksum)) return whole;
  const transport = packet.readUInt16LE(start + 6) - ethernetHeader;
  const at = start + ipv6Start + transport;
  if (transport < ipv6Header || at + 20 > start + length) return whole;
  const headers = transport + (type === typeTcp6 ? ((packet[at + 12] as number) >> 4) * 4 : 8);
  const payload = total - headers;
  if (payload <= segment) return whole;
  return { segments: Math.ceil(payload / segment), headers, segment, tcp: type === typeTcp6 };
}

/** Bytes on the wire of `segments` segments carrying `payload` bytes: every segment has its own headers. */
export function wireBytes(cut: Segmentation, segments: number, payload: number): number {
  return segments * cut.headers + payload;
}

/** Payload bytes of segments [from, to). */
export function payloadOf(cut: Segmentation, total: number, from: number, to: number): number {
  return Math.min(total - cut.headers, to * cut.segment) - from * cut.segment;
}

/** Writes segments [from, to) of a super-packet as a packet of its own at `target`, and returns its length. `to` bytes must fit there. */
export function cutSegments(source: Buffer, start: number, length: number, cut: Segmentation, from: number, to: number, target: Buffer, at: number): number {
  const total = length - ipv6Start;
  const payload = payloadOf(cut, total, from, to);
  const headerBytes = ipv6Start + cut.headers;
  const dataStart = start + headerBytes + from * cut.segment;
  source.copy(target, at, start, start + headerBytes);
  source.copy(target, at + headerBytes, dataStart, dataStart + payload);
  const shorter = total - cut.headers - payload;
  shortenIpv6(target, at + ipv6Start, at + headerBytes, shorter);
  const transport = at + vnetHeader + target.readUInt16LE(at + 6);
  if (cut.tcp) cutTcp(target, transport, from, to === cut.segments, from * cut.segment);
  else target.writeUInt16BE(target.readUInt16BE(transport + 4) - shorter, transport + 4);
  const checksum = transport + target.readUInt16LE(at + 8);
  target.writeUInt16BE(subtractWord(target.readUInt16BE(checksum), shorter), checksum);
  if (payload <= cut.segment) target.fill(0, at + 1, at + 6); // one segment: no longer a super-packet
  return headerBytes + payload;
}

/** Sequence number of the part; FIN and PSH belong to the last segment, CWR to the first. */
function cutTcp(target: Buffer, transport: number, from: number, last: boolean, skipped: number): void {
  target.writeUInt32BE((target.readUInt32BE(transport + 4) + skipped) >>> 0, transport + 4);
  let flags = target[transport + 13] as number;
  if (!last) flags &= ~TCP_FIN_PSH;
  if (from > 0) flags &= ~TCP_CWR;
  target[transport + 13] = flags;
}

/** Payload lengths of the IPv6 header at `at` and of those tunnelled inside, up to `end`. */
function shortenIpv6(packet: Buffer, at: number, end: number, shorter: number): void {
  let header = at;
  for (;;) {
    packet.writeUInt16BE(packet.readUInt16BE(header + 4) - shorter, header + 4);
    let next = packet[header + 6] as number;
    let from = header + ipv6Header;
    while ((next === 0 || next === 43 || next === 60) && from + 8 <= end) {
      next = packet[from] as number;
      from += ((packet[from + 1] as number) + 1) * 8;
    }
    if (next !== IPPROTO_IPV6 || from + ipv6Header > end) return;
    header = from;
  }
}

/** One's complement subtraction of a 16-bit word from a sum. */
function subtractWord(sum: number, word: number): number {
  const difference = sum + (~word & 0xffff);
  return (difference & 0xffff) + (difference >> 16);
}
