/**
 * The `p` quantile (0..1) by linear interpolation between order statistics (Hyndman and Fan's type 7, the default of R and NumPy).
 * Throws RangeError for no values, a value that is not a number, or a `p` outside 0..1.
 */
export function quantile(values: readonly number[], p: number): number {
  return quantileOfSorted(sorted(values), p);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Several quantiles for one sort. */
export function quantiles(values: readonly number[], ps: readonly number[]): number[] {
  const ordered = sorted(values);
  return ps.map((p) => quantileOfSorted(ordered, p));
}

export function mean(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no values to take the mean of");
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}

/** Sample standard deviation (n − 1); throws RangeError for fewer than two values. */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) throw new RangeError("a standard deviation needs at least two values");
  const m = mean(values);
  return Math.sqrt(values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (values.length - 1));
}

function sorted(values: readonly number[]): Float64Array {
  if (values.length === 0) throw new RangeError("no values to take a quantile of");
  const bad = values.find((v) => Number.isNaN(v));
  if (bad !== undefined) throw new RangeError("a value is not a number");
  return Float64Array.from(values).sort();
}

function quantileOfSorted(ordered: Float64Array, p: number): number {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`a quantile lies in 0..1, not at ${p}`);
  const at = (ordered.length - 1) * p;
  const below = ordered[Math.floor(at)] as number;
  const above = ordered[Math.ceil(at)] as number;
  return below === above ? below : below + (above - below) * (at - Math.floor(at));
}
