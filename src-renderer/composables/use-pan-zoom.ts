import { computed, onScopeDispose, type Ref, shallowRef, watch } from "vue";
import { fitView, moveBetween, panned, type View, zoomedAt } from "../logic/map/view.ts";
import type { Box } from "../logic/map/separate.ts";
import { useElementSize } from "./use-element-size.ts";

/** How long nothing must move before the map is drawn anew, sharp, where it now stands. */
const settleMs = 140;

/**
 * Moves and zooms a map: wheel, drag, and functions for keys and buttons. Fits the bounds until a person has moved it.
 * While it moves, the drawing as it is is only shifted and scaled (`shift`, which costs no drawing); it is drawn anew (`drawn`) when it rests.
 */
export function usePanZoom(element: Ref<Element | null>, bounds: Ref<Box>) {
  const size = useElementSize(element);
  const view = shallowRef<View>({ x: 0, y: 0, zoom: 1 });
  const drawnView = shallowRef<View>(view.value);
  const moved = shallowRef(false);
  let settling: ReturnType<typeof setTimeout> | undefined;
  let dragging: { readonly pointer: number; x: number; y: number } | null = null;

  const settle = () => (drawnView.value = view.value);
  const fit = () => {
    moved.value = false;
    if (size.value.width > 0) view.value = fitView(bounds.value, size.value);
    settle();
  };
  function moveTo(next: View): void {
    moved.value = true;
    view.value = next;
    clearTimeout(settling);
    settling = setTimeout(settle, settleMs);
  }
  const zoomBy = (factor: number, at = { x: size.value.width / 2, y: size.value.height / 2 }) => moveTo(zoomedAt(view.value, factor, at));
  const panBy = (dx: number, dy: number) => moveTo(panned(view.value, dx, dy));

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
  watch(
    element,
    (area) => {
      if (!(area instanceof HTMLElement)) return;
      area.addEventListener("wheel", onWheel, { passive: false, signal: off.signal });
      area.addEventListener("pointerdown", onDown, { signal: off.signal });
      area.addEventListener("pointermove", onMove, { signal: off.signal });
      area.addEventListener("pointerup", onUp, { signal: off.signal });
      area.addEventListener("pointercancel", onUp, { signal: off.signal });
    },
    { immediate: true },
  );
  watch([size, bounds], () => !moved.value && fit(), { immediate: true });
  onScopeDispose(() => {
    off.abort();
    clearTimeout(settling);
  });

  const css = ({ x, y, zoom }: View) => `translate(${x}px, ${y}px) scale(${zoom})`;
  return {
    view,
    /** The SVG transform of what is drawn. */
    drawn: computed(() => `translate(${drawnView.value.x} ${drawnView.value.y}) scale(${drawnView.value.zoom})`),
    /** The CSS transform that brings the drawing from where it was drawn to where it now stands. */
    shift: computed(() => css(moveBetween(drawnView.value, view.value))),
    /** The CSS transform from the map's own units to where they now stand. */
    placed: computed(() => css(view.value)),
    fit,
    zoomBy,
    panBy,
  };
}
