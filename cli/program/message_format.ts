// The three forms in which messages go through the standard input and output: lines of text, lines of JSON, bytes.
import { type Call, type Flag, UsageError } from "./command.ts";

/** `raw` is for channels of bytes; the other two are for channels of values. */
export type Format = "text" | "json" | "raw";

/** The flags that choose one. */
export function formatFlags(json: string, raw: string): Readonly<Record<"json" | "raw", Flag>> {
  return { json: { help: json }, raw: { help: raw } };
}

/** The form that a command was called with. */
export function formatOf({ flags }: Pick<Call, "flags">): Format {
  const json = flags["json"] !== undefined, raw = flags["raw"] !== undefined;
  if (json && raw) throw new UsageError('"--json" and "--raw" exclude each other');
  return json ? "json" : raw ? "raw" : "text";
}
