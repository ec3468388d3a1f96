// Rows of a table, one beneath the other; on a terminal that is too narrow, one block a row.
import type { Color, Output } from "./output.ts";
import { width } from "./text.ts";

/** One cell of a table: its text, which must be printable, and perhaps a colour. */
export type TableCell = string | readonly [text: string, color: Color];

const GAP = 2;

/**
 * Writes a table.
 *
 * @param titles The titles of the columns.
 * @param rows As many cells each.
 * @param heading The column that heads a block where there is no room for a table.
 */
export function writeTable(
  out: Output,
  titles: readonly string[],
  rows: readonly (readonly TableCell[])[],
  heading: number,
): void {
  const widths = titles.map((title, i) => Math.max(width(title), ...rows.map((row) => width(textOf(row[i]!)))));
  const total = widths.reduce((sum, columns) => sum + columns + GAP, -GAP);
  if (total > out.columns) return writeBlocks(out, titles, rows, heading);
  out.line(line(titles.map((title): TableCell => [title, "dim"]), widths, out));
  for (const row of rows) out.line(line(row, widths, out));
}

function line(row: readonly TableCell[], widths: readonly number[], out: Output): string {
  const parts = row.map((cell, i) => painted(cell, out) + " ".repeat(widths[i]! - width(textOf(cell))));
  return parts.join(" ".repeat(GAP)).replace(/ +$/, "");
}

function writeBlocks(
  out: Output,
  titles: readonly string[],
  rows: readonly (readonly TableCell[])[],
  heading: number,
): void {
  for (const row of rows) {
    out.line(out.paint("bold", textOf(row[heading]!)));
    for (const [i, cell] of row.entries()) {
      if (i === heading || textOf(cell) === "") continue;
      out.line(`  ${out.paint("dim", `${titles[i]!.toLowerCase()}:`)} ${painted(cell, out)}`);
    }
  }
}

function textOf(cell: TableCell): string {
  return typeof cell === "string" ? cell : cell[0];
}

function painted(cell: TableCell, out: Output): string {
  return typeof cell === "string" ? cell : out.paint(cell[1], cell[0]);
}
