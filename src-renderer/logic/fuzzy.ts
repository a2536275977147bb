/** How well `text` answers to `query`: higher is better, null when it does not. Letters must come in order; starts of words count more. */
export function fuzzyScore(query: string, text: string): number | null {
  const wanted = query.toLowerCase().replace(/\s+/g, "");
  const given = text.toLowerCase();
  let score = 0;
  let at = -1;
  for (const char of wanted) {
    const start = startOfWord(given, char, at + 1);
    const next = given.indexOf(char, at + 1);
    if (next < 0) return null;
    const follows = next === at + 1 && at >= 0;
    const chosen = follows ? next : start >= 0 ? start : next;
    score += follows ? 8 : chosen === start ? 6 : 1;
    score -= Math.min(3, (chosen - at - 1) / 8);
    at = chosen;
  }
  return score - given.length / 100;
}

function startOfWord(text: string, char: string, from: number): number {
  for (let at = text.indexOf(char, from); at >= 0; at = text.indexOf(char, at + 1)) if (at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1] as string)) return at;
  return -1;
}

/** Items that answer to the query, best first; all of them, in their order, for an empty query. */
export function fuzzyFind<T>(query: string, items: readonly T[], textOf: (item: T) => string, limit = 50): T[] {
  if (query.trim() === "") return items.slice(0, limit);
  const scored = items.flatMap((item) => {
    const score = fuzzyScore(query, textOf(item));
    return score === null ? [] : [{ item, score }];
  });
  return scored.sort((a, b) => b.score - a.score).slice(0, limit).map(({ item }) => item);
}
