import type { Fault, Link, LinkQuality as ShownQuality } from "../../../src-shared/api/app/lab.ts";
import type { LinkChange, LinkQuality } from "../../../src-shared/api/lab.ts";
import { linkKey, type LabPlan } from "../../../src-shared/api/labPlan.ts";
import type { LinkSetting, LinkStatus } from "../../testbeds/testbed.ts";

const bitsPerMbit = 1e6;

/** The paths between sites, as the window shows them: one link for both directions. */
export function shownLinks(links: readonly LinkStatus[]): Link[] {
  const paths = new Map(links.filter((link) => link.kind === "path").map((link) => [linkKey(link.from, link.to), link]));
  return [...paths.values()].flatMap((there) => {
    const back = paths.get(linkKey(there.to, there.from));
    if (!back || there.from >= there.to) return [];
    return [{ id: linkId(there.from, there.to), a: there.from, b: there.to, there: shown(there.quality), back: shown(back.quality), settable: true, changed: there.changed || back.changed }];
  });
}

const linkId = (a: string, b: string) => `${a}--${b}`;

function shown({ delayMs, jitterMs, loss, rate }: LinkQuality): ShownQuality {
  return { delayMs, jitterMs, lossPercent: loss * 100, rateMbit: rate === null ? null : rate / bitsPerMbit };
}

function asked({ delayMs, jitterMs, lossPercent, rateMbit }: ShownQuality): LinkChange {
  return { delayMs, jitterMs, loss: lossPercent / 100, rate: rateMbit === null ? null : rateMbit * bitsPerMbit };
}

/** Both directions of a link as a person set them. */
export function settingsFor(link: Link, there: ShownQuality, back: ShownQuality): LinkSetting[] {
  return [
    { link: { from: link.a, to: link.b }, bothWays: false, change: asked(there) },
    { link: { from: link.b, to: link.a }, bothWays: false, change: asked(back) },
  ];
}

/** Both directions of a link as the lab file says. */
export function settingsAsPlanned(link: Link, plan: LabPlan): LinkSetting[] {
  return [
    [link.a, link.b],
    [link.b, link.a],
  ].flatMap(([from, to]) => {
    const planned = plan.links.paths[linkKey(from as string, to as string)];
    return planned ? [{ link: { from: from as string, to: to as string }, bothWays: false, change: planned }] : [];
  });
}

/** What of the links is not as the lab file says; `known` keeps since when. */
export function linkFaults(links: readonly Link[], known: readonly Fault[]): Fault[] {
  return links
    .filter((link) => link.changed)
    .map((link) => {
      const id = `fault-${link.id}`;
      return { id, label: `${link.a} – ${link.b}: ${words(link.there, link.back)}`, since: known.find((fault) => fault.id === id)?.since ?? Date.now(), expiresAt: null };
    });
}

function words(there: ShownQuality, back: ShownQuality): string {
  const both = (a: number, b: number, unit: string) => (a === b ? `${number(a)} ${unit}` : `${number(a)} / ${number(b)} ${unit}`);
  const loss = there.lossPercent + back.lossPercent > 0 ? `, ${both(there.lossPercent, back.lossPercent, "% loss")}` : "";
  return `${both(there.delayMs, back.delayMs, "ms")}${loss}`;
}

const number = (value: number) => String(Number(value.toPrecision(4)));
