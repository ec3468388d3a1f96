// What is known of one thing, a line for each part.
import type { Output } from "./output.ts";

/** Lines of a name and a text; those without a text are left out. */
export function writeFields(out: Output, fields: readonly (readonly [string, string | undefined])[]): void {
  const there = fields.filter(([, text]) => text !== undefined);
  const widest = Math.max(...there.map(([name]) => name.length));
  for (const [name, text] of there) out.line(`${out.paint("dim", name.padEnd(widest))}  ${text}`);
}
