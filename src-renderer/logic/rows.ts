/** Which of many rows of the same height to draw for a scroll position: a stretch with some to spare on both sides. */
export function visibleRows(count: number, rowHeight: number, scrollTop: number, viewHeight: number, spare = 8): { readonly first: number; readonly last: number } {
  const first = Math.max(0, Math.min(count, Math.floor(scrollTop / rowHeight) - spare));
  const last = Math.min(count, Math.max(first, Math.ceil((scrollTop + viewHeight) / rowHeight) + spare));
  return { first, last };
}
