// Bars in an SVG: one group a workload, one bar a side, on a logarithmic scale, as the sides are far apart.
import type { Row } from "./run.ts";
import { amount } from "./table.ts";
import { type Side, titleOf } from "./workload.ts";

const BAR = 16, GAP = 14, LABEL = 250, WIDTH = 980, HEAD = 34;

/** Colours on a light page and on a dark one. */
const STYLE = `
text { fill: #1f2328; }
.paper { fill: #ffffff; }
.ours { fill: #2a78c8; }
.other { fill: #a8a8a8; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .paper { fill: #0d1117; }
  .ours { fill: #6ea0e8; }
  .other { fill: #6b7178; }
}
`;

/** Speed of each side in each workload; longer is faster. */
export function chart(title: string, rows: readonly Row[], sides: readonly Side[]): string {
  const speeds = rows.flatMap(({ cells }) => Object.values(cells).map(({ ns }) => 1 / ns.median));
  const low = Math.log10(Math.min(...speeds)) - 0.3, high = Math.log10(Math.max(...speeds));
  const parts: string[] = [];
  let y = HEAD;
  for (const { workload, cells } of rows) {
    parts.push(text(8, y + 12, titleOf(workload), "font-weight='bold'"));
    y += 20;
    const taking = sides.filter(({ id }) => cells[id]).sort((a, b) => cells[a.id]!.ns.median - cells[b.id]!.ns.median);
    for (const side of taking) {
      const { median } = cells[side.id]!.ns;
      const length = Math.max(1, (Math.log10(1 / median) - low) / (high - low) * (WIDTH - LABEL - 190));
      parts.push(
        text(LABEL - 8, y + 12, side.title, "text-anchor='end'"),
        `<rect x='${LABEL}' y='${y}' width='${length.toFixed(1)}' height='${BAR - 3}' class='${
          side.ours ? "ours" : "other"
        }'/>`,
        text(LABEL + length + 6, y + 11, amount(workload, median)),
      );
      y += BAR;
    }
    y += GAP;
  }
  return `<svg xmlns='http://www.w3.org/2000/svg' width='${WIDTH}' height='${y}' font-family='sans-serif' font-size='12'>
<title>${title}</title>
<style>${STYLE}</style>
<rect width='100%' height='100%' class='paper'/>
${text(8, 20, `${title} (longer is faster, logarithmic)`, "font-size='15'")}
${parts.join("\n")}
</svg>
`;
}

function text(x: number, y: number, content: string, attributes = ""): string {
  const safe = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x='${x.toFixed(0)}' y='${y}' ${attributes}>${safe}</text>`;
}
