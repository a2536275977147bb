import { z } from "zod";
import type { Level, ScenarioFile } from "../../../src-shared/api/scenario.ts";
import { seededRandom } from "../../../src-shared/stats/random.ts";

/** One setting of an experiment's factors. */
export interface ExperimentPoint {
  /** What people see: the factors, and what a listed point sets besides. */
  readonly levels: Readonly<Record<string, Level>>;
  /** All names that steps may use. */
  readonly values: Readonly<Record<string, Level>>;
}

/** The part of a scenario that points come from; read before the rest, because steps make sense only with a point's values. */
export type Factors = Pick<ScenarioFile, "factors" | "derived" | "points">;

export class UnknownNameError extends Error {
  override readonly name = "UnknownNameError";
  readonly path: readonly (string | number)[];
  constructor(path: readonly (string | number)[], text: string, known: readonly string[]) {
    super(known.length > 0 ? `\${${text}} is not a factor; there are ${known.join(", ")}` : `\${${text}}: this scenario has no factors`);
    this.path = path;
  }
}

/** All factors crossed, then the listed points, each crossed over the factors that it does not name. One empty point without factors. */
export function experimentPoints({ factors, derived, points }: Factors): ExperimentPoint[] {
  const crossed = factors ? cross(Object.entries(factors), {}) : [{}];
  const listed = points.flatMap((point) => cross(Object.entries(factors ?? {}).filter(([name]) => !Object.hasOwn(point, name)), point));
  return [...crossed, ...listed].map((levels) => ({ levels, values: withDerived(levels, derived) }));
}

function cross(factors: readonly (readonly [string, readonly Level[]])[], fixed: Readonly<Record<string, Level>>): Record<string, Level>[] {
  const [first, ...rest] = factors;
  if (!first) return [{ ...fixed }];
  const [name, levels] = first;
  return levels.flatMap((level) => cross(rest, { ...fixed, [name]: level }));
}

function withDerived(levels: Readonly<Record<string, Level>>, derived: Factors["derived"]): Record<string, Level> {
  const values = { ...levels };
  for (const [name, level] of Object.entries(derived)) {
    if (!Object.hasOwn(levels, name)) values[name] = substitute(level, values, ["derived", name]) as Level;
  }
  return values;
}

/** The order in which an experiment visits its points: each repetition all of them, shuffled anew when they are to be interleaved. */
export function* visits(points: readonly ExperimentPoint[], plan: Pick<ScenarioFile, "repetitions" | "interleave" | "seed">): Generator<{ readonly point: ExperimentPoint; readonly repetition: number }> {
  const random = seededRandom(plan.seed);
  for (let repetition = 0; repetition < plan.repetitions; repetition++) {
    const order = [...points];
    if (plan.interleave) {
      for (let i = order.length - 1; i > 0; i--) {
        const j = random.below(i + 1);
        [order[i], order[j]] = [order[j] as ExperimentPoint, order[i] as ExperimentPoint];
      }
    }
    for (const point of order) yield { point, repetition };
  }
}

const reference = /\$\{([A-Za-z][A-Za-z0-9_]*)\}/g;

/** Puts values in for `${name}` in every string below `value`. A string that is nothing else becomes the value itself. Throws UnknownNameError. */
export function substitute(value: unknown, values: Readonly<Record<string, Level>>, path: readonly (string | number)[] = []): unknown {
  if (typeof value === "string") {
    const lookUp = (name: string): Level => {
      if (!Object.hasOwn(values, name)) throw new UnknownNameError(path, name, Object.keys(values));
      return values[name] as Level;
    };
    const alone = /^\$\{([A-Za-z][A-Za-z0-9_]*)\}$/.exec(value);
    return alone ? lookUp(alone[1] as string) : value.replace(reference, (_, name: string) => String(lookUp(name)));
  }
  if (Array.isArray(value)) return value.map((item, index) => substitute(item, values, [...path, index]));
  if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, substitute(item, values, [...path, key])]));
  return value;
}

const rawLevel = z.union([z.number(), z.string()]);
/** Reads the factors of a document that is not checked yet; what is wrong with them is left to the full check. */
export const rawFactors = z.object({
  factors: z.record(z.string(), z.array(rawLevel)).optional().catch(undefined),
  derived: z.record(z.string(), rawLevel).catch({}),
  points: z.array(z.record(z.string(), rawLevel)).catch([]),
});
