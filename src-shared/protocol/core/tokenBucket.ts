import type { Millis } from "./step.ts";

/** How often something may happen: `perSecond` in the long run, at most `burst` at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

export interface TokenBucket {
  readonly rate: Rate;
  readonly tokens: number;
  readonly at: Millis;
}

/** A full bucket. */
export function tokenBucket(rate: Rate, now: Millis): TokenBucket {
  return { rate, tokens: rate.burst, at: now };
}

/** Takes one token if there is one. A clock that steps back adds nothing. */
export function takeToken(bucket: TokenBucket, now: Millis): { readonly bucket: TokenBucket; readonly taken: boolean } {
  const refill = (Math.max(0, now - bucket.at) * bucket.rate.perSecond) / 1000;
  const tokens = Math.min(bucket.rate.burst, bucket.tokens + refill);
  const taken = tokens >= 1;
  return { bucket: { rate: bucket.rate, tokens: taken ? tokens - 1 : tokens, at: Math.max(bucket.at, now) }, taken };
}
