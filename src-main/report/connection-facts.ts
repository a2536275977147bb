import type { Address } from "../../src-shared/net/address.ts";
import { sequenceDifference, type TcpHeader } from "../capture/frame.ts";
import { Column } from "./columns.ts";

/** By which way a packet reached the client or left it. */
export type PacketPath = "homeAgent" | "contact" | "direct";

/** What a client's capture shows of one of its TCP connections to X. Times are run time in ms, ascending. */
export interface ConnectionFacts {
  readonly client: Address;
  readonly clientPort: number;
  readonly port: number;
  /** Arrivals at the client that brought new payload, and up to which byte of the stream (counted from 0 behind the SYN). */
  readonly downAt: Column;
  readonly downTo: Column;
  /** Arrivals at the client that acknowledged more of what it sent, and up to which byte. */
  readonly upAt: Column;
  readonly upTo: Column;
  /** Round trips by TCP time stamps, taken at the serving member. */
  readonly rttAt: Column;
  readonly rttMs: Column;
  /** Segments from X that repeat bytes sent before, when they left a member. */
  readonly retransmitAt: Column;
  /** Payload bytes at the client by path, both directions, repeated ones included. */
  readonly pathBytes: Readonly<Record<PacketPath, number>>;
  /** RST segments from X that reached the client. */
  readonly resetAt: Column;
  /** Bytes of the client's own stream that it has sent. */
  readonly sentTo: number;
  /** Both sides of the handshake were captured, so that stream positions count from the real start. */
  readonly fromStart: boolean;
}

/** A 32-bit sequence number's place in its stream, followed across wraps. */
class Stream {
  #known = false;
  #last = 0;
  #offset = 0;
  fromSyn = false;

  /** Offset of `sequence` behind the first byte; the first number that is placed is taken for that byte. */
  place(sequence: number): number {
    if (!this.#known) {
      this.#known = true;
      this.#last = sequence;
    }
    const offset = this.#offset + sequenceDifference(sequence, this.#last);
    if (offset > this.#offset) {
      this.#offset = offset;
      this.#last = sequence;
    }
    return offset;
  }

  /** A SYN takes one number; the stream's first byte is the next one. */
  startAt(sequence: number): void {
    if (this.#known) return;
    this.place((sequence + 1) >>> 0);
    this.fromSyn = true;
  }

  get known(): boolean {
    return this.#known;
  }
}

const rememberedStamps = 4096;

/** Gathers the facts of one connection, packet by packet in the order of time. */
export class ConnectionGatherer implements ConnectionFacts {
  readonly client: Address;
  readonly clientPort: number;
  readonly port: number;
  readonly downAt = new Column();
  readonly downTo = new Column();
  readonly upAt = new Column();
  readonly upTo = new Column();
  readonly rttAt = new Column();
  readonly rttMs = new Column();
  readonly retransmitAt = new Column();
  readonly resetAt = new Column();
  readonly pathBytes: Record<PacketPath, number> = { homeAgent: 0, contact: 0, direct: 0 };
  sentTo = 0;
  readonly #down = new Stream();
  readonly #up = new Stream();
  readonly #left = new Stream();
  #leftTo = 0;
  #acknowledged = 0;
  #upAcknowledged = 0;
  #downHighest = 0;
  readonly #stamps = new Map<number, number>();

  constructor(client: Address, clientPort: number, port: number) {
    this.client = client;
    this.clientPort = clientPort;
    this.port = port;
  }

  get fromStart(): boolean {
    return this.#down.fromSyn && this.#up.fromSyn;
  }

  /** X → C as it arrives at the client. */
  arrived(tcp: TcpHeader, path: PacketPath, at: number): void {
    this.pathBytes[path] += tcp.length;
    if (tcp.rst) {
      this.resetAt.push(at);
      return;
    }
    if (tcp.syn) this.#down.startAt(tcp.sequence);
    const end = this.#down.place((tcp.sequence + (tcp.syn ? 1 : 0)) >>> 0) + tcp.length;
    // New is what the client has not acknowledged yet: a hole that is filled counts, a repetition does not.
    if (tcp.length > 0 && end > this.#acknowledged) {
      this.#downHighest = Math.max(this.#downHighest, end);
      this.downAt.push(at);
      this.downTo.push(this.#downHighest);
    }
    if (!tcp.ack || !this.#up.known) return;
    // The FIN's number is no byte.
    const acknowledged = Math.min(this.#up.place(tcp.acknowledgement), this.sentTo);
    if (acknowledged > this.#upAcknowledged) {
      this.#upAcknowledged = acknowledged;
      this.upAt.push(at);
      this.upTo.push(acknowledged);
    }
  }

  /** C → X as it leaves the client. */
  sent(tcp: TcpHeader, path: PacketPath): void {
    this.pathBytes[path] += tcp.length;
    if (tcp.syn) this.#up.startAt(tcp.sequence);
    const end = this.#up.place((tcp.sequence + (tcp.syn ? 1 : 0)) >>> 0) + tcp.length;
    // A FIN takes a number too: only payload counts.
    if (tcp.length > 0) this.sentTo = Math.max(this.sentTo, end);
    if (tcp.ack && this.#down.known) this.#acknowledged = Math.max(this.#acknowledged, this.#down.place(tcp.acknowledgement));
  }

  /** X → C as it leaves the member that serves. True when it carries bytes that had not left before. */
  left(tcp: TcpHeader, at: number): boolean {
    if (tcp.length === 0) return false;
    const end = this.#left.place(tcp.sequence) + tcp.length;
    const fresh = end > this.#leftTo;
    if (!fresh) this.retransmitAt.push(at);
    this.#leftTo = Math.max(this.#leftTo, end);
    if (tcp.stamp && !this.#stamps.has(tcp.stamp.value)) {
      this.#stamps.set(tcp.stamp.value, at);
      if (this.#stamps.size > rememberedStamps) this.#stamps.delete(this.#stamps.keys().next().value as number);
    }
    return fresh;
  }

  /** C → X as it arrives at the member that serves. */
  came(tcp: TcpHeader, at: number): void {
    if (!tcp.stamp) return;
    const sentAt = this.#stamps.get(tcp.stamp.echo);
    if (sentAt === undefined) return;
    // Only the first echo of a stamp measures the path; later ones measure how long the sender was silent.
    this.#stamps.delete(tcp.stamp.echo);
    this.rttAt.push(at);
    this.rttMs.push(at - sentAt);
  }
}
