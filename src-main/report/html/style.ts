/** The report's style: light and dark by the reader's preference, black on white on paper, nothing told by colour alone. */
const light = "--ink: #1c2430; --soft: #566172; --line: #d4dae3; --page: #ffffff; --band: #f4f6f9; --good: #11683c; --bad: #b3261e; --warn: #8a5a00; --one: #1d5fbf; --two: #a04d00; --three: #6a3fa0;";
const dark = "--ink: #e6eaf0; --soft: #9aa6b8; --line: #374151; --page: #12161d; --band: #1b212b; --good: #6fd39a; --bad: #ff9a92; --warn: #e9b44c; --one: #7db4ff; --two: #f2b072; --three: #c4a5f5;";

export const style = `
:root { color-scheme: light dark; ${light} }
@media (prefers-color-scheme: dark) { :root { ${dark} } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.5rem 4rem; background: var(--page); color: var(--ink); font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; font-variant-numeric: tabular-nums; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem 1rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
p.lead { color: var(--soft); max-width: 62rem; margin: .5rem 0 1rem; } p.note { color: var(--soft); max-width: 62rem; margin: .2rem 0 .8rem; font-size: 13px; }
.verdict { font-weight: 600; padding: .1rem .75rem; border-radius: 1rem; border: 1.5px solid currentColor; }
.good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .3rem 0; font-size: 13px; }
th, td { text-align: left; padding: .22rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child { padding-left: .4rem; }
thead th { font-weight: 600; color: var(--soft); border-bottom-color: var(--soft); vertical-align: bottom; } td.n, th.n { text-align: right; } td.wrap { white-space: normal; min-width: 16rem; max-width: 26rem; }
tbody tr:nth-child(even) { background: var(--band); }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; max-width: 62rem; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; padding: .4rem .8rem; } summary { cursor: pointer; }
summary:focus-visible { outline: 2px solid var(--one); outline-offset: 2px; }
pre { background: var(--band); padding: .8rem; overflow-x: auto; border-radius: .4rem; font-size: 12.5px; line-height: 1.45; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: .6rem 0; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 0; min-width: 0; } figcaption { color: var(--soft); font-size: 13px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .5rem 1.5rem; margin-bottom: .8rem; }
svg { max-width: 100%; height: auto; display: block; margin: .4rem 0; }
svg text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; } svg .soft { fill: var(--soft); } svg .strong { font-weight: 650; } svg text.bad { fill: var(--bad); font-weight: 600; }
svg .on { paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round; }
svg .axis { stroke: var(--line); stroke-width: 1; } svg .arrow { stroke: var(--one); stroke-width: 1.4; fill: none; } svg .guess { stroke-dasharray: 4 3; }
svg .head { fill: var(--one); } svg .column { stroke: var(--soft); stroke-width: 1.2; } svg .leader { stroke: var(--soft); stroke-width: .8; fill: none; opacity: .8; }
svg .bar { fill: var(--one); } svg .over { stroke: var(--bad); stroke-width: 1; } svg .over-line { stroke: var(--bad); stroke-width: 2.4; } svg .bracket { stroke: var(--ink); stroke-width: 1.2; fill: none; }
svg .quiet { stroke: var(--warn); stroke-width: 1; } svg .quiet-line { stroke: var(--warn); stroke-width: 2.4; } svg .quiet-text { fill: var(--warn); font-weight: 600; }
svg .one { stroke: var(--one); fill: none; } svg .two { stroke: var(--two); fill: none; } svg .three { stroke: var(--three); fill: none; } svg .mark { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .line { stroke-width: 1.6; } svg .dash1 { stroke-dasharray: 7 3; } svg .dash2 { stroke-dasharray: 2 3; }
@page { margin: 14mm; }
@media print {
  :root { color-scheme: light; ${light} }
  body { max-width: none; padding: 0; font-size: 10pt; }
  table { font-size: 7.2pt; } th, td { padding: 1.2pt 3pt; } th { white-space: normal; } caption { max-width: 100%; } td.wrap { min-width: 0; }
  thead { display: table-header-group; } tr, figure, svg { break-inside: avoid; } h2, caption { break-after: avoid; }
  details:not([open]) { display: none; } details { break-inside: avoid; border: 0; padding: 0; } details:has(pre) { break-inside: auto; }
  .scroll { overflow: visible; } .pair { grid-template-columns: 1fr 1fr; } pre { white-space: pre-wrap; font-size: 7.5pt; } tbody tr:nth-child(even), pre { background: none; }
}
`;
