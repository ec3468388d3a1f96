// Values as CBOR (RFC 8949): what structuredClone takes goes out, and comes back the same.
//
// Plain values are plain CBOR: maps with text keys, arrays, numbers, text and byte strings. The rest uses registered
// tags: 1 Date, 2/3 big integers, 27 objects of a class, 28/29 shared references and cycles, 64 to 87 typed arrays,
// 258 Set, 259 Map.
//
// What is plain goes by code of this package's own (cbor_write.ts, cbor_read.ts), because it is the hot path; everything
// else by cbor-x.
import { onTag, rawDecode, rawEncode, resetSharing, Tag } from "./cbor_instance.ts";
import { normalize } from "./cbor_normalize.ts";
import { NOT_PLAIN, readPlain, reviveMarked } from "./cbor_read.ts";
import { type Collect, GENERIC_OBJECT, writePlain, type Written } from "./cbor_write.ts";
import { IpcError } from "./error.ts";
import { ERRORS } from "./standard_errors.ts";

export type { BytesOf } from "./cbor_read.ts";
export type { Collect, Insert, Written } from "./cbor_write.ts";
export { NOT_PLAIN, readPlain } from "./cbor_read.ts";

let encoding = false;

/**
 * Encodes a value.
 *
 * @param value What structuredClone takes, and what `collect` takes charge of.
 * @param gather Whether long byte strings may be left out, as inserts, for the caller to copy where they are to go.
 * @param collect Asked for every object that is not plain.
 * @param uncollect Called if everything has to be collected again, from the beginning.
 * @returns The message, valid until the next encoding.
 * @throws {IpcError} `Serialization`, with the path to what cannot be encoded.
 */
export function encodeParts(value: unknown, gather: boolean, collect?: Collect, uncollect?: () => void): Written {
  if (encoding) {
    // Only a getter on a plain object can get here: toJSON and the getters of other objects ran before.
    throw new IpcError("Serialization", "Cannot encode a value from inside a getter of a value that is being encoded");
  }
  let plain: Written | undefined;
  try {
    encoding = true;
    plain = writePlain(value, gather, collect);
    encoding = false;
  } catch (error) {
    throw encodeError(error);
  }
  return plain ?? encodeAny(value, collect, uncollect);
}

function encodeAny(value: unknown, collect: Collect | undefined, uncollect: (() => void) | undefined): Written {
  try {
    uncollect?.();
    const prepared = normalize(value, collect);
    resetSharing();
    encoding = true;
    const { buffer, byteOffset, start, end } = rawEncode(prepared);
    encoding = false;
    // Not `subarray`: this is Node's Buffer, whose `slice` does not copy.
    return {
      bytes: new Uint8Array(buffer, byteOffset + start, end - start),
      longs: undefined,
      end: end - start,
      inserts: [],
    };
  } catch (error) {
    throw encodeError(error);
  }
}

function encodeError(cause: unknown): IpcError {
  encoding = false;
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

/** Gives back what a collector wrote: gets the array that {@linkcode Collect} returned. */
export type Revive = (written: readonly unknown[]) => unknown;

// State of the message being decoded. Decoding runs no code of the user's, so it does not nest.
let shared: { value: unknown; complete: boolean }[] = [];
let hasCycle = false;
let revive: Revive | undefined;
let byteStrings: readonly Uint8Array[] | undefined;

/**
 * Stands, in a message whose byte strings were taken out of it, for the one of the number that it tags. Not on any
 * wire: {@linkcode decodeCbor} knows it only beside a list.
 */
export const TAKEN_OUT = 200;

/**
 * Decodes a value.
 *
 * @param bytes The message, in private memory: nothing may change it meanwhile. Decoded byte strings are copies.
 * @param length Bytes of the message, from the beginning; all of them unless told.
 * @param reviver Gives back what a collector wrote.
 * @param takenOut The message's byte strings, if {@linkcode TAKEN_OUT} stands for them.
 * @throws {IpcError} `Serialization` for anything but one whole CBOR item.
 */
export function decodeCbor(
  bytes: Uint8Array,
  length: number = bytes.length,
  reviver?: Revive,
  takenOut?: readonly Uint8Array[],
): unknown {
  if (reviver === undefined && takenOut === undefined) {
    const value = readPlain(bytes as Uint8Array<ArrayBuffer>, 0, length);
    if (value !== NOT_PLAIN) return value;
  }
  revive = reviver;
  byteStrings = takenOut;
  try {
    const value = rawDecode(bytes, length, takenOut !== undefined);
    return hasCycle ? close(value) : value;
  } catch (cause) {
    throw decodeError(length, cause);
  } finally {
    if (shared.length > 0) shared = [];
    hasCycle = false;
    revive = undefined;
    byteStrings = undefined;
  }
}

/**
 * Gives back, in a value that {@linkcode readPlain} has read, what a collector wrote.
 *
 * @param length Bytes of the message.
 * @throws {IpcError} As {@linkcode decodeCbor}.
 */
export function reviveAll(value: unknown, length: number, reviver: Revive): unknown {
  try {
    return reviveMarked(value, reviver);
  } catch (cause) {
    throw decodeError(length, cause);
  }
}

function decodeError(length: number, cause: unknown): IpcError {
  const why = (cause as Error)?.message ?? String(cause);
  return new IpcError("Serialization", `Cannot decode a message of ${length} bytes: ${why}`, { cause });
}

// --- How tags are read ---------------------------------------------------------------------------------------------

/** Stands for a value that is still being read when it is referred to: a cycle. */
class Unfinished {
  constructor(readonly id: number) {}
}

onTag(28, (read: () => unknown) => {
  const entry = { value: undefined as unknown, complete: false };
  shared.push(entry); // numbered in the order of their beginnings, so before its content
  entry.value = read();
  entry.complete = true;
  return entry.value;
}, true);

onTag(29, (id: unknown) => {
  const entry = typeof id === "number" ? shared[id] : undefined;
  if (entry === undefined) throw new Error(`reference to shared value ${String(id)}, which is not there`);
  if (entry.complete) return entry.value;
  hasCycle = true;
  return new Unfinished(id as number);
});

/** Puts the values where the cycles refer to them. */
function close(root: unknown): unknown {
  const visited = new Set<object>();
  const finished = (value: unknown) => value instanceof Unfinished ? shared[value.id]!.value : value;
  const queue: unknown[] = [finished(root)];
  for (let value = queue.pop(); value !== undefined || queue.length > 0; value = queue.pop()) {
    if (typeof value !== "object" || value === null || visited.has(value)) continue;
    visited.add(value);
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) queue.push(value[i] = finished(value[i]));
    } else if (value instanceof Map) {
      const entries = [...value];
      value.clear();
      for (const [key, item] of entries) {
        const closed = [finished(key), finished(item)] as const;
        value.set(closed[0], closed[1]);
        queue.push(closed[0], closed[1]);
      }
    } else if (value instanceof Set) {
      const items = [...value];
      value.clear();
      for (const item of items) {
        const closed = finished(item);
        value.add(closed);
        queue.push(closed);
      }
    } else if (Object.getPrototypeOf(value) === Object.prototype) {
      for (const key of Object.keys(value)) {
        const record = value as Record<string, unknown>;
        const closed = finished(record[key]);
        if (closed !== record[key]) record[key] = closed;
        queue.push(closed);
      }
    } else if (value instanceof Error && "cause" in value) {
      queue.push(value.cause = finished(value.cause));
    }
  }
  return finished(root);
}

onTag(GENERIC_OBJECT, (content: unknown) => {
  if (!Array.isArray(content) || typeof content[0] !== "string") return new Tag(content, GENERIC_OBJECT);
  const [name, first, second] = content;
  if (name === "RegExp") {
    return new RegExp(String(first), String(second ?? ""));
  }
  if (name === "ArrayBuffer" && first instanceof Uint8Array) return exactBuffer(first);
  if (name === "DataView" && first instanceof Uint8Array) return new DataView(exactBuffer(first));
  if (Object.hasOwn(ERRORS, name) && typeof first === "string") return readError(name, first, second);
  const revived = revive?.(content);
  return revived === undefined ? new Tag(content, GENERIC_OBJECT) : revived;
});

function exactBuffer(bytes: Uint8Array): ArrayBufferLike {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer;
}

function readError(name: string, message: string, details: unknown): Error {
  const error = new ERRORS[name]!(message);
  if (typeof details === "object" && details !== null) {
    const { stack } = details as { stack?: unknown };
    if (typeof stack === "string") error.stack = stack;
    if (Object.hasOwn(details, "cause")) {
      Object.defineProperty(error, "cause", {
        value: (details as { cause: unknown }).cause,
        configurable: true,
        writable: true,
      });
    }
  }
  return error;
}

// By way of hexadecimal digits: cbor-x adds byte by byte, in time by the square of the length, which a hostile peer
// would use to stop the process.
const bigInteger = (content: unknown): bigint => {
  if (!(content instanceof Uint8Array)) throw new Error("a big integer that is not a byte string");
  return content.length === 0 ? 0n : BigInt("0x" + content.toHex());
};
onTag(2, bigInteger);
onTag(3, (content: unknown) => -1n - bigInteger(content));

// Float16Array, little-endian (RFC 8746), which cbor-x leaves out.
onTag(84, (content: unknown) => {
  if (!(content instanceof Uint8Array)) throw new Error("a typed array that is not a byte string");
  return new Float16Array(content.slice().buffer);
});

onTag(TAKEN_OUT, (number: unknown) => {
  if (byteStrings === undefined) return new Tag(number, TAKEN_OUT);
  const bytes = byteStrings[number as number];
  if (bytes === undefined) throw new Error(`byte string ${String(number)} is not there`);
  return bytes;
});
