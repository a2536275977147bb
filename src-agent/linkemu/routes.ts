import { addressBytes } from "../../src-shared/net/address.ts";
import { parsePrefix } from "../../src-shared/net/prefix.ts";

interface Route {
  readonly words: readonly [number, number, number, number];
  readonly masks: readonly [number, number, number, number];
  readonly host: number;
}

/** Longest prefix match on IPv6 addresses inside packets. */
export class Routes {
  /** /128 routes by a hash of the address. */
  readonly #exact = new Map<number, Route[]>();
  /** The others, longest first. */
  readonly #prefixes: Route[];

  constructor(routes: readonly { readonly prefix: string; readonly host: number }[]) {
    const parsed = routes.map(({ prefix, host }) => ({ ...parsePrefix(prefix), host }));
    for (const { address, host } of parsed.filter((r) => r.length === 128)) {
      const route = { words: wordsOf(addressBytes(address)), masks: masksOf(128), host };
      const key = hash(...route.words);
      this.#exact.set(key, [...(this.#exact.get(key) ?? []), route]);
    }
    this.#prefixes = parsed
      .filter((r) => r.length < 128)
      .sort((a, b) => b.length - a.length)
      .map(({ address, length, host }) => ({ words: wordsOf(addressBytes(address)), masks: masksOf(length), host }));
  }

  /** The index of the host that packets for the address at `at` go to, or -1. */
  find(packet: Buffer, at: number): number {
    const a = packet.readUInt32BE(at);
    const b = packet.readUInt32BE(at + 4);
    const c = packet.readUInt32BE(at + 8);
    const d = packet.readUInt32BE(at + 12);
    for (const { words, host } of this.#exact.get(hash(a, b, c, d)) ?? none) if (words[0] === a && words[1] === b && words[2] === c && words[3] === d) return host;
    for (const { words: w, masks: m, host } of this.#prefixes)
      if ((a & m[0]) >>> 0 === w[0] && (b & m[1]) >>> 0 === w[1] && (c & m[2]) >>> 0 === w[2] && (d & m[3]) >>> 0 === w[3]) return host;
    return -1;
  }
}

const none: Route[] = [];

function hash(a: number, b: number, c: number, d: number): number {
  return Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ d;
}

function wordsOf(bytes: Uint8Array): readonly [number, number, number, number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12)];
}

function masksOf(length: number): readonly [number, number, number, number] {
  const mask = (word: number) => {
    const ones = Math.min(32, Math.max(0, length - 32 * word));
    return ones === 0 ? 0 : (0xffffffff << (32 - ones)) >>> 0;
  };
  return [mask(0), mask(1), mask(2), mask(3)];
}
