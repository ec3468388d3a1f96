// Rows of a table, one beneath the other; on a terminal that is too narrow, one block a row.
import type { Color, Output } from "./output.ts";
import { width } from "./text.ts";

/** One entry of a table: its text, which must be printable, and perhaps a colour. */
export type TableEntry = string | readonly [text: string, color: Color];

const GAP = 2;

/**
 * Writes a table.
 *
 * @param titles The titles of the columns.
 * @param rows As many entries each.
 * @param heading The column that heads a block where there is no room for a table.
 */
export function writeTable(
  out: Output,
  titles: readonly string[],
  rows: readonly (readonly TableEntry[])[],
  heading: number,
): void {
  const widths = titles.map((title, i) => Math.max(width(title), ...rows.map((row) => width(textOf(row[i]!)))));
  const total = widths.reduce((sum, columns) => sum + columns + GAP, -GAP);
  if (total > out.columns) return writeBlocks(out, titles, rows, heading);
  out.line(line(titles.map((title): TableEntry => [title, "dim"]), widths, out));
  for (const row of rows) out.line(line(row, widths, out));
}

function line(row: readonly TableEntry[], widths: readonly number[], out: Output): string {
  const parts = row.map((entry, i) => painted(entry, out) + " ".repeat(widths[i]! - width(textOf(entry))));
  return parts.join(" ".repeat(GAP)).replace(/ +$/, "");
}

function writeBlocks(
  out: Output,
  titles: readonly string[],
  rows: readonly (readonly TableEntry[])[],
  heading: number,
): void {
  for (const row of rows) {
    out.line(out.paint("bold", textOf(row[heading]!)));
    for (const [i, entry] of row.entries()) {
      if (i === heading || textOf(entry) === "") continue;
      out.line(`  ${out.paint("dim", `${titles[i]!.toLowerCase()}:`)} ${painted(entry, out)}`);
    }
  }
}

function textOf(entry: TableEntry): string {
  return typeof entry === "string" ? entry : entry[0];
}

function painted(entry: TableEntry, out: Output): string {
  return typeof entry === "string" ? entry : out.paint(entry[1], entry[0]);
}
