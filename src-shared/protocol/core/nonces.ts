import type { Address } from "../../net/address.ts";
import { careOfKeygenToken, homeKeygenToken } from "../wire/authenticator.ts";
import { MAX_NONCE_LIFETIME_MS } from "./limits.ts";
import type { Millis, Random } from "./step.ts";

/** One of the correspondent's secrets that change: it and Kcn make the tokens (RFC 6275 §5.2.2). */
export interface Nonce {
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly createdAt: Millis;
}

/** The node key Kcn and the nonces still accepted, oldest first. */
export interface Nonces {
  readonly kcn: Uint8Array;
  /** Index of the next nonce. The first one is random, so that indices from before a restart are mostly not recognised instead of failing silently. */
  readonly nextIndex: number;
  readonly recent: readonly Nonce[];
}

/** A new nonce this often: with tokens refused at 240 s, each is good for 210 to 240 s (§5.2.2's own suggestion). */
export const NONCE_INTERVAL_MS = 30_000;

export function newNonces(random: Random): Nonces {
  const start = random(2);
  return { kcn: random(20), nextIndex: ((start[0] as number) << 8) | (start[1] as number), recent: [] };
}

/** The nonce to make tokens with now; a new one when the last is older than NONCE_INTERVAL_MS. Drops those that are too old to be accepted. */
export function currentNonce(nonces: Nonces, now: Millis, random: Random): { readonly nonces: Nonces; readonly nonce: Nonce } {
  const last = nonces.recent.at(-1);
  if (last && now - last.createdAt < NONCE_INTERVAL_MS) return { nonces, nonce: last };
  const nonce: Nonce = { index: nonces.nextIndex, bytes: random(8), createdAt: now };
  const recent = [...nonces.recent.filter((n) => isAccepted(n, now)), nonce];
  return { nonces: { kcn: nonces.kcn, nextIndex: (nonces.nextIndex + 1) & 0xffff, recent }, nonce };
}

/** The nonce with this index, unless it is unknown or 240 s old. */
export function nonceWithIndex(nonces: Nonces, index: number, now: Millis): Nonce | undefined {
  return nonces.recent.find((n) => n.index === index && isAccepted(n, now));
}

/** When tokens made with this nonce stop being accepted. */
export function nonceDiesAt(nonce: Nonce): Millis {
  return nonce.createdAt + MAX_NONCE_LIFETIME_MS;
}

export function homeToken(nonces: Nonces, nonce: Nonce, home: Address): Uint8Array {
  return homeKeygenToken(nonces.kcn, home, nonce.bytes);
}

export function careOfToken(nonces: Nonces, nonce: Nonce, careOf: Address): Uint8Array {
  return careOfKeygenToken(nonces.kcn, careOf, nonce.bytes);
}

function isAccepted(nonce: Nonce, now: Millis): boolean {
  return now < nonceDiesAt(nonce);
}
