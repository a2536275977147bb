import { addressBytes, type Address } from "../../src-shared/net/address.ts";
import { isMulticast, solicitedNode } from "../../src-shared/net/scope.ts";
import { NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION } from "../../src-shared/protocol/wire/neighborDiscovery.ts";
import { check, libc } from "./libc.ts";
import type { Link } from "./links.ts";
import { openPacketSocket, orWouldBlock, type FilterInstruction } from "./packetSocket.ts";
import { IPPROTO_IPV6 } from "./sockopt.ts";
import { Watch } from "./watch.ts";

const AF_INET6 = 10;
const SOCK_DGRAM_CLOEXEC = 2 | 0x80000;
const IPV6_JOIN_GROUP = 20;
const etherLength = 14;
const targetAt = etherLength + 40 + 8;
/** Solicitations and advertisements are short; what is longer carries options that we have no use for. */
const room = 512;
const readsPerTurn = 64;

/** Takes solicitations and advertisements about one address, and only what was meant for this host's Ethernet address or for many. */
function filterFor(target: Address): FilterInstruction[] {
  const words = Buffer.from(addressBytes(target));
  const [loadHalf, loadByte, loadWord, equal, greater, give] = [0x28, 0x30, 0x20, 0x15, 0x25, 0x06];
  const packetType = 0xfffff004;
  const forOthers = 3;
  // Each check jumps to the refusal at the end, or goes on to the next.
  const checks: readonly (readonly [load: number, at: number, jump: number, value: number, acceptWhen: boolean])[] = [
    [loadByte, packetType, equal, forOthers, false],
    [loadHalf, 12, equal, 0x86dd, true],
    [loadByte, etherLength + 6, equal, 58, true],
    [loadByte, etherLength + 40, greater, NEIGHBOR_SOLICITATION - 1, true],
    [loadByte, etherLength + 40, greater, NEIGHBOR_ADVERTISEMENT, false],
    ...[0, 4, 8, 12].map((at) => [loadWord, targetAt + at, equal, words.readUInt32BE(at), true] as const),
  ];
  const program = checks.flatMap(([load, at, jump, value, acceptWhen], i): FilterInstruction[] => {
    const refuse = 2 * (checks.length - i - 1) + 1;
    return [
      [load, 0, 0, at],
      [jump, acceptWhen ? 0 : refuse, acceptWhen ? refuse : 0, value],
    ];
  });
  return [...program, [give, 0, 0, room], [give, 0, 0, 0]];
}

/** Hears and speaks Neighbor Discovery about one address on an Ethernet device, whatever the kernel does. Needs CAP_NET_RAW. */
export class NeighborSocket {
  readonly #device: Link;
  readonly #fd: number;
  /** Membership of the solicited-node group: without it, cards and switches keep solicitations from us. */
  readonly #group: number;
  readonly #watch: Watch;
  readonly #buffer = Buffer.alloc(room);
  readonly #onPacket: (packet: Uint8Array, from: Uint8Array) => void;
  #closed = false;

  /** `onPacket` gets packets from their IPv6 header on, unchecked, and the Ethernet address they came from. */
  constructor(device: Link, target: Address, onPacket: (packet: Uint8Array, from: Uint8Array) => void) {
    this.#device = device;
    this.#onPacket = onPacket;
    this.#group = joinGroup(device.index, solicitedNode(target));
    try {
      this.#fd = openPacketSocket({ device: device.index, linkLayer: true, filter: filterFor(target) });
    } catch (error) {
      libc.close(this.#group);
      throw error;
    }
    this.#watch = new Watch(this.#fd, { readable: true }, () => this.#read());
  }

  /** `packet` starts at its IPv6 header; `to` is the Ethernet address of a unicast destination. Throws a SystemCallError. */
  send(packet: Uint8Array, to: Uint8Array | undefined): void {
    const ethernet = Buffer.concat([to ?? multicastEthernet(packet), this.#device.address, Buffer.from([0x86, 0xdd])]);
    const frame = Buffer.concat([ethernet, packet]);
    check(libc.send(this.#fd, frame, frame.length, 0), `send neighbor discovery on ${this.#device.name}`);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    libc.close(this.#fd);
    libc.close(this.#group);
  }

  #read(): void {
    for (let i = 0; i < readsPerTurn && !this.#closed; i++) {
      const length = orWouldBlock(libc.recv(this.#fd, this.#buffer, room, 0), "recv(neighbor discovery)");
      if (length === undefined) return;
      if (length > etherLength) this.#onPacket(new Uint8Array(this.#buffer.subarray(etherLength, length)), new Uint8Array(this.#buffer.subarray(6, 12)));
    }
  }
}

/** RFC 2464 §7: 33:33 and the last four bytes of the multicast address. */
function multicastEthernet(packet: Uint8Array): Uint8Array {
  return new Uint8Array([0x33, 0x33, ...packet.subarray(36, 40)]);
}

/** A socket whose only purpose is the membership, which ends with it. */
function joinGroup(device: number, group: Address): number {
  if (!isMulticast(group)) throw new RangeError(`${group} is not a multicast address`);
  const fd = check(libc.socket(AF_INET6, SOCK_DGRAM_CLOEXEC, 0), "socket(AF_INET6)");
  const request = Buffer.alloc(20);
  request.set(addressBytes(group));
  request.writeInt32LE(device, 16);
  try {
    check(libc.setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, request, request.length), `join ${group}`);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}
