import type { LinkQuality } from "../../src-shared/api/lab.ts";
import type { EmulatorConfig } from "../../src-shared/api/linkemu.ts";
import { addressBytes } from "../../src-shared/net/address.ts";
import { Emulator } from "../../src-agent/linkemu/emulator.ts";
import { seededRandom } from "../../src-agent/linkemu/random.ts";

export const free: LinkQuality = { delayMs: 0, jitterMs: 0, loss: 0, rate: null, queue: { ms: 50 }, mtu: 1500, up: true };
export const hostAddress = (index: number) => `2001:db8:${index + 1}::10`;

export interface Left {
  readonly at: number;
  readonly to: number;
  readonly bytes: Buffer;
}

/** `count` hosts; every pair on one path unless `pathOf` says otherwise; time is whatever `run` says. */
export function emulatorAt(count: number, quality: Partial<LinkQuality>, change: (config: EmulatorConfig) => void = () => {}) {
  const indexes = Array.from({ length: count }, (_, i) => i);
  const config: EmulatorConfig = {
    hosts: indexes.map((i) => ({ name: `h${i}`, interface: `w${i}`, mac: `02:00:00:00:01:0${i}`, gateway: `2001:db8:${i + 1}::1` })),
    gatewayMac: "02:00:00:00:00:01",
    routes: indexes.map((i) => ({ prefix: `${hostAddress(i)}/128`, host: i })),
    links: {
      access: indexes.map(() => ({ egress: free, ingress: free })),
      paths: [{ name: "all", quality: { ...free, ...quality } }],
      pathOf: indexes.map(() => indexes.map(() => 0)),
    },
    seed: 7,
    memoryBytes: 8 << 20,
  };
  change(config);
  let now = 0;
  const left: Left[] = [];
  const emulator = new Emulator(config, {
    random: seededRandom(config.seed),
    clock: () => now,
    transmit: (memory, offset, length, to) => {
      left.push({ at: now, to, bytes: Buffer.from(memory.subarray(offset, offset + length)) });
      return true;
    },
  });
  return {
    emulator,
    config,
    left,
    send: (packet: Buffer, from: number, at: number) => {
      now = Math.max(now, at);
      emulator.arrive(packet, 0, packet.length, from, at);
    },
    /** Runs event by event until `until`, ms, each at its very time. */
    run: (until: number) => {
      while (emulator.nextDue <= until) {
        now = Math.max(now, emulator.nextDue);
        emulator.run(now);
      }
      now = until;
    },
    /** Wakes up once, at `at`, however late that is for what was due before. */
    wake: (at: number) => {
      now = at;
      emulator.run(at);
    },
  };
}

export interface PacketFields {
  readonly from: number;
  readonly to: number;
  /** Payload bytes after UDP or TCP header. */
  readonly payload: number;
  readonly hopLimit?: number;
  /** Segment size of a TCP super-packet. */
  readonly segment?: number;
  /** TCP flags. */
  readonly flags?: number;
  /** Bytes of a destination options header before the transport header. */
  readonly options?: number;
}

/** A packet as the packet socket gives it: virtio header, Ethernet, IPv6, then UDP, or TCP with its checksum left to the card. */
export function packet(fields: PacketFields): Buffer {
  const tcp = fields.segment !== undefined;
  const options = fields.options ?? 0;
  const transport = tcp ? 20 : 8;
  const upper = transport + fields.payload;
  const b = Buffer.alloc(24 + 40 + options + upper);
  b.writeUInt16BE(0x86dd, 22);
  b[24] = 0x60;
  b.writeUInt16BE(options + upper, 28);
  b[30] = options > 0 ? 60 : tcp ? 6 : 17;
  b[31] = fields.hopLimit ?? 64;
  b.set(addressBytes(hostAddress(fields.from)), 32);
  b.set(addressBytes(hostAddress(fields.to)), 48);
  const start = 64 + options;
  if (options > 0) {
    b[64] = tcp ? 6 : 17;
    b[65] = options / 8 - 1;
    b[66] = 1;
    b[67] = options - 4;
  }
  for (let i = 0; i < fields.payload; i++) b[start + transport + i] = (i * 7 + (i >> 8)) & 0xff;
  if (!tcp) {
    b.writeUInt16BE(upper, start + 4);
    return b;
  }
  b.writeUInt32BE(0xfffffff0, start + 4); // a sequence number about to wrap
  b[start + 12] = 0x50;
  b[start + 13] = fields.flags ?? 0x18;
  b.writeUInt16BE(pseudoSum(b.subarray(32, 64), upper, 6), start + 16);
  b[0] = 1;
  b[1] = 4;
  b.writeUInt16LE(start - 10 + 20, 2);
  b.writeUInt16LE(fields.segment as number, 4);
  b.writeUInt16LE(start - 10, 6);
  b.writeUInt16LE(16, 8);
  return b;
}

/** The folded, not inverted sum over the pseudo-header: what a stack leaves in the checksum field for the card. */
function pseudoSum(addresses: Buffer, length: number, protocol: number): number {
  let sum = length + protocol;
  for (let i = 0; i < 32; i += 2) sum += addresses.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

/** Finishes the checksum as a card would, and says whether a receiver would accept it. */
export function checksumAccepted(b: Buffer): boolean {
  const start = 10 + b.readUInt16LE(6);
  const at = start + b.readUInt16LE(8);
  const words = (from: number, to: number) => {
    let sum = 0;
    for (let i = from; i < to; i += 2) sum += (b[i] as number) * 256 + (i + 1 < to ? (b[i + 1] as number) : 0);
    return sum;
  };
  const fold = (sum: number) => {
    let s = sum;
    while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 65536);
    return s;
  };
  b.writeUInt16BE(~fold(words(start, b.length)) & 0xffff, at);
  return fold(pseudoSum(b.subarray(32, 64), b.length - start, 6) + words(start, b.length)) === 0xffff;
}
