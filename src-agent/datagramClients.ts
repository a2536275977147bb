import type { Address } from "../src-shared/net/address.ts";
import { takeToken, tokenBucket, type TokenBucket } from "../src-shared/protocol/core/tokenBucket.ts";
import type { Millis } from "../src-shared/protocol/core/step.ts";

/**
 * So many datagrams make a client: a home test that it then gets is no longer than what it sent (three Home Test Inits of 56 bytes against four
 * packets of 48 and more), so nobody gains by sending under another's address.
 */
export const datagramsOfAClient = 4;
/** … within this time, ms. */
const candidateMs = 30_000;
/** A client that sends no datagram for this long is none any more, ms. */
export const datagramIdleMs = 60_000;
/** Addresses that are counted before they are clients, and clients; beyond that the oldest address, or the newest client, is not known. */
const limits = { candidates: 4096, clients: 65_536 } as const;
/** New clients by datagrams: source addresses can be made up. */
const newClientRate = { perSecond: 20, burst: 100 };

export interface DatagramEvents {
  readonly onActive: (client: Address) => void;
  readonly onIdle: (client: Address) => void;
  readonly onRefused: (reason: string) => void;
}

/** Which clients use datagrams. Datagrams have no connections that begin and end: what arrives and what stays away decides. */
export class DatagramClients {
  readonly #events: DatagramEvents;
  /** In the order of their first datagram. */
  readonly #candidates = new Map<Address, { count: number; readonly since: Millis }>();
  readonly #clients = new Map<Address, Millis>();
  #fresh: TokenBucket;

  constructor(events: DatagramEvents, now: Millis) {
    this.#events = events;
    this.#fresh = tokenBucket(newClientRate, now);
  }

  has(client: Address): boolean {
    return this.#clients.has(client);
  }

  get size(): number {
    return this.#clients.size;
  }

  seen(client: Address, now: Millis): void {
    if (this.#clients.has(client)) {
      this.#clients.set(client, now);
      return;
    }
    const known = this.#candidates.get(client);
    const candidate = known && now - known.since < candidateMs ? known : { count: 0, since: now };
    candidate.count++;
    if (candidate !== known) {
      this.#candidates.delete(client);
      this.#candidates.set(client, candidate);
      if (this.#candidates.size > limits.candidates) this.#candidates.delete(this.#candidates.keys().next().value as Address);
    }
    if (candidate.count >= datagramsOfAClient) this.#admit(client, now);
  }

  /** A client that came by a handoff, without connections: it counts as having just sent something. */
  adopt(client: Address, now: Millis): void {
    this.#clients.set(client, now);
  }

  /** It is another member's now. */
  forget(client: Address): void {
    this.#clients.delete(client);
    this.#candidates.delete(client);
  }

  /** Finds clients that have been silent. While datagrams were `missed`, silence proves nothing. To be called every few seconds. */
  tick(now: Millis, missed: boolean): void {
    for (const [client, last] of this.#clients) {
      if (missed) this.#clients.set(client, Math.max(last, now - datagramIdleMs / 2));
      else if (now - last >= datagramIdleMs) {
        this.#clients.delete(client);
        this.#events.onIdle(client);
      }
    }
  }

  #admit(client: Address, now: Millis): void {
    this.#candidates.delete(client);
    const { bucket, taken } = takeToken(this.#fresh, now);
    this.#fresh = bucket;
    if (!taken) return this.#events.onRefused("too many new clients by datagrams");
    if (this.#clients.size >= limits.clients) return this.#events.onRefused("too many clients by datagrams");
    this.#clients.set(client, now);
    this.#events.onActive(client);
  }
}
