/** One measurement: the value of each term, and what came out. */
export interface Observation {
  readonly terms: Readonly<Record<string, number>>;
  readonly y: number;
}

export interface Regression {
  readonly coefficients: Readonly<Record<string, number>>;
  readonly standardErrors: Readonly<Record<string, number>>;
  readonly intercept: number;
  readonly interceptError: number;
  /** Share of the variance explained; 1 when there was none to explain and none is left. */
  readonly r2: number;
  readonly n: number;
  /** Measured minus fitted, in the order of the observations. */
  readonly residuals: readonly number[];
}

/**
 * Ordinary least squares of y on the named terms and an intercept, by Householder's QR. Terms are those of the first observation.
 * Throws RangeError when there are fewer observations than unknowns, when a term is missing, or when a term follows from the others (it names it):
 * then the design of the experiment cannot tell them apart.
 */
export function leastSquares(observations: readonly Observation[]): Regression {
  const names = Object.keys(observations[0]?.terms ?? {});
  const unknowns = names.length + 1;
  const n = observations.length;
  if (n < unknowns) throw new RangeError(`${n} observations cannot determine ${unknowns} unknowns (${names.join(", ")} and an intercept)`);
  const columns = [new Float64Array(n).fill(1), ...names.map((name) => Float64Array.from(observations, (o, i) => valueOf(o, name, i)))];
  const y = Float64Array.from(observations, (o) => o.y);
  const labels = ["the intercept", ...names];

  const { r, rotated } = factor(columns, y, labels);
  const solution = backSubstitute(r, rotated);
  const residuals = Array.from(y, (value, i) => value - columns.reduce((sum, column, j) => sum + (column[i] as number) * (solution[j] as number), 0));

  const left = residuals.reduce((sum, e) => sum + e * e, 0);
  const centre = y.reduce((sum, v) => sum + v, 0) / n;
  const total = y.reduce((sum, v) => sum + (v - centre) ** 2, 0);
  const errors = standardErrors(r, n > unknowns ? left / (n - unknowns) : Number.NaN);
  const named = (values: readonly number[]) => Object.fromEntries(names.map((name, j) => [name, values[j + 1] as number]));
  return {
    coefficients: named(solution),
    standardErrors: named(errors),
    intercept: solution[0] as number,
    interceptError: errors[0] as number,
    r2: total > 0 ? 1 - left / total : left > 0 ? 0 : 1,
    n,
    residuals,
  };
}

function valueOf(observation: Observation, name: string, index: number): number {
  const value = observation.terms[name];
  if (value === undefined || !Number.isFinite(value) || !Number.isFinite(observation.y)) throw new RangeError(`observation ${index} has no usable value for ${name} or y`);
  return value;
}

/** Householder QR of the columns; gives R (by columns, upper triangle) and Qᵀy. */
function factor(columns: readonly Float64Array[], y: Float64Array, labels: readonly string[]): { r: number[][]; rotated: Float64Array } {
  const work = columns.map((column) => Float64Array.from(column));
  const rotated = Float64Array.from(y);
  work.forEach((column, k) => {
    const scale = Math.hypot(...(columns[k] as Float64Array));
    const norm = Math.hypot(...column.subarray(k));
    if (norm <= 1e-9 * scale || norm === 0) throw new RangeError(`${labels[k]} follows from the other terms: vary it on its own`);
    const alpha = (column[k] as number) > 0 ? -norm : norm;
    const v = Float64Array.from(column.subarray(k));
    v[0] = (v[0] as number) - alpha;
    const square = v.reduce((sum, e) => sum + e * e, 0);
    for (const target of [...work.slice(k), rotated]) {
      const dot = v.reduce((sum, e, i) => sum + e * (target[k + i] as number), 0);
      v.forEach((e, i) => (target[k + i] = (target[k + i] as number) - (2 * dot * e) / square));
    }
  });
  return { r: work.map((column, j) => Array.from(column.subarray(0, j + 1))), rotated };
}

function backSubstitute(r: readonly (readonly number[])[], right: ArrayLike<number>): number[] {
  const x: number[] = Array.from({ length: r.length }, () => 0);
  for (let i = r.length - 1; i >= 0; i--) {
    let sum = right[i] as number;
    for (let j = i + 1; j < r.length; j++) sum -= ((r[j] as number[])[i] as number) * (x[j] as number);
    x[i] = sum / ((r[i] as number[])[i] as number);
  }
  return x;
}

/** Square roots of the diagonal of variance · (RᵀR)⁻¹ = variance · R⁻¹R⁻ᵀ: the row norms of R⁻¹. */
function standardErrors(r: readonly (readonly number[])[], variance: number): number[] {
  const inverse = r.map((_, k) => backSubstitute(r, r.map((__, i) => (i === k ? 1 : 0))));
  return r.map((_, i) => Math.sqrt(variance) * Math.hypot(...inverse.map((column) => column[i] as number)));
}
