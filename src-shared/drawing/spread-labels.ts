/**
 * Positions for labels that want to stand at `wanted` (ascending) but need `height` each, between `top` and `bottom`: each as near as it can,
 * in the same order (pool adjacent violators). When they cannot all fit they run on below `bottom`.
 */
export function spreadLabels(wanted: readonly number[], height: number, top: number, bottom: number): number[] {
  const pools: { sum: number; count: number }[] = [];
  const low = top + height / 2;
  const high = Math.max(low + (wanted.length - 1) * height, bottom - height / 2);
  const start = (pool: { sum: number; count: number }) => {
    const free = pool.sum / pool.count;
    return Math.min(Math.max(free, low), high - (pool.count - 1) * height);
  };
  for (const at of wanted) {
    pools.push({ sum: at, count: 1 });
    for (let k = pools.length - 1; k > 0; k--) {
      const [a, b] = [pools[k - 1], pools[k]] as [(typeof pools)[number], (typeof pools)[number]];
      if (start(a) + a.count * height <= start(b)) break;
      pools.splice(k - 1, 2, { sum: a.sum + b.sum - b.count * a.count * height, count: a.count + b.count });
    }
  }
  return pools.flatMap((pool) => Array.from({ length: pool.count }, (_, i) => start(pool) + i * height));
}
