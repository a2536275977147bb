export interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * Places points in the plane so that their distances come close to the wanted ones (stress majorization, SMACOF), near ones counting more.
 * `wanted` is symmetric; 0 or NaN off the diagonal means unknown. Always gives the same answer, with its longest extent lying level.
 */
export function placeByDistance(wanted: readonly (readonly number[])[], rounds = 150): Point[] {
  const n = wanted.length;
  const known = wanted.flat().filter((d) => d > 0);
  if (n === 0) return [];
  const usual = known.length ? known.reduce((a, b) => a + b, 0) / known.length : 1;
  const distance = (i: number, j: number) => (wanted[i]?.[j] || wanted[j]?.[i] || usual) as number;
  let points: Point[] = Array.from({ length: n }, (_, i) => ({ x: usual * Math.cos((2 * Math.PI * i) / n), y: usual * Math.sin((2 * Math.PI * i) / n) }));
  for (let round = 0; round < rounds; round++) points = points.map((point, i) => majorized(points, point, i, distance));
  return level(points);
}

function majorized(points: readonly Point[], point: Point, i: number, distance: (i: number, j: number) => number): Point {
  let x = 0;
  let y = 0;
  let weights = 0;
  points.forEach((other, j) => {
    if (j === i) return;
    const wanted = distance(i, j);
    const weight = 1 / (wanted * wanted);
    const dx = point.x - other.x;
    const dy = point.y - other.y;
    const now = Math.hypot(dx, dy) || 1e-9;
    x += weight * (other.x + (wanted * dx) / now);
    y += weight * (other.y + (wanted * dy) / now);
    weights += weight;
  });
  return weights > 0 ? { x: x / weights, y: y / weights } : point;
}

/** Centred on its middle and turned so that its principal axis is the x axis. */
function level(points: readonly Point[]): Point[] {
  const n = points.length;
  const mx = points.reduce((sum, p) => sum + p.x, 0) / n;
  const my = points.reduce((sum, p) => sum + p.y, 0) / n;
  let xx = 0;
  let yy = 0;
  let xy = 0;
  for (const p of points) {
    xx += (p.x - mx) ** 2;
    yy += (p.y - my) ** 2;
    xy += (p.x - mx) * (p.y - my);
  }
  const angle = -0.5 * Math.atan2(2 * xy, xx - yy);
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return points.map((p) => ({ x: (p.x - mx) * c - (p.y - my) * s, y: (p.x - mx) * s + (p.y - my) * c }));
}
