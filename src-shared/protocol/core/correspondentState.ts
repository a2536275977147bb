import type { MobilityPacket } from "../wire/message.ts";
import type { BindingCache, CacheEntry } from "./bindingCache.ts";
import type { Nonces } from "./nonces.ts";
import type { PrefixBuckets } from "./prefixBuckets.ts";
import type { Effect, Millis, Step } from "./step.ts";
import type { Rate, TokenBucket } from "./tokenBucket.ts";

/** How much an outsider can make a correspondent do. Whatever exceeds a rate is dropped and counted. */
export interface CorrespondentLimits {
  /** Entries of the binding cache, replay memory included. */
  readonly entries: number;
  /** Longest lifetime granted, in seconds, up to 420. */
  readonly lifetimeSeconds: number;
  /** Home Tests and Care-of Tests sent. */
  readonly tests: Rate;
  /** … of these to one network: no single one uses up what there is for all. */
  readonly testsEach: Rate;
  /** Binding Acknowledgements that refuse and that no authenticator has earned (131, 136 to 139). */
  readonly refusals: Rate;
  /** Binding Errors (§9.3.3). */
  readonly errors: Rate;
}

export const defaultCorrespondentLimits: CorrespondentLimits = {
  entries: 65_536,
  lifetimeSeconds: 420,
  tests: { perSecond: 5_000, burst: 5_000 },
  testsEach: { perSecond: 500, burst: 1_000 },
  refusals: { perSecond: 100, burst: 200 },
  errors: { perSecond: 50, burst: 100 },
};

/** A correspondent node (RFC 6275 §5.2, §9). `cache` and `testsEach` are stores that change in place; everything else is replaced by each step. */
export interface Correspondent {
  readonly limits: CorrespondentLimits;
  readonly nonces: Nonces;
  readonly cache: BindingCache;
  readonly tests: TokenBucket;
  readonly testsEach: PrefixBuckets;
  readonly refusals: TokenBucket;
  readonly errors: TokenBucket;
}

/** §9.5.3: the binding goes; what could be replayed stays remembered until its nonces are dead. */
export function endBinding(cache: BindingCache, entry: Extract<CacheEntry, { phase: "bound" }>, reason: string, now: Millis): readonly Effect[] {
  const { home, own, sequence, noncesDieAt } = entry;
  if (noncesDieAt > now) cache.put({ phase: "remembered", home, own, sequence, noncesDieAt });
  else cache.delete(home);
  return unbound(entry, reason);
}

export function unbound(entry: CacheEntry, reason: string): readonly Effect[] {
  return [
    { do: "unbind", home: entry.home },
    { do: "tell", event: { type: "bindingRemoved", role: "correspondent", home: entry.home, reason } },
  ];
}

export function drop<S>(state: S, reason: string, packet?: MobilityPacket): Step<S> {
  return { state, effects: [packet ? { do: "drop", reason, packet } : { do: "drop", reason }] };
}
