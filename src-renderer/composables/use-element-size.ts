import { onScopeDispose, type Ref, shallowRef, watch } from "vue";

/** The content size of an element in CSS pixels; 0 by 0 until it is there. */
export function useElementSize(element: Ref<Element | null>) {
  const size = shallowRef({ width: 0, height: 0 });
  const observer = new ResizeObserver(([entry]) => {
    if (entry) size.value = { width: entry.contentRect.width, height: entry.contentRect.height };
  });
  watch(element, (now, before) => {
    if (before) observer.unobserve(before);
    if (now) observer.observe(now);
  }, { immediate: true });
  onScopeDispose(() => observer.disconnect());
  return size;
}
