/** How a member is told apart everywhere: a colour, a pattern and a letter, so that no one of them has to be seen. */
export interface NodeLook {
  /** 0..7: the CSS variable --node-<colour>. */
  readonly colour: number;
  readonly pattern: NodePattern;
  readonly letter: string;
  /** For lines in charts, in CSS pixels. */
  readonly dash: readonly number[];
}

export const nodePatterns = ["solid", "stripes", "dots", "rings", "cross", "bars", "checks", "half"] as const;
export type NodePattern = (typeof nodePatterns)[number];

const dashes: readonly (readonly number[])[] = [[], [6, 3], [2, 3], [10, 3, 2, 3], [1, 4], [14, 4], [6, 3, 2, 3, 2, 3], [3, 6]];
export const nodeColours = 8;

/** Looks for members, by their order: the first eight differ in colour and pattern, the next eight in how the two are paired, and so on. */
export function nodeLook(index: number): NodeLook {
  const round = Math.floor(index / nodeColours);
  const pattern = (index + round) % nodePatterns.length;
  return { colour: index % nodeColours, pattern: nodePatterns[pattern] as NodePattern, letter: letters(index), dash: dashes[pattern] as readonly number[] };
}

/** A, B, … Z, AA, AB, … */
function letters(index: number): string {
  const last = String.fromCharCode(65 + (index % 26));
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last;
}

/** A look for every member name. Sorted, so that it does not depend on who joined first. */
export function nodeLooks(members: readonly string[]): ReadonlyMap<string, NodeLook> {
  return new Map([...new Set(members)].sort().map((name, index) => [name, nodeLook(index)]));
}
