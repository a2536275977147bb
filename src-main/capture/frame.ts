import { formatAddress, type Address } from "../../src-shared/net/address.ts";

/** A captured frame down to its transport header. Only IPv6 over Ethernet; what is cut off by the snap length reads as absent. */
export interface Frame {
  /** Of the innermost IPv6 header, as on the wire: care-of addresses where there is a Home Address option or a type 2 routing header. */
  readonly source: Address;
  readonly destination: Address;
  readonly tunnel: { readonly source: Address; readonly destination: Address } | null;
  /** From the Home Address option, RFC 6275 §6.3. */
  readonly homeAddress: Address | null;
  /** From the type 2 routing header, §6.4. */
  readonly routingHomeAddress: Address | null;
  /** Next header behind all of these: 6 TCP, 135 Mobility Header, 58 ICMPv6. */
  readonly protocol: number;
  /** From that header on, as far as it was kept. */
  readonly payload: Uint8Array;
  /** Its length on the wire. */
  readonly payloadLength: number;
  /** Offset of the outermost IPv6 header in the frame. */
  readonly ipv6At: number;
}

export interface TcpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly syn: boolean;
  readonly fin: boolean;
  readonly rst: boolean;
  readonly ack: boolean;
  /** Payload bytes on the wire. */
  readonly length: number;
  /** TCP time stamps option: value and echo; null when absent or cut off. */
  readonly stamp: { readonly value: number; readonly echo: number } | null;
}

const tcp = 6;
const ipv6InIpv6 = 41;
const routing = 43;
const destinationOptions = 60;
const hopByHop = 0;
const ethernetLength = 14;

/** Addresses as canonical text, each formatted once: a capture has millions of packets and a dozen addresses. */
const known = new Map<string, Address>();
function addressAt(bytes: Uint8Array, at: number): Address {
  const key = Buffer.from(bytes.buffer, bytes.byteOffset + at, 16).toString("latin1");
  let address = known.get(key);
  if (address === undefined) {
    if (known.size > 100_000) known.clear();
    address = formatAddress(bytes, at);
    known.set(key, address);
  }
  return address;
}

/** Reads a frame, or null when it is not IPv6 or its headers are cut off or make no sense. `originalLength` is its length on the wire. */
export function readFrame(data: Uint8Array, originalLength: number): Frame | null {
  if (data.length < ethernetLength + 40 || data[12] !== 0x86 || data[13] !== 0xdd) return null;
  let at = ethernetLength;
  let tunnel: Frame["tunnel"] = null;
  for (;;) {
    if (data.length < at + 40 || (data[at] as number) >> 4 !== 6) return null;
    const source = addressAt(data, at + 8);
    const destination = addressAt(data, at + 24);
    const said = u16(data, at + 4);
    // 0 stands for a jumbo packet, as the kernel shows large segments that the device will cut.
    const end = said === 0 ? originalLength : at + 40 + said;
    const chain = extensions(data, data[at + 6] as number, at + 40);
    if (!chain) return null;
    if (chain.protocol === ipv6InIpv6 && tunnel === null) {
      tunnel = { source, destination };
      at = chain.at;
      continue;
    }
    return { source, destination, tunnel, ...chain.mobility, protocol: chain.protocol, payload: data.subarray(chain.at, end), payloadLength: Math.max(0, end - chain.at), ipv6At: ethernetLength };
  }
}

type Mobility = Pick<Frame, "homeAddress" | "routingHomeAddress">;

/** Walks extension headers up to the first that is none; the two that Mobile IPv6 uses leave their address. */
function extensions(data: Uint8Array, protocol: number, at: number): { readonly protocol: number; readonly at: number; readonly mobility: Mobility } | null {
  let mobility: Mobility = { homeAddress: null, routingHomeAddress: null };
  for (let i = 0; i < 6; i++) {
    if (protocol !== routing && protocol !== destinationOptions && protocol !== hopByHop) return { protocol, at, mobility };
    if (data.length < at + 8) return null;
    const length = ((data[at + 1] as number) + 1) * 8;
    if (data.length < at + length) return null;
    if (protocol === routing && data[at + 2] === 2 && length === 24) mobility = { ...mobility, routingHomeAddress: addressAt(data, at + 8) };
    if (protocol === destinationOptions) mobility = { ...mobility, homeAddress: homeAddressOption(data, at + 2, at + length) ?? mobility.homeAddress };
    protocol = data[at] as number;
    at += length;
  }
  return null;
}

/** The Home Address option (type 201, 16 bytes) among a header's options. */
function homeAddressOption(data: Uint8Array, at: number, end: number): Address | null {
  while (at < end) {
    const type = data[at] as number;
    if (type === 0) {
      at++;
      continue;
    }
    const length = data[at + 1] ?? 0;
    if (type === 201 && length === 16 && at + 18 <= end) return addressAt(data, at + 2);
    at += 2 + length;
  }
  return null;
}

/** The TCP header of a frame, or null when it is not TCP or cut off. */
export function readTcp(frame: Frame): TcpHeader | null {
  const p = frame.payload;
  if (frame.protocol !== tcp || p.length < 20) return null;
  const headerLength = ((p[12] as number) >> 4) * 4;
  const flags = p[13] as number;
  return {
    sourcePort: u16(p, 0),
    destinationPort: u16(p, 2),
    sequence: u32(p, 4),
    acknowledgement: u32(p, 8),
    fin: (flags & 1) !== 0,
    syn: (flags & 2) !== 0,
    rst: (flags & 4) !== 0,
    ack: (flags & 16) !== 0,
    length: Math.max(0, frame.payloadLength - headerLength),
    stamp: stampOption(p, Math.min(headerLength, p.length)),
  };
}

function stampOption(p: Uint8Array, end: number): TcpHeader["stamp"] {
  let at = 20;
  while (at < end) {
    const kind = p[at] as number;
    if (kind === 0) return null;
    if (kind === 1) {
      at++;
      continue;
    }
    if (kind === 8 && at + 10 <= end) return { value: u32(p, at + 2), echo: u32(p, at + 6) };
    const length = p[at + 1] ?? 0;
    if (length < 2) return null;
    at += length;
  }
  return null;
}

/** a − b of two TCP sequence numbers, −2^31..2^31−1. */
export function sequenceDifference(a: number, b: number): number {
  return (a - b) | 0;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function u32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0;
}
