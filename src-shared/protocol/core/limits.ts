import type { Millis } from "./step.ts";

/** Protocol constants and variables of RFC 6275 §12, in milliseconds and seconds as their names say. */
export const MAX_NONCE_LIFETIME_MS = 240_000;
export const MAX_TOKEN_LIFETIME_MS = 210_000;
export const MAX_RR_BINDING_LIFETIME_S = 420;
export const INITIAL_BINDACK_TIMEOUT_MS = 1_000;
export const INITIAL_BINDACK_TIMEOUT_FIRST_REGISTRATION_MS = 1_500;
export const MAX_BINDACK_TIMEOUT_MS = 32_000;
/** Binding Updates per second to one peer. */
export const MAX_UPDATE_RATE = 3;
/** Lifetimes on the wire count in units of this many seconds (§6.1.7). */
export const LIFETIME_UNIT_S = 4;

/** Wait before transmission number `sent` + 1, when `sent` (1, 2, …) have gone unanswered: doubled each time, at most 32 s (§11.8). */
export function backOff(sent: number, firstMs: Millis = INITIAL_BINDACK_TIMEOUT_MS): Millis {
  return Math.min(MAX_BINDACK_TIMEOUT_MS, firstMs * 2 ** (sent - 1));
}
