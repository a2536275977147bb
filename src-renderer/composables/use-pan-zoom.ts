import { computed, onScopeDispose, type Ref, shallowRef, watch } from "vue";
import { type View, fitView, panned, zoomedAt } from "../logic/map/view.ts";
import type { Box } from "../logic/map/separate.ts";
import { useElementSize } from "./use-element-size.ts";

/** Moves and zooms a map: wheel, drag, and functions for keys and buttons. Fits the bounds until a person has moved it. */
export function usePanZoom(element: Ref<SVGSVGElement | null>, bounds: Ref<Box>) {
  const size = useElementSize(element);
  const view = shallowRef<View>({ x: 0, y: 0, zoom: 1 });
  const moved = shallowRef(false);
  let dragging: { readonly pointer: number; x: number; y: number } | null = null;

  const fit = () => {
    moved.value = false;
    if (size.value.width > 0) view.value = fitView(bounds.value, size.value);
  };
  const zoomBy = (factor: number, at = { x: size.value.width / 2, y: size.value.height / 2 }) => {
    moved.value = true;
    view.value = zoomedAt(view.value, factor, at);
  };
  const panBy = (dx: number, dy: number) => {
    moved.value = true;
    view.value = panned(view.value, dx, dy);
  };

  function onWheel(event: WheelEvent): void {
    event.preventDefault();
    const box = (event.currentTarget as Element).getBoundingClientRect();
    if (event.shiftKey) panBy(-event.deltaY, -event.deltaX);
    else zoomBy(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), { x: event.clientX - box.left, y: event.clientY - box.top });
  }
  function onDown(event: PointerEvent): void {
    if (event.button !== 0 || (event.target as Element).closest("[data-key]")) return;
    dragging = { pointer: event.pointerId, x: event.clientX, y: event.clientY };
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
  }
  function onMove(event: PointerEvent): void {
    if (dragging?.pointer !== event.pointerId) return;
    panBy(event.clientX - dragging.x, event.clientY - dragging.y);
    dragging = { pointer: event.pointerId, x: event.clientX, y: event.clientY };
  }
  const onUp = () => (dragging = null);

  const off = new AbortController();
  watch(element, (svg) => {
    if (!svg) return;
    svg.addEventListener("wheel", onWheel, { passive: false, signal: off.signal });
    svg.addEventListener("pointerdown", onDown, { signal: off.signal });
    svg.addEventListener("pointermove", onMove, { signal: off.signal });
    svg.addEventListener("pointerup", onUp, { signal: off.signal });
    svg.addEventListener("pointercancel", onUp, { signal: off.signal });
  }, { immediate: true });
  watch([size, bounds], () => !moved.value && fit(), { immediate: true });
  onScopeDispose(() => off.abort());

  const transform = computed(() => `translate(${view.value.x} ${view.value.y}) scale(${view.value.zoom})`);
  return { view, transform, fit, zoomBy, panBy };
}
