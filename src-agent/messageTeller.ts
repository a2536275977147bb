import type { AgentEventBody } from "../src-shared/api/events.ts";
import type { Millis } from "../src-shared/protocol/core/step.ts";
import { takeToken, tokenBucket, type TokenBucket } from "../src-shared/protocol/core/tokenBucket.ts";
import { describe } from "../src-shared/protocol/wire/describe.ts";
import type { MobilityPacket } from "../src-shared/protocol/wire/message.ts";
import type { AgentMetrics } from "./metrics/agentMetrics.ts";

/** Received messages told one by one: anybody can send them, and a manager that cannot keep up is let go. */
export const toldRate = { perSecond: 2_000, burst: 5_000 };

/** Tells of signalling messages, and counts them all. */
export class MessageTeller {
  readonly #metrics: AgentMetrics;
  readonly #tell: (event: AgentEventBody) => void;
  #bucket: TokenBucket;
  #untold = 0;

  constructor(metrics: AgentMetrics, tell: (event: AgentEventBody) => void, now: Millis) {
    this.#metrics = metrics;
    this.#tell = tell;
    this.#bucket = tokenBucket(toldRate, now);
  }

  /** Received messages that were counted but not told. */
  get untold(): number {
    return this.#untold;
  }

  sent(packet: MobilityPacket, at: Millis): void {
    this.#message("sent", packet, at);
  }

  received(packet: MobilityPacket, at: Millis, now: Millis): void {
    const { bucket, taken } = takeToken(this.#bucket, now);
    this.#bucket = bucket;
    if (taken) return this.#message("received", packet, at);
    this.#metrics.message("received", packet.message.kind);
    this.#untold++;
  }

  #message(direction: "sent" | "received", packet: MobilityPacket, at: Millis): void {
    this.#metrics.message(direction, packet.message.kind);
    this.#tell({ type: "message", direction, at, source: packet.source, destination: packet.destination, tunnelled: packet.tunnel !== undefined, summary: describe(packet) });
  }
}
