// Text for terminals: without what would act on one, and as wide as it will be there.

// Control characters, and those that turn the direction of writing round.
// deno-lint-ignore no-control-regex
const ACTIVE = /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Text that somebody else chose, such as a name or a value, without what acts on a terminal. In JSON it means the same
 * as before.
 */
export function printable(text: string): string {
  return text.replace(ACTIVE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Columns that a character takes: letters of East Asia and pictures take two, marks on other letters none. */
function columnsOf(char: string): number {
  if (/^\p{Mark}|\u200d|\ufe0f$/u.test(char)) return 0;
  const code = char.codePointAt(0)!;
  const wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) || (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) || (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd);
  return wide ? 2 : 1;
}

/** Columns that a text takes. */
export function width(text: string): number {
  let columns = 0;
  for (const char of text) columns += columnsOf(char);
  return columns;
}

/** A text in no more than so many columns, with a mark where it was cut. */
export function cut(text: string, columns: number): string {
  if (text.length <= columns && width(text) <= columns) return text;
  let taken = "", used = 0;
  for (const char of text) {
    used += columnsOf(char);
    if (used > columns - 1) break;
    taken += char;
  }
  return columns < 1 ? "" : `${taken}…`;
}

/** Bytes, for people. */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const [unit, name] = bytes < 1e6 ? [1e3, "kB"] : bytes < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  const count = bytes / unit;
  return `${count < 100 ? Number(count.toFixed(1)) : Math.round(count)} ${name}`;
}

/** A number and what it counts: "1 message", "2 messages". */
export function counted(count: number, what: string): string {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** A number in four columns or less: "0", "7.5", "999", "12k", "1.2M". */
export function shortNumber(count: number): string {
  const units: readonly (readonly [number, string])[] = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];
  // What rounds up to the next unit is written in that one: "1M", not "1000k".
  const [unit, name] = units.find(([unit]) => count >= unit * 0.9995) ?? units.at(-1)!;
  const scaled = count / unit;
  return `${scaled < 9.95 ? Number(scaled.toFixed(1)) : Math.round(scaled)}${name}`;
}

/** A text in no more than so many columns, with a mark where its beginning was cut: of a path the end tells most. */
export function cutStart(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  const chars = [...text];
  let used = 1, from = chars.length;
  while (from > 0 && used + columnsOf(chars[from - 1]!) <= columns) used += columnsOf(chars[--from]!);
  return columns < 1 ? "" : `…${chars.slice(from).join("")}`;
}
