const dashes: readonly (readonly number[])[] = [[], [7, 4]];

/** How the lines of the n-th of several runs are drawn, in CSS pixels. */
export const runDash = (run: number): readonly number[] => dashes[run] ?? [2, 2];
