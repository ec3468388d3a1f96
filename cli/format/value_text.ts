// Values and bytes as text for people.
import { type Json, jsonLine, jsonOf } from "./json_value.ts";
import { printable, width } from "./text.ts";

/** Bytes in a line of a dump. */
const DUMP_WIDTH = 16;

/** Columns that a line of a value may have. */
const LINE_WIDTH = 120;

/** Levels that are spread over lines; what is deeper stands in one. */
const MAX_INDENTED = 20;

/** A value as lines of JSON: what fits into one line stands in one. */
export function valueLines(value: unknown, columns: number): string[] {
  const lines: string[] = [];
  spread(jsonOf(value), "", "", Math.min(columns, LINE_WIDTH), lines);
  return lines;
}

function spread(json: Json, indent: string, key: string, columns: number, lines: string[], end = ""): void {
  const line = printable(indent + key + JSON.stringify(json) + end);
  const isFlat = typeof json !== "object" || json === null || indent.length >= 2 * MAX_INDENTED;
  const parts = isFlat ? [] : Array.isArray(json) ? json.map((item) => ["", item] as const) : Object.entries(json);
  if (isFlat || parts.length === 0 || (line.length <= columns && width(line) <= columns)) {
    lines.push(line);
    return;
  }
  const [open, close] = Array.isArray(json) ? "[]" : "{}";
  lines.push(printable(indent + key + open));
  for (const [i, [name, item]] of parts.entries()) {
    const label = Array.isArray(json) ? "" : `${JSON.stringify(name)}: `;
    spread(item, `${indent}  `, label, columns, lines, i < parts.length - 1 ? "," : "");
  }
  lines.push(indent + close + end);
}

/** A value as one line of JSON. */
export function valueLine(value: unknown): string {
  return printable(jsonLine(value));
}

/** Bytes as a dump: "00000010  de ad be ef  .…". */
export function dumpLines(bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += DUMP_WIDTH) {
    const part = bytes.subarray(at, at + DUMP_WIDTH);
    const hex = hexText(part).padEnd(3 * DUMP_WIDTH - 1);
    const text = Array.from(part, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex}  ${text}`);
  }
  return lines;
}

/** Bytes as hexadecimal digits: "de ad be ef". */
export function hexText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}
