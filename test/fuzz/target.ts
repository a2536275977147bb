import type { SeededRandom } from "../../src-shared/stats/random.ts";

/** One thing to fuzz. */
export interface Target {
  readonly name: string;
  /** Longest input, bytes. */
  readonly longest: number;
  /** Inputs to begin with; those in the corpus come on top. */
  readonly seeds: () => readonly Uint8Array[];
  /** Mends what no mutation would get right, such as a checksum. */
  readonly repair?: (input: Uint8Array, random: SeededRandom) => Uint8Array;
  /** Throws when something happens that must not, whatever the input. */
  readonly run: (input: Uint8Array) => void;
  /** Its part of the executions, beside the others': by what one costs. */
  readonly weight: number;
}

/** Something happened that must not. */
export class Violation extends Error {}

export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Violation(what);
}

/** Throws where the two differ; the message shows where first. */
export function mustEqual(a: unknown, b: unknown, what: string): void {
  const path = differenceOf(a, b);
  if (path !== null) throw new Violation(`${what}: ${path}`);
}

function differenceOf(a: unknown, b: unknown): string | null {
  if (Object.is(a, b)) return null;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return `${shown(a)} and ${shown(b)}`;
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    if (a.length !== b.length) return `${a.length} and ${b.length} bytes`;
    const at = a.findIndex((byte, i) => byte !== b[i]);
    return at < 0 ? null : `byte ${at}: ${a[at]} and ${b[at]}`;
  }
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    const inner = differenceOf((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]);
    if (inner !== null) return `${key}: ${inner}`;
  }
  return null;
}

function shown(value: unknown): string {
  return typeof value === "bigint" ? `${value}n` : (JSON.stringify(value) ?? "undefined").slice(0, 200);
}

/** The name of an error that `input` may cause; any other is thrown on. */
export function allowed(error: unknown, names: readonly string[]): string {
  const name = error instanceof Error ? (error.name === "Error" ? error.constructor.name : error.name) : "";
  if (error instanceof Violation || !(names.includes(name) || names.includes((error as Error).constructor.name))) throw error;
  return name;
}
