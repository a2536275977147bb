import type { Point } from "./stress.ts";

export type Direction = "left" | "right" | "up" | "down";

const axis: Readonly<Record<Direction, readonly [number, number]>> = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] };

/** The item that an arrow key leads to from `from`: the nearest in that direction, straight ahead counting more. Null when there is none. */
export function neighbour<T extends Point>(items: readonly T[], from: Point, direction: Direction): T | null {
  const [ax, ay] = axis[direction];
  let best: T | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const [dx, dy] = [item.x - from.x, item.y - from.y];
    const ahead = dx * ax + dy * ay;
    const aside = Math.abs(dx * ay) + Math.abs(dy * ax);
    if (ahead <= 0.5 || aside > ahead * 3) continue;
    const cost = ahead + 2 * aside;
    if (cost < least) [best, least] = [item, cost];
  }
  return best;
}
