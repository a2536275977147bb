/** The report's style: light and dark by the reader's preference, nothing told by colour alone. */
export const style = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6676; --line: #d4dae3; --page: #ffffff; --band: #f3f5f9; --good: #11683c; --bad: #b3261e; --one: #1d5fbf; --two: #a04d00; --three: #6a3fa0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b8; --line: #374151; --page: #12161d; --band: #1b212b; --good: #6fd39a; --bad: #ff9a92; --one: #7db4ff; --two: #f2b072; --three: #c4a5f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
p.lead { color: var(--soft); max-width: 60rem; margin: .25rem 0 1rem; }
.verdict { display: inline-block; font-weight: 600; padding: .15rem .7rem; border-radius: 1rem; border: 1.5px solid currentColor; }
.good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .3rem 0; }
th, td { text-align: left; padding: .25rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
th { font-weight: 600; color: var(--soft); } td.n, th.n { text-align: right; } td.wrap { white-space: normal; min-width: 14rem; }
tbody tr:nth-child(even) { background: var(--band); }
caption { text-align: left; color: var(--soft); padding-bottom: .3rem; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; padding: .4rem .8rem; } summary { cursor: pointer; }
pre { background: var(--band); padding: .8rem; overflow-x: auto; border-radius: .4rem; font-size: 13px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; display: block; margin: .4rem 0; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .soft { fill: var(--soft); }
svg .axis { stroke: var(--line); stroke-width: 1; } svg .arrow { stroke: var(--ink); stroke-width: 1.4; fill: none; } svg .guess { stroke-dasharray: 4 3; }
svg .head { fill: var(--ink); } svg .column { stroke: var(--soft); stroke-width: 1.2; } svg .bar { fill: var(--one); opacity: .35; } svg .over { fill: var(--bad); opacity: .6; }
svg .one { stroke: var(--one); fill: none; } svg .two { stroke: var(--two); fill: none; } svg .three { stroke: var(--three); fill: none; } svg .mark { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .line { stroke-width: 1.6; } svg .dash1 { stroke-dasharray: 7 3; } svg .dash2 { stroke-dasharray: 2 3; }
@media print { details { break-inside: avoid; } }
`;
