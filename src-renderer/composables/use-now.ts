import { onScopeDispose, shallowRef } from "vue";

/** The wall clock, ticking every `everyMs`. */
export function useNow(everyMs = 1000) {
  const now = shallowRef(Date.now());
  const timer = setInterval(() => (now.value = Date.now()), everyMs);
  onScopeDispose(() => clearInterval(timer));
  return now;
}
