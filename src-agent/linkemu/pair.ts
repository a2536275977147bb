import type { LinkQuality, PairCounters } from "../../src-shared/api/lab.ts";
import { Line } from "./timeline.ts";
import type { Shaper } from "./shaper.ts";

/** Where a packet is on its way; each stage but the last has a line to wait in. */
export const stages = { egress: 0, path: 1, delay: 2, ingress: 3, out: 4 } as const;

/** Everything from one host to another: what the three links in between add up to, the line of packets under way, and the counts. */
export class Pair {
  readonly from: number;
  readonly to: number;
  readonly line = new Line(stages.delay);
  packets = 0;
  bytes = 0;
  readonly drops = new Map<string, number>();
  path: Shaper;
  delayMs = 0;
  loss = 0;
  mtu = 0;
  up = true;
  #jitters: number[] = [];

  constructor(from: number, to: number, path: Shaper) {
    this.from = from;
    this.to = to;
    this.path = path;
  }

  /** The links that a packet passes, in order. */
  set(links: readonly LinkQuality[], path: Shaper): void {
    this.path = path;
    this.delayMs = links.reduce((sum, link) => sum + link.delayMs, 0);
    this.loss = 1 - links.reduce((kept, link) => kept * (1 - link.loss), 1);
    this.mtu = Math.min(...links.map((link) => link.mtu));
    this.up = links.every((link) => link.up);
    this.#jitters = links.map((link) => link.jitterMs).filter((jitter) => jitter > 0);
  }

  /** The delay of one packet, ms. */
  drawDelay(random: () => number): number {
    let delay = this.delayMs;
    for (const jitter of this.#jitters) delay += jitter * random();
    return delay;
  }

  drop(reason: string, packets: number): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + packets);
  }

  counters(names: readonly string[]): PairCounters {
    return {
      from: names[this.from] as string,
      to: names[this.to] as string,
      delayMs: this.delayMs,
      packets: this.packets,
      bytes: this.bytes,
      drops: Object.fromEntries(this.drops),
    };
  }
}
