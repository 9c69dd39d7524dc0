"""Style sheet of the HTML report: system fonts, light and dark, phone to desktop, print."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f7f9; --ink: #16191d; --soft: #565d66; --rule: #d5d9de;
  --correct: #2f6fb3; --merged: #b8336a; --split: #e08a1e; --omitted: #8b929b; --truth: #16191d;
  --on-correct: #fff; --on-merged: #fff; --on-split: #16191d; --on-omitted: #16191d;
  --run1: #2a9d8f; --run2: #7a5cc0; --run3: #4b9cd9; --run4: #6a8f2b; --run5: #a0602c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --panel: #1d2125; --ink: #e9ecef; --soft: #a3abb4; --rule: #3a4149;
    --correct: #6ba8e5; --merged: #ee7aa5; --split: #f0ab4e; --omitted: #79818b; --truth: #e9ecef;
    --on-correct: #14171a; --on-merged: #14171a; --on-split: #14171a; --on-omitted: #14171a;
    --run1: #58c7b9; --run2: #b09af0; --run3: #a5d0f5; --run4: #a9cf63; --run5: #d99a66;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 44px 0 6px; }
h3 { font-size: 1rem; margin: 0 0 4px; }
p { margin: 6px 0 10px; max-width: 72ch; }
.sub, figcaption, .small { color: var(--soft); }
.small { font-size: .875rem; }
.lead { font-size: 1.1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; padding: 0;
  margin: 20px 0; list-style: none; }
.cards li { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px; }
.cards b { display: block; font-size: 1.55rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.cards span { color: var(--soft); font-size: .875rem; display: block; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr); gap: 8px 28px; align-items: start; }
@media (min-width: 1060px) { .pair { grid-template-columns: 600px minmax(0, 1fr); } }
.pair + p { margin-top: 28px; }
figure { margin: 8px 0 0; min-width: 0; }
svg { display: block; max-width: 100%; height: auto; }
svg.narrow { display: none; }
@media (max-width: 699px) {
  main { padding: 16px 14px 48px; }
  svg.wide { display: none; } svg.narrow { display: block; }
}
.scroll { overflow-x: auto; max-width: 100%; }
.scroll:focus-visible { outline: 2px solid var(--correct); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; color: var(--soft); padding: 4px 0; }
th, td { padding: 4px 10px 4px 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child, .words { text-align: left; }
td.words { white-space: normal; min-width: 16ch; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; padding: 0; margin: 6px 0 0;
  font-size: .875rem; }
.swatch { display: inline-block; width: 14px; height: 14px; border-radius: 3px; margin-right: 6px;
  vertical-align: -2px; border: 1px solid transparent; }
.drawings { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 322px), 1fr)); gap: 24px; }
.drawings ol { padding-left: 20px; margin: 6px 0; font-size: .875rem; overflow-wrap: anywhere; }
svg.drawing { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; }
dt { font-weight: 600; } dd { margin: 0 0 8px; color: var(--soft); max-width: 80ch; overflow-wrap: anywhere; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .9em; overflow-wrap: anywhere; }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: var(--ink); }
text.tick { fill: var(--soft); } text.label { fill: var(--ink); } 
text.note { fill: var(--soft); font-size: 11px; paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
text.label { paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
text.on-bar { font-weight: 600; }
.grid { stroke: var(--rule); stroke-width: 1; } .axis { stroke: var(--soft); stroke-width: 1; }
.ceiling { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 6 4; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 3; }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
.truth { stroke: var(--truth); stroke-dasharray: 6 4; } .correct-line { stroke: var(--correct); }
.area.correct { fill-opacity: .25; }
rect.correct, .dot.correct, .area.correct { fill: var(--correct); } .swatch.correct { background: var(--correct); }
rect.merged { fill: var(--merged); } .swatch.merged { background: var(--merged); }
rect.split { fill: var(--split); } .swatch.split { background: var(--split); }
rect.omitted { fill: var(--omitted); } .swatch.omitted { background: var(--omitted); }
rect.rest { fill: var(--panel); stroke: var(--rule); }
.swatch.rest { background: var(--panel); border-color: var(--rule); }
.swatch.truth-line { background: none; border: 0; border-top: 2px dashed var(--truth); border-radius: 0; height: 0;
  width: 18px; vertical-align: 4px; }
.on-correct { fill: var(--on-correct); } .on-merged { fill: var(--on-merged); }
.on-split { fill: var(--on-split); } .on-omitted { fill: var(--on-omitted); }
path { fill: none; stroke-width: 2.4; stroke-linecap: round; }
path.omitted { stroke: var(--omitted); stroke-width: 1.4; stroke-dasharray: 1 3; }
path.merged { stroke: var(--merged); } path.split { stroke: var(--split); stroke-width: 5; }
.swatch.run0 { background: linear-gradient(90deg, var(--correct) 34%, var(--run1) 34% 67%, var(--run2) 67%); }
path.run0 { stroke: var(--correct); } path.run1 { stroke: var(--run1); } path.run2 { stroke: var(--run2); }
path.run3 { stroke: var(--run3); } path.run4 { stroke: var(--run4); } path.run5 { stroke: var(--run5); }
.scale-bar { stroke: var(--ink); stroke-width: 3; }
circle.error { fill: var(--page); stroke: var(--ink); stroke-width: 1.2; }
text.error-number { font-size: 11px; font-weight: 600; }
@media print { .scroll { overflow: visible; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""
