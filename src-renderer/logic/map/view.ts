import type { Box } from "./separate.ts";
import type { Point } from "./stress.ts";

/** Where the map stands in its window: screen = map * zoom + (x, y). */
export interface View {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export const leastZoom = 0.08;
export const mostZoom = 4;
const margin = 28;

/** Shows all of `bounds`, at most a quarter larger than it is. */
export function fitView(bounds: Box, size: { readonly width: number; readonly height: number }): View {
  const room = Math.min((size.width - 2 * margin) / bounds.width, (size.height - 2 * margin) / bounds.height);
  const zoom = Math.min(1.25, Math.max(leastZoom, room));
  return { zoom, x: size.width / 2 - bounds.x * zoom, y: size.height / 2 - bounds.y * zoom };
}

/** Zooms so that what lies under `at` (on the screen) stays there. */
export function zoomedAt(view: View, factor: number, at: Point): View {
  const zoom = Math.min(mostZoom, Math.max(leastZoom, view.zoom * factor));
  const change = zoom / view.zoom;
  return { zoom, x: at.x - (at.x - view.x) * change, y: at.y - (at.y - view.y) * change };
}

export function panned(view: View, dx: number, dy: number): View {
  return { ...view, x: view.x + dx, y: view.y + dy };
}

/** What, applied to a drawing made for `from`, shows it as `to` would: screen(to) = screen(from) * zoom + (x, y). */
export function moveBetween(from: View, to: View): View {
  const zoom = to.zoom / from.zoom;
  return { zoom, x: to.x - from.x * zoom, y: to.y - from.y * zoom };
}
