import type { Millis } from "./step.ts";
import { takeToken, tokenBucket, type Rate, type TokenBucket } from "./tokenBucket.ts";

/**
 * How many answers the decoder's refusals may have (RFC 6275 §9.2, RFC 4443 §2.4 (f)). An ICMPv6 error has 48 bytes more than the packet that it quotes,
 * and anybody may have sent that in another's name. So answers are paid for: every byte of signalling that arrives earns one, and an answer that costs
 * more than has been earned is not sent. However many packets come, at most `CREDIT_BYTES` more leave in answers than came in.
 */
export interface Answering {
  readonly bucket: TokenBucket;
  /** Bytes that may leave. */
  readonly credit: number;
}

/** What a node may have answered before it was asked: enough for a burst of small errors, and for one that quotes a whole packet. */
export const CREDIT_BYTES = 8_192;
const RATE: Rate = { perSecond: 50, burst: 100 };

export function newAnswering(now: Millis, rate: Rate = RATE): Answering {
  return { bucket: tokenBucket(rate, now), credit: CREDIT_BYTES };
}

/** `bytes` of signalling have arrived, whatever they say. */
export function earn(state: Answering, bytes: number): Answering {
  return { ...state, credit: Math.min(CREDIT_BYTES, state.credit + bytes) };
}

/** Whether an answer of `bytes` may leave now; if so, it is paid for. */
export function spend(state: Answering, bytes: number, now: Millis): { readonly state: Answering; readonly allowed: boolean } {
  if (bytes > state.credit) return { state, allowed: false };
  const { bucket, taken } = takeToken(state.bucket, now);
  return taken ? { state: { bucket, credit: state.credit - bytes }, allowed: true } : { state: { ...state, bucket }, allowed: false };
}
