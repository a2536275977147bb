import { MAX_UPDATE_RATE } from "./limits.ts";
import type { Millis } from "./step.ts";

/** When the latest Binding Updates to one client left, whichever member sent them; oldest first, at most MAX_UPDATE_RATE of them. One per (X, client). */
export type RecentUpdates = readonly Millis[];

/** RFC 6275 §11.8: no more than MAX_UPDATE_RATE updates within any second. Either one may leave now, or not before `notBefore`. */
export function admitUpdate(
  recent: RecentUpdates,
  now: Millis,
): { readonly admitted: true; readonly recent: RecentUpdates } | { readonly admitted: false; readonly notBefore: Millis } {
  const oldest = recent[0];
  if (recent.length >= MAX_UPDATE_RATE && oldest !== undefined && now < oldest + 1000) return { admitted: false, notBefore: oldest + 1000 };
  return { admitted: true, recent: [...recent, now].slice(-MAX_UPDATE_RATE) };
}
