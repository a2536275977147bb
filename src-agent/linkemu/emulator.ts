import type { EmulatorConfig, EmulatorReport, LinkTable } from "../../src-shared/api/linkemu.ts";
import { Histogram } from "./histogram.ts";
import { hopLimitExceeded, icmpErrorFor, noRoute, packetTooBig, type IcmpError } from "./icmpError.ts";
import { PacketStore } from "./packetStore.ts";
import { Pair, stages } from "./pair.ts";
import { Routes } from "./routes.ts";
import { Shaper } from "./shaper.ts";
import { cutSegments, ethernetHeader, ipv6Header, ipv6Start, payloadOf, segmentation, vnetHeader, wireBytes, type Segmentation } from "./superPacket.ts";
import { Timeline } from "./timeline.ts";

/** A super-packet is cut so that no part occupies the slowest link for longer than this, ms. */
const longestPart = 1;

/** Puts a packet (virtio header first) on the wire to a host. False where the kernel refused it. */
export type Transmit = (memory: Buffer, offset: number, length: number, host: number) => boolean;

/**
 * The network between the hosts of a lab: routes each packet to a host by its destination, and lets it wait as the links say: the sender's
 * egress rate, the path's rate, the delay, the receiver's ingress rate. No clock, no socket: it is told the time, in ms.
 */
export class Emulator {
  readonly #names: readonly string[];
  readonly #macs: readonly Buffer[];
  readonly #gateways: readonly string[];
  readonly #gatewayMac: Buffer;
  readonly #routes: Routes;
  readonly #store: PacketStore;
  readonly #timeline = new Timeline();
  readonly #egress: readonly Shaper[];
  readonly #ingress: readonly Shaper[];
  readonly #paths = new Map<string, Shaper>();
  readonly #pairs: (Pair | undefined)[];
  readonly #drops = new Map<string, number>();
  readonly #lateness = new Histogram();
  readonly #random: () => number;
  readonly #transmit: Transmit;
  readonly #clock: () => number;
  #links: LinkTable;

  constructor(config: EmulatorConfig, ports: { readonly transmit: Transmit; readonly random: () => number; readonly clock: () => number }) {
    this.#names = config.hosts.map((host) => host.name);
    this.#macs = config.hosts.map((host) => macBytes(host.mac));
    this.#gateways = config.hosts.map((host) => host.gateway);
    this.#gatewayMac = macBytes(config.gatewayMac);
    this.#routes = new Routes(config.routes);
    this.#store = new PacketStore(config.memoryBytes);
    this.#egress = config.hosts.map(() => new Shaper(stages.egress));
    this.#ingress = config.hosts.map(() => new Shaper(stages.ingress));
    this.#pairs = Array.from({ length: config.hosts.length ** 2 });
    this.#transmit = ports.transmit;
    this.#random = ports.random;
    this.#clock = ports.clock;
    this.#links = config.links;
    this.setLinks(config.links, ports.clock());
  }

  /** Replaces what all links do, at once. Throws RangeError when the table does not fit the hosts; then nothing has changed. */
  setLinks(links: LinkTable, now: number): void {
    checkTable(links, this.#names.length);
    this.#links = links;
    links.access.forEach(({ egress, ingress }, host) => {
      (this.#egress[host] as Shaper).set(egress, now, this.#timeline);
      (this.#ingress[host] as Shaper).set(ingress, now, this.#timeline);
    });
    for (const { name, quality } of links.paths) this.#path(name).set(quality, now, this.#timeline);
    for (const pair of this.#pairs) if (pair) this.#configure(pair);
  }

  /** When something has to be done next, ms, or Infinity. */
  get nextDue(): number {
    return this.#timeline.nextDue;
  }

  /** Moves every packet on that is due by `now`. */
  run(now: number): void {
    while (this.#timeline.nextDue <= now) {
      const { stage, due } = this.#timeline.next;
      const slot = this.#timeline.take();
      this.#store.at[slot] = due;
      this.#advance(slot, stage + 1);
    }
  }

  /** A packet from a host (virtio header first, `length` bytes at `start`) that arrived at `at`, ms. The bytes may be changed and reused afterwards. */
  arrive(packet: Buffer, start: number, length: number, from: number, at: number): void {
    const ip = start + ipv6Start;
    if (length < ipv6Start + ipv6Header || packet.readUInt16BE(start + vnetHeader + ethernetHeader - 2) !== 0x86dd) return this.drop("not IPv6");
    if (packet[ip + 24] === 0xff) return this.drop("multicast");
    if (packet[ip + 24] === 0xfe && ((packet[ip + 25] as number) & 0xc0) === 0x80) return this.drop("link-local");
    const to = this.#routes.find(packet, ip + 24);
    if (to < 0) return this.#refuse(packet, start, length, from, noRoute, "no route");
    const pair = this.#pair(from, to);
    const cut = segmentation(packet, start, length);
    if ((packet[ip + 7] as number) <= 1) return this.#refuse(packet, start, length, from, hopLimitExceeded, "hop limit", pair, cut.segments);
    if (!pair.up) return pair.drop("down", cut.segments);
    if (cut.headers + cut.segment > pair.mtu) return this.#refuse(packet, start, length, from, packetTooBig(pair.mtu), "too big", pair, cut.segments);
    packet[ip + 7] = (packet[ip + 7] as number) - 1;
    (this.#macs[to] as Buffer).copy(packet, start + vnetHeader);
    this.#gatewayMac.copy(packet, start + vnetHeader + 6);
    this.#admit(packet, start, length, cut, pair, at);
  }

  /** Counts a packet that belongs to no pair. */
  drop(reason: string, packets = 1): void {
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + packets);
  }

  /** Counts since the start; lateness since the last report. */
  report(): EmulatorReport {
    return {
      pairs: this.#pairs.flatMap((pair) => (pair && (pair.packets > 0 || pair.drops.size > 0) ? [pair.counters(this.#names)] : [])),
      drops: Object.fromEntries(this.#drops),
      lateness: this.#lateness.take(),
      waiting: this.#store.used,
      waitingBytes: this.#store.usedBytes,
    };
  }

  /** Draws the losses, segment by segment, and takes the rest in, in parts where the packet is long for the slowest link. */
  #admit(packet: Buffer, start: number, length: number, cut: Segmentation, pair: Pair, at: number): void {
    const most = cut.segments === 1 ? 1 : this.#longestRun(cut, pair);
    for (let first = 0; first < cut.segments; ) {
      let end = first;
      while (end < cut.segments && end - first < most && !(pair.loss > 0 && this.#random() < pair.loss)) end++;
      if (end > first) this.#take(packet, start, length, cut, first, end, pair, at);
      const lost = end < cut.segments && end - first < most;
      if (lost) pair.drop("loss", 1);
      first = lost ? end + 1 : end;
    }
  }

  #take(packet: Buffer, start: number, length: number, cut: Segmentation, first: number, end: number, pair: Pair, at: number): void {
    const payload = payloadOf(cut, length - ipv6Start, first, end);
    const whole = end - first === cut.segments;
    const slot = this.#store.take(whole ? length : ipv6Start + cut.headers + payload);
    if (slot < 0) return pair.drop("memory", end - first);
    const offset = this.#store.offset[slot] as number;
    if (whole) packet.copy(this.#store.memory, offset, start, start + length);
    else cutSegments(packet, start, length, cut, first, end, this.#store.memory, offset);
    this.#store.pair[slot] = pair.from * this.#names.length + pair.to;
    this.#store.wireBytes[slot] = wireBytes(cut, end - first, payload);
    this.#store.segments[slot] = end - first;
    this.#store.at[slot] = at;
    this.#advance(slot, stages.egress);
  }

  /** Takes a packet through the stages from `stage` on, until it has to wait, is dropped or leaves. */
  #advance(slot: number, stage: number): void {
    const pair = this.#pairs[this.#store.pair[slot] as number] as Pair;
    for (let s = stage; s < stages.out; s++) if (this.#waits(slot, s, pair)) return;
    this.#leave(slot, pair);
  }

  /** True when the packet was put in line or dropped at this stage. */
  #waits(slot: number, stage: number, pair: Pair): boolean {
    const at = this.#store.at[slot] as number;
    if (stage === stages.delay) {
      const due = Math.max(at + pair.drawDelay(this.#random), pair.line.lastDue(-Infinity));
      if (due === at && pair.line.size === 0) return false;
      this.#timeline.add(pair.line, slot, due);
      return true;
    }
    const shaper = stage === stages.egress ? (this.#egress[pair.from] as Shaper) : stage === stages.path ? pair.path : (this.#ingress[pair.to] as Shaper);
    if (shaper.open) return false;
    const due = shaper.admit(at, this.#store.wireBytes[slot] as number);
    if (due >= 0) this.#timeline.add(shaper.line, slot, due);
    else this.#discard(slot, pair, stage === stages.egress ? "egress queue" : stage === stages.path ? "path queue" : "ingress queue");
    return true;
  }

  #leave(slot: number, pair: Pair): void {
    if (!pair.up) return this.#discard(slot, pair, "down");
    if (!this.#transmit(this.#store.memory, this.#store.offset[slot] as number, this.#store.length[slot] as number, pair.to)) return this.#discard(slot, pair, "refused");
    this.#lateness.add(this.#clock() - (this.#store.at[slot] as number));
    pair.packets += this.#store.segments[slot] as number;
    pair.bytes += this.#store.wireBytes[slot] as number;
    this.#store.give(slot);
  }

  #discard(slot: number, pair: Pair, reason: string): void {
    pair.drop(reason, this.#store.segments[slot] as number);
    this.#store.give(slot);
  }

  /** Drops a packet and tells its sender why, at once, as the first router on its way would. */
  #refuse(packet: Buffer, start: number, length: number, from: number, error: IcmpError, reason: string, pair?: Pair, segments = 1): void {
    if (pair) pair.drop(reason, segments);
    else this.drop(reason, segments);
    const answer = icmpErrorFor(packet, start, length, this.#gateways[from] as string, error);
    if (!answer) return;
    (this.#macs[from] as Buffer).copy(answer, vnetHeader);
    this.#gatewayMac.copy(answer, vnetHeader + 6);
    this.#transmit(answer, 0, answer.length, from);
  }

  /** Most segments that may travel as one packet on these links. */
  #longestRun(cut: Segmentation, pair: Pair): number {
    const bytes = cut.headers + cut.segment;
    const slowest = Math.max((this.#egress[pair.from] as Shaper).duration(bytes), pair.path.duration(bytes), (this.#ingress[pair.to] as Shaper).duration(bytes));
    return slowest === 0 ? cut.segments : Math.max(1, Math.floor(longestPart / slowest));
  }

  #pair(from: number, to: number): Pair {
    const index = from * this.#names.length + to;
    const known = this.#pairs[index];
    if (known) return known;
    const pair = new Pair(from, to, this.#path(this.#pathFor(from, to).name));
    this.#configure(pair);
    this.#pairs[index] = pair;
    return pair;
  }

  #configure(pair: Pair): void {
    const path = this.#pathFor(pair.from, pair.to);
    const { egress } = this.#links.access[pair.from] as LinkTable["access"][number];
    const { ingress } = this.#links.access[pair.to] as LinkTable["access"][number];
    pair.set([egress, path.quality, ingress], this.#path(path.name));
  }

  #pathFor(from: number, to: number): LinkTable["paths"][number] {
    return this.#links.paths[this.#links.pathOf[from]?.[to] as number] as LinkTable["paths"][number];
  }

  #path(name: string): Shaper {
    const known = this.#paths.get(name);
    if (known) return known;
    const shaper = new Shaper(stages.path);
    this.#paths.set(name, shaper);
    return shaper;
  }
}

function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function checkTable(links: LinkTable, hosts: number): void {
  if (links.access.length !== hosts) throw new RangeError(`${links.access.length} access links for ${hosts} hosts`);
  const square = links.pathOf.length === hosts && links.pathOf.every((row) => row.length === hosts && row.every((path) => path < links.paths.length));
  if (!square) throw new RangeError(`pathOf must name one of ${links.paths.length} paths for each of ${hosts} × ${hosts} pairs`);
}
