import type { Link, LinkQuality } from "../../../src-shared/api/app/lab.ts";

const number = (value: number) => Number(value.toPrecision(3)).toString();

/** One direction in words: "41 ms ± 2 ms, 1 % loss, 100 Mbit/s". */
export function qualityText({ delayMs, jitterMs, lossPercent, rateMbit }: LinkQuality): string {
  const parts = [`${number(delayMs)} ms${jitterMs > 0 ? ` ± ${number(jitterMs)} ms` : ""}`];
  if (lossPercent > 0) parts.push(`${number(lossPercent)} % loss`);
  if (rateMbit !== null) parts.push(`${number(rateMbit)} Mbit/s`);
  return parts.join(", ");
}

/** What stands on a link: one figure where both directions are alike, else both. One-way. */
export function linkLabel(link: Link): string {
  const [there, back] = [qualityText(link.there), qualityText(link.back)];
  return there === back ? there : `→ ${there} · ← ${back}`;
}

export function linkTitle(link: Link, a: string, b: string): string {
  return `Link ${a} – ${b}, one way: ${a} to ${b} ${qualityText(link.there)}; ${b} to ${a} ${qualityText(link.back)}${link.changed ? "; changed by us" : ""}`;
}
