import { seededRandom } from "../../src-shared/stats/random.ts";
import { begin, Seen, stepsTaken } from "./coverage.ts";
import { Mutator, wordBytes } from "./mutate.ts";
import type { Target } from "./target.ts";

export interface LoopOptions {
  readonly seed: string;
  readonly executions: number;
  /** Inputs of earlier runs. */
  readonly corpus: readonly Uint8Array[];
  readonly words: readonly string[];
  /** Called now and then with the executions so far. */
  readonly onProgress?: (executions: number) => void;
}

export interface LoopResult {
  readonly executions: number;
  readonly seconds: number;
  /** Cells of the coverage map that were passed: edges between counters. */
  readonly edges: number;
  /** Edges times the classes of how often they were passed in one execution. */
  readonly features: number;
  /** The fewest inputs found that pass every edge. */
  readonly corpus: readonly Uint8Array[];
  readonly failure: Failure | null;
  /** The most steps that one input took, of those it may take. */
  readonly mostSteps: number;
}

export interface Failure {
  readonly input: Uint8Array;
  readonly error: string;
}

/** Steps that an input may take: a fixed part for what each execution sets up, and so much for each byte. What is quadratic in the input does not pass. */
const stepsAllowed = (length: number): number => 200_000 + 2_000 * length;

/**
 * Coverage-guided: an input that goes a new way is kept and changed further. Everything follows from the seed and the corpus. Ends at the first input
 * that breaks what the target promises, made as short as it goes.
 */
export function fuzzTarget(target: Target, options: LoopOptions): LoopResult {
  const random = seededRandom(`${options.seed}/${target.name}`);
  const mutator = new Mutator(random, target.longest, wordBytes(options.words));
  const seen = new Seen();
  const kept: Uint8Array[] = [];
  const started = performance.now();
  let executions = 0;
  let mostSteps = 0;
  /** Null, or why this must end. */
  const attempt = (input: Uint8Array): Failure | null => {
    executions++;
    const error = execute(target, input);
    mostSteps = Math.max(mostSteps, stepsTaken());
    if (error !== null) return { input: shortened(target, input), error };
    if (seen.add()) kept.push(input);
    return null;
  };
  let failure: Failure | null = null;
  for (const input of [...target.seeds(), ...options.corpus]) failure ??= attempt(input);
  if (kept.length === 0) kept.push(new Uint8Array(0));
  while (executions < options.executions && !failure) {
    // Half of the time one of the latest finds: the way on is mostly from there.
    const recent = Math.max(1, kept.length >> 3);
    const from = random.below(2) === 0 ? kept.length - 1 - random.below(recent) : random.below(kept.length);
    const other = kept[random.below(kept.length)] as Uint8Array;
    const changed = mutator.mutate(kept[from] as Uint8Array, other);
    failure = attempt(target.repair ? target.repair(changed, random) : changed);
    if (executions % 4096 === 0) options.onProgress?.(executions);
  }
  const seconds = (performance.now() - started) / 1000;
  return { executions, seconds, edges: seen.cells, features: seen.features, corpus: failure === null ? fewest(target, kept) : [], failure, mostSteps };
}

/** Null, or what went wrong. */
function execute(target: Target, input: Uint8Array): string | null {
  begin(stepsAllowed(input.length));
  try {
    target.run(input);
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

/** Short inputs first, and of those what passes an edge that no earlier one has passed. */
function fewest(target: Target, kept: readonly Uint8Array[]): Uint8Array[] {
  const seen = new Seen();
  return kept.toSorted((a, b) => a.length - b.length).filter((input) => execute(target, input) === null && seen.addCells());
}

/** Leaves out pieces, larger ones first, as long as it still fails. */
function shortened(target: Target, input: Uint8Array): Uint8Array {
  let bytes = input;
  for (let piece = bytes.length >> 1; piece >= 1; piece >>= 1) {
    for (let at = 0; at + piece <= bytes.length; ) {
      const without = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + piece)]);
      if (execute(target, without) === null) at += piece;
      else bytes = Uint8Array.from(without);
    }
  }
  return bytes;
}
