import { quantiles } from "./quantile.ts";
import { seededRandom } from "./random.ts";

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Fewer values than this give an interval that says little; reports print "too few runs". */
export const FEWEST_FOR_INTERVAL = 5;

/**
 * A percentile bootstrap interval for `statistic`: the same values, seed and options give the same interval.
 * Throws RangeError for no values or a confidence outside (0, 1).
 */
export function bootstrapInterval(
  values: readonly number[],
  statistic: (sample: readonly number[]) => number,
  options: { readonly seed: string | number; readonly confidence?: number; readonly resamples?: number },
): Interval {
  const { seed, confidence = 0.95, resamples = 2000 } = options;
  if (values.length === 0) throw new RangeError("no values to resample");
  if (!(confidence > 0 && confidence < 1)) throw new RangeError(`a confidence lies between 0 and 1, not at ${confidence}`);
  const random = seededRandom(seed);
  const results = Array.from({ length: resamples }, () => statistic(values.map(() => values[random.below(values.length)] as number)));
  const [low, high] = quantiles(results, [(1 - confidence) / 2, (1 + confidence) / 2]) as [number, number];
  return { low, high };
}
