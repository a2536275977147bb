import { addressBytes, type Address } from "../../src-shared/net/address.ts";

const headerLength = 40;
const fragmentHeaderLength = 8;
const nextHeaderAt = 6;
const fragmentHeader = 44;
const smallestMtu = 1280;
/** RFC 8201 §4: what a path was found not to carry is tried again after this long, ms. */
const forgetMs = 10 * 60_000;
/** Ends of tunnels are registered or members: more than this many narrow ways are not kept, and their packets get lost as before. */
const mostNarrow = 1024;

/** Whether a packet of this length, which its sender cannot make smaller, goes into a narrow tunnel only in fragments. Larger ones are refused on the way, as they should be. */
export function needsFragments(innerLength: number): boolean {
  return innerLength > wholeInNarrow && innerLength <= smallestMtu;
}

/** The largest packet that goes whole into a tunnel whose way carries just the minimum MTU. */
const wholeInNarrow = smallestMtu - headerLength;

/**
 * RFC 2473 §7.1: the ends of our tunnels to which not even a packet of the IPv6 minimum MTU gets through with the tunnel's header on it. Their senders
 * cannot make such packets smaller: the tunnel's own packets are fragmented. On wider ways senders are told the path MTU instead.
 */
export class NarrowTunnels {
  readonly #until = new Map<string, number>();

  /** A Packet Too Big about our tunnel to `end`, whose reported MTU leaves `innerMtu` bytes (at least 1280) to the packet inside. True when that is news. */
  learn(end: string, innerMtu: number, now: number): boolean {
    if (innerMtu > smallestMtu) return false;
    const known = this.#until.has(end);
    if (!known && this.#until.size >= mostNarrow) return false;
    this.#until.set(end, now + forgetMs);
    return !known;
  }

  has(end: string, now: number): boolean {
    const until = this.#until.get(end);
    return until !== undefined && now < until;
  }

  get size(): number {
    return this.#until.size;
  }

  /** Forgets what is too old, and says which. */
  expire(now: number): string[] {
    const over = [...this.#until].filter(([, until]) => now >= until).map(([end]) => end);
    for (const end of over) this.#until.delete(end);
    return over;
  }
}

/** `inner` in a tunnel, traffic class and flow label copied (RFC 2473 §3.1). */
export function encapsulated(inner: Uint8Array, source: Address, destination: Address, hopLimit: number): Uint8Array {
  const out = new Uint8Array(headerLength + inner.length);
  out.set(inner.subarray(0, 4));
  out[4] = inner.length >> 8;
  out[5] = inner.length & 0xff;
  out[nextHeaderAt] = 41;
  out[7] = hopLimit;
  out.set(addressBytes(source), 8);
  out.set(addressBytes(destination), 24);
  out.set(inner, headerLength);
  return out;
}

/**
 * RFC 8200 §4.5: a packet without extension headers, from its IPv6 header on, in fragments of at most the minimum MTU; itself when it is no longer
 * than that. `identification` is 32 bits, another for each packet.
 */
export function fragmentsOf(packet: Uint8Array, identification: number): Uint8Array[] {
  if (packet.length <= smallestMtu) return [packet];
  const room = (smallestMtu - headerLength - fragmentHeaderLength) & ~7;
  const fragments: Uint8Array[] = [];
  for (let at = headerLength; at < packet.length; at += room) {
    const part = packet.subarray(at, at + room);
    const out = new Uint8Array(headerLength + fragmentHeaderLength + part.length);
    const view = new DataView(out.buffer);
    out.set(packet.subarray(0, headerLength));
    view.setUint16(4, out.length - headerLength);
    out[nextHeaderAt] = fragmentHeader;
    out[headerLength] = packet[nextHeaderAt] as number;
    view.setUint16(headerLength + 2, (at - headerLength) | (at + room < packet.length ? 1 : 0));
    view.setUint32(headerLength + 4, identification >>> 0);
    out.set(part, headerLength + fragmentHeaderLength);
    fragments.push(out);
  }
  return fragments;
}
