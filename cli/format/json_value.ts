// How values that JSON has no words for are written as JSON, and read back. One rule for all commands:
//
// What JSON has is written as JSON. Everything else is an object with one key, which begins with "$":
//
// ```text
// {"$bigint": "12"}                           a bigint, in decimal digits
// {"$number": "NaN"}                          a number that JSON lacks: NaN, Infinity, -Infinity, -0
// {"$undefined": true}                        undefined
// {"$bytes": "AQI="}                          a Uint8Array, in base64
// {"$array": ["Float32Array", [1, 2]]}        any other typed array, its elements written by this rule
// {"$buffer": "AQI="}                         an ArrayBuffer, in base64; "$view" for a DataView
// {"$date": "2024-01-01T00:00:00.000Z"}       a Date; null for an invalid one
// {"$map": [["key", "value"]]}                a Map
// {"$set": [1, 2]}                            a Set
// {"$regexp": ["a+", "i"]}                    a RegExp
// {"$error": ["TypeError", "message"]}        an Error, and its cause as a third element; the stack is left out
// {"$ref": "/items/0"}                        the very object that the pointer (RFC 6901) leads to, from the top of the value
// {"$object": {"$date": 1}}                   an object whose only key begins with "$"
// {"$sparse": [3, {"0": 1, "name": 2}]}       an array with holes, or with properties besides: its length, and what it has
// {"$boxed": "text"}                          a Number, String, Boolean or BigInt object
// {"$exception": ["AbortError", "message"]}   a DOMException
// {"$opaque": "IpcSender"}                    what no text can stand for, such as an endpoint; cannot be read back
// ```
//
// No value is written twice, as one that holds another a thousand times over would be a message that fills the disk.
import { IpcError } from "../../base/error.ts";
import { STANDARD_ERRORS } from "../../cbor/mod.ts";

/** What `JSON.stringify` writes without loss. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A value as one line of JSON. */
export function jsonLine(value: unknown): string {
  return guarded(() => JSON.stringify(write(value, "", new Map())));
}

/** A value as something to put into a JSON document. */
export function jsonOf(value: unknown): Json {
  return guarded(() => write(value, "", new Map()));
}

/**
 * The value that a text in JSON stands for.
 *
 * @throws {IpcError} `Serialization` if it is not JSON, or not by the rule.
 */
export function valueOfJson(text: string): unknown {
  let json: Json;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof RangeError) {
      return guarded(() => {
        throw cause;
      });
    }
    throw new IpcError("Serialization", `Cannot read ${excerpt(text)}: it is not JSON (${(cause as Error).message})`, {
      cause,
    });
  }
  return guarded(() => read(json, "", new Map()));
}

/** How deep values may be nested: every level takes some of the stack here, and in programs that read the JSON. */
const MAX_DEPTH = 400;

let depth = 0;

/** Goes one level deeper. */
function nested<T>(act: () => T): T {
  if (depth >= MAX_DEPTH) throw new RangeError("nested too deeply");
  depth++;
  try {
    return act();
  } finally {
    depth--;
  }
}

function guarded<T>(act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new IpcError(
      "Serialization",
      `Cannot use a value as JSON: it is nested deeper than ${MAX_DEPTH} levels, or too long`,
      { cause },
    );
  }
}

// --- Writing -------------------------------------------------------------------------------------------------------

type Places = Map<object, string>;

function write(value: unknown, path: string, seen: Places): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $number: Object.is(value, -0) ? "-0" : String(value) };
    case "bigint":
      return { $bigint: String(value) };
    case "undefined":
      return { $undefined: true };
    case "object":
      break;
    default:
      return { $opaque: typeof value };
  }
  if (value === null) return null;
  const before = seen.get(value);
  if (before !== undefined) return { $ref: before };
  seen.set(value, path);
  return nested(() => writeObject(value, path, seen));
}

function writeObject(value: object, path: string, seen: Places): Json {
  const list = (items: Iterable<unknown>, at: string) =>
    Array.from(items, (item, i) => write(item, `${at}/${i}`, seen));
  if (Array.isArray(value)) return writeArray(value, path, seen);
  if (value instanceof Uint8Array) return { $bytes: value.toBase64() };
  if (value instanceof DataView) return { $view: bytesOf(value).toBase64() };
  if (ArrayBuffer.isView(value)) {
    const items = value as unknown as Iterable<number | bigint>;
    return { $array: [value.constructor.name, list(items, `${path}/$array/1`)] };
  }
  if (value instanceof ArrayBuffer) return { $buffer: new Uint8Array(value).toBase64() };
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() };
  if (value instanceof Map) return { $map: list(value, `${path}/$map`) };
  if (value instanceof Set) return { $set: list(value, `${path}/$set`) };
  if (value instanceof RegExp) return { $regexp: [value.source, value.flags] };
  if (value instanceof DOMException) return { $exception: [value.name, value.message] };
  if (value instanceof Error) {
    const parts = [value.name, value.message, ...("cause" in value ? [value.cause] : [])];
    return { $error: list(parts, `${path}/$error`) };
  }
  if (isBoxed(value)) return { $boxed: write(value.valueOf(), `${path}/$boxed`, seen) };
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return { $opaque: value.constructor?.name ?? "object" };
  const keys = Object.keys(value);
  const escaped = keys.length === 1 && keys[0]!.startsWith("$");
  const at = escaped ? `${path}/$object` : path;
  const result: { [key: string]: Json } = {};
  for (const key of keys) {
    set(result, key, write((value as Record<string, unknown>)[key], `${at}/${escape(key)}`, seen));
  }
  return escaped ? { $object: result } : result;
}

function isBoxed(value: object): boolean {
  return value instanceof Number || value instanceof String || value instanceof Boolean || value instanceof BigInt;
}

/** Of an array as long as its sender likes, only what is there. */
function writeArray(array: unknown[], path: string, seen: Places): Json {
  const keys = Object.keys(array);
  if (keys.length === array.length && keys.at(-1) === (keys.length === 0 ? undefined : String(keys.length - 1))) {
    return array.map((item, i) => write(item, `${path}/${i}`, seen));
  }
  const entries: { [key: string]: Json } = {};
  for (const key of keys) {
    const item = (array as unknown as Record<string, unknown>)[key];
    set(entries, key, write(item, `${path}/$sparse/1/${escape(key)}`, seen));
  }
  return { $sparse: [array.length, entries] };
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A key as part of a pointer. */
function escape(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Assigns; also to the key "__proto__", which plain assignment takes for something else. */
function set<T>(object: Record<string, T>, key: string, value: T): void {
  Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true });
}

// --- Reading -------------------------------------------------------------------------------------------------------

type Values = Map<string, object>;

const TYPED_ARRAYS = {
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float16Array,
  Float32Array,
  Float64Array,
} as const;
const BIG_ARRAYS = { BigInt64Array, BigUint64Array } as const;

function read(json: Json, path: string, seen: Values): unknown {
  return typeof json !== "object" || json === null ? json : nested(() => readObject(json, path, seen));
}

function readObject(json: Json[] | { [key: string]: Json }, path: string, seen: Values): unknown {
  if (Array.isArray(json)) {
    const array: unknown[] = [];
    seen.set(path, array);
    for (let i = 0; i < json.length; i++) array.push(read(json[i]!, `${path}/${i}`, seen));
    return array;
  }
  const keys = Object.keys(json);
  if (keys.length !== 1 || !keys[0]!.startsWith("$")) return readPlain(json, path, path, seen);
  const reader = Object.hasOwn(READERS, keys[0]!) ? READERS[keys[0]!] : undefined;
  const found = reader?.(json[keys[0]!]!, path, seen);
  if (found === undefined) throw unreadable(json);
  return found[0];
}

function readPlain(json: { [key: string]: Json }, path: string, at: string, seen: Values): object {
  const object: Record<string, unknown> = {};
  seen.set(path, object);
  for (const key of Object.keys(json)) set(object, key, read(json[key]!, `${at}/${escape(key)}`, seen));
  return object;
}

/** The value in an array of one; `undefined` if what follows the key is not what it must be. */
type Reader = (content: Json, path: string, seen: Values) => [unknown] | undefined;

const READERS: Record<string, Reader> = {
  $bigint: (text) => typeof text === "string" && /^-?\d+$/.test(text) ? [BigInt(text)] : undefined,
  $number: (text) =>
    text === "NaN" || text === "Infinity" || text === "-Infinity" || text === "-0" ? [Number(text)] : undefined,
  $undefined: (mark) => mark === true ? [undefined] : undefined,
  $bytes: (text, path, seen) => kept(fromBase64(text), path, seen),
  $buffer: (text, path, seen) => kept(fromBase64(text)?.buffer, path, seen),
  $view(text, path, seen) {
    const bytes = fromBase64(text);
    return kept(bytes && new DataView(bytes.buffer), path, seen);
  },
  $array(content, path, seen) {
    if (!Array.isArray(content)) return undefined;
    const [name, items] = content;
    if (typeof name !== "string" || !Array.isArray(items)) return undefined;
    const elements = items.map((item) => read(item, "", new Map()));
    if (Object.hasOwn(TYPED_ARRAYS, name) && elements.every((element) => typeof element === "number")) {
      return kept(TYPED_ARRAYS[name as keyof typeof TYPED_ARRAYS].from(elements), path, seen);
    }
    if (Object.hasOwn(BIG_ARRAYS, name) && elements.every((element) => typeof element === "bigint")) {
      return kept(BIG_ARRAYS[name as keyof typeof BIG_ARRAYS].from(elements), path, seen);
    }
    return undefined;
  },
  $date(text, path, seen) {
    const date = new Date(text === null ? NaN : typeof text === "string" ? text : NaN);
    return text === null || !Number.isNaN(date.getTime()) ? kept(date, path, seen) : undefined;
  },
  $map(entries, path, seen) {
    if (!Array.isArray(entries)) return undefined;
    const map = new Map();
    seen.set(path, map);
    for (const [i, entry] of entries.entries()) {
      if (!Array.isArray(entry) || entry.length !== 2) return undefined;
      const at = `${path}/$map/${i}`;
      map.set(read(entry[0]!, `${at}/0`, seen), read(entry[1]!, `${at}/1`, seen));
    }
    return [map];
  },
  $set(items, path, seen) {
    if (!Array.isArray(items)) return undefined;
    const set = new Set();
    seen.set(path, set);
    for (const [i, item] of items.entries()) set.add(read(item, `${path}/$set/${i}`, seen));
    return [set];
  },
  $regexp(content, path, seen) {
    if (!Array.isArray(content)) return undefined;
    const [source, flags] = content;
    if (typeof source !== "string" || typeof flags !== "string") return undefined;
    try {
      return kept(new RegExp(source, flags), path, seen);
    } catch {
      return undefined;
    }
  },
  $error(content, path, seen) {
    if (!Array.isArray(content)) return undefined;
    const [name, message] = content;
    if (typeof name !== "string" || typeof message !== "string" || !STANDARD_ERRORS.has(name)) return undefined;
    const error = new (STANDARD_ERRORS.get(name)!)(message);
    seen.set(path, error);
    if (content.length > 2) {
      const value = read(content[2]!, `${path}/$error/2`, seen);
      Object.defineProperty(error, "cause", { value, configurable: true, writable: true });
    }
    return [error];
  },
  $sparse(content, path, seen) {
    if (!Array.isArray(content)) return undefined;
    const [length, entries] = content;
    if (typeof length !== "number" || !Number.isInteger(length) || length < 0 || length > 0xffff_ffff) return undefined;
    if (typeof entries !== "object" || entries === null || Array.isArray(entries)) return undefined;
    const array: unknown[] = [];
    seen.set(path, array);
    // An element far beyond all others has the engine keep a table instead of room for all of them.
    array[Math.max(length, 1 << 20) - 1] = undefined;
    delete array[Math.max(length, 1 << 20) - 1];
    array.length = length;
    for (const key of Object.keys(entries)) {
      if (key === "length" || (String(Number(key) >>> 0) === key && key !== "4294967295" && Number(key) >= length)) {
        return undefined;
      }
      const item = read(entries[key]!, `${path}/$sparse/1/${escape(key)}`, seen);
      set(array as unknown as Record<string, unknown>, key, item);
    }
    return [array];
  },
  $boxed(content, path, seen) {
    const value = read(content, `${path}/$boxed`, seen);
    return typeof value === "object" || value === undefined ? undefined : kept(Object(value), path, seen);
  },
  $exception(content, path, seen) {
    if (!Array.isArray(content)) return undefined;
    const [name, message] = content;
    if (typeof name !== "string" || typeof message !== "string") return undefined;
    return kept(new DOMException(message, name), path, seen);
  },
  $ref(pointer, _path, seen) {
    const found = typeof pointer === "string" ? seen.get(pointer) : undefined;
    return found && [found];
  },
  $object(content, path, seen) {
    if (typeof content !== "object" || content === null || Array.isArray(content)) return undefined;
    return [readPlain(content, path, `${path}/$object`, seen)];
  },
};

function kept(object: object | undefined, path: string, seen: Values): [object] | undefined {
  if (object === undefined) return undefined;
  seen.set(path, object);
  return [object];
}

function fromBase64(text: Json): Uint8Array<ArrayBuffer> | undefined {
  if (typeof text !== "string") return undefined;
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}

function unreadable(json: Json): IpcError {
  return new IpcError(
    "Serialization",
    `Cannot read ${excerpt(JSON.stringify(json))}: an object whose only key begins with "$" stands for what JSON ` +
      `lacks, and must be one of ${
        Object.keys(READERS).join(", ")
      }, rightly filled; for such an object itself, write ` +
      `{"$object": …} around it`,
  );
}

function excerpt(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
