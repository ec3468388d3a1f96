// One message as commands show it.
import { decodeCbor } from "../../cbor/mod.ts";
import { type Json, jsonOf } from "../format/json_value.ts";
import type { Output } from "../format/output.ts";
import { bytesText, cut, printable } from "../format/text.ts";
import { hexText, valueLine } from "../format/value_text.ts";

/** Bytes that are shown of a message that is no value. */
const EXCERPT = 32;

/** A message as it is shown: a value, or bytes and why they cannot be decoded. */
export type Shown = { value: unknown } | { bytes: Uint8Array; problem: string };

/**
 * What a message is shown as.
 *
 * @param raw Its bytes, and not what they mean.
 */
export function shownMessage(bytes: Uint8Array<ArrayBuffer>, raw: boolean): Shown {
  if (raw) return { value: bytes };
  try {
    const value = decodeCbor(bytes);
    jsonOf(value); // fails here, where it can be told which message it is
    return { value };
  } catch (error) {
    if (!isExpected(error)) throw error;
    return { bytes, problem: error.message };
  }
}

/** Whether an error is one of the content, and not one of this program. */
export function isExpected(error: unknown): error is Error {
  return error instanceof Error && "code" in error;
}

/** A message for JSON. */
export function messageDocument(found: Shown): Record<string, Json> {
  if ("value" in found) return { value: jsonOf(found.value), problem: null };
  return { value: null, problem: found.problem, bytes: jsonOf(found.bytes) };
}

/** A message for people, on a line. */
export function messageLine(number: number, length: number, found: Shown, out: Output): string {
  const head = `${out.paint("dim", `#${number}`)}  ${bytesText(length)}  `;
  const room = out.columns - `#${number}  ${bytesText(length)}  `.length;
  if ("value" in found) return head + cut(valueLine(found.value), room);
  const { bytes, problem } = found;
  const excerpt = `${hexText(bytes.subarray(0, EXCERPT))}${bytes.length > EXCERPT ? " …" : ""}`;
  return head + cut(`${excerpt}${excerpt === "" ? "" : "  "}(${printable(problem)})`, room);
}
