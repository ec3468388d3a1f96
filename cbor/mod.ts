// Values as CBOR (RFC 8949): what structuredClone takes goes out, and comes back the same; what it refuses is refused.
//
// Plain values are plain CBOR: maps with text keys, arrays, numbers, text and byte strings. The rest uses registered
// tags: 1 Date, 2/3 big integers, 27 objects of a class, 28/29 shared references and cycles, 64 to 86 typed arrays,
// 258 Set, 259 Map, 273 text that is not UTF-8.
//
// One walk writes all of it (`writer.ts`, `special_writer.ts`). Two readers read it, by the same rules: one for plain
// values (`plain_reader.ts`), which is the hot path, and one for everything (`strict_reader.ts`). What came from a peer is read
// by these alone.
import type { Revive } from "./frames.ts";
import { decode } from "./strict_reader.ts";
import { refusal } from "./limits.ts";
import type { BytesOf } from "./input.ts";
import type { Mark } from "./marked.ts";
import { copyOf, NOT_PLAIN, readPlain, reviveMarked } from "./plain_reader.ts";
import { write } from "./writer.ts";
import type { Collect, Written } from "./written.ts";
import { IpcError } from "../base/error.ts";

export type { Revive } from "./frames.ts";
export { STANDARD_ERRORS } from "./kinds.ts";
export type { BytesOf } from "./input.ts";
export { Mark } from "./marked.ts";
export type { Collect, Insert, StandIn, Written } from "./written.ts";

/**
 * Encodes a value. Getters in it run once, and may encode other values meanwhile.
 *
 * @param value What structuredClone takes, and what `collect` takes charge of.
 * @param gather Whether long byte strings may be left out, as inserts, for the caller to copy where they are to go.
 * @param collect Asked for endpoints, memory and descriptors; without it they are refused.
 * @returns The message, valid until the next encoding.
 * @throws {IpcError} `Serialization`, with the path to what cannot be encoded.
 */
export function encodeParts(value: unknown, gather: boolean, collect?: Collect): Written {
  let written: Written | undefined;
  try {
    written = write(value, gather, collect);
  } catch (error) {
    throw encodeError(error);
  }
  if (written === undefined) throw refusal();
  return written;
}

function encodeError(cause: unknown): IpcError {
  if (cause instanceof IpcError) return cause;
  const why = cause instanceof RangeError && /call stack/.test(cause.message)
    ? "it is nested too deeply"
    : (cause as Error)?.message ?? String(cause);
  return new IpcError("Serialization", `Cannot encode the value: ${why}`, { cause });
}

/**
 * Encodes a value.
 *
 * @param value What structuredClone takes.
 * @returns The bytes, valid until the next encoding.
 * @throws {IpcError} `Serialization`, with the path to what cannot be encoded.
 */
export function encodeCbor(value: unknown): Uint8Array<ArrayBuffer> {
  const { bytes, end } = encodeParts(value, false);
  return bytes.subarray(0, end);
}

/**
 * Decodes a value.
 *
 * @param bytes The message. Decoded byte strings are copies.
 * @throws {IpcError} `Serialization` for anything but one whole, well-formed item.
 */
export function decodeCbor(bytes: Uint8Array<ArrayBuffer>): unknown {
  return decodeParts(bytes, 0, bytes.length, copyOf);
}

/**
 * Decodes a value that lies in memory which a peer may change meanwhile.
 *
 * @param source The memory.
 * @param start Where the message begins.
 * @param end Behind its last byte.
 * @param bytesOf Makes what the reader gets for a byte string.
 * @param mark What arrays inside tag 27 begin with that `revive` makes something of.
 * @param revive Gives back what a collector wrote.
 * @throws {IpcError} `Serialization` for anything but one whole, well-formed item.
 */
export function decodeParts(
  source: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
  bytesOf: BytesOf,
  mark?: Mark,
  revive?: Revive,
): unknown {
  try {
    const value = readPlain(source, start, end, bytesOf, mark);
    if (value === NOT_PLAIN) return decode(source, start, end, bytesOf, revive);
    return revive === undefined ? value : reviveMarked(value, revive);
  } catch (error) {
    throw decodeError(end - start, error);
  }
}

function decodeError(length: number, cause: unknown): IpcError {
  // Of memory, or of a string that is longer than there can be.
  if (cause instanceof RangeError && !/call stack/.test(cause.message)) {
    return new IpcError("TooLarge", `Cannot receive a message of ${length} bytes: no memory for it`, { cause });
  }
  const why = (cause as Error)?.message ?? String(cause);
  return new IpcError("Serialization", `Cannot decode a message of ${length} bytes: ${why}`, { cause });
}
