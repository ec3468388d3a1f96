// Writes plain values as CBOR: null, booleans, numbers, big integers, text, byte strings, typed arrays, and arrays and
// plain objects of those. They are nearly all of what messages consist of, and cbor-x needs two walks for them, one to
// find out that they are plain (it loses -0, and knows no sharing without a Map a message), and one to write them.
// Measured for a small object: 140 ns here, 420 ns there; for a frame with three byte strings 160 ns and 1.5 µs. For
// anything else the caller goes to cbor-x; what is written here is what cbor-x would write, but for the heads of maps,
// which are as short as they can be.
//
// The place to write at goes from function to function, and is returned: that is faster than a variable of all.
//
// A long byte string is not copied: only its head is written, and the place is noted, so that whoever copies the
// message into shared memory copies the byte string straight from where the program has it.

import { type Name, NAME_ROOM, NAME_WORDS, Names, Shape } from "./cbor_names.ts";
import { IpcFd } from "./fd.ts";
import { PACK } from "./pack.ts";

/**
 * Takes charge of an object that stands for something outside the value (an endpoint, a descriptor).
 *
 * @returns What to write in its place, inside tag 27; `undefined` for objects that are none of its business.
 */
export type Collect = (object: object) => unknown[] | undefined;

/** Tag 27: an object of a named class, `[name, ...arguments]`. */
export const GENERIC_OBJECT = 27;

/** A byte string that belongs into an encoded message. */
export interface Insert {
  /** Where in the written bytes it belongs. */
  at: number;
  readonly bytes: Uint8Array;
  /** Its length when the head was written: memory that is shared with a Worker may grow meanwhile. */
  readonly length: number;
}

/** A written message: the first `end` bytes of `bytes`, with the inserts among them. */
export interface Written {
  bytes: Uint8Array<ArrayBuffer>;
  /** The bytes eight at a time, if they begin a buffer: up to a multiple of eight, zeros follow them then. */
  longs: BigInt64Array<ArrayBuffer> | undefined;
  end: number;
  /** In the order of their places. */
  inserts: Insert[];
}

/** From this length on a byte string is inserted rather than copied. */
const INSERT_FROM = 1024;
/** A larger buffer is not kept for the next message. */
const KEEP = 1 << 20;
const FIRST_SIZE = 8192;
/** No item but text and byte strings takes more than this with its head, and the head of the next. */
const SLACK = 24;
/** Text of up to so many characters is written faster by a loop than by a call. */
const TEXT_BY_LOOP = 64;
/** The same for bytes. */
const BYTES_BY_LOOP = 48;

// One message at a time; the caller keeps messages within messages apart.
let out = new Uint8Array(FIRST_SIZE);
let view = new DataView(out.buffer);
let longs = new BigInt64Array(out.buffer);
let gathering = false;
let collector: Collect | undefined;
const NO_INSERTS: Insert[] = [];
let inserts = NO_INSERTS;
const written: Written = { bytes: out, longs, end: 0, inserts };
const utf8 = new TextEncoder();

/** Returned, in place of where to go on, for what is not plain. */
const NOT_PLAIN = -1;

/**
 * Writes a value if it is plain.
 *
 * @param gather Whether long byte strings may be left out, as inserts.
 * @param collect Asked for objects that are not plain; what it returns is written inside tag 27. If the value turns out
 * not to be plain after that, it was asked in vain.
 * @returns The message, valid until the next one; `undefined` if the value is not plain.
 */
export function writePlain(value: unknown, gather: boolean, collect?: Collect): Written | undefined {
  if (out.length > KEEP) resize(FIRST_SIZE, 0);
  gathering = gather;
  collector = collect;
  inserts = NO_INSERTS;
  previous = origin;
  let end: number;
  try {
    end = item(value, 0);
  } finally {
    collector = undefined;
    forget();
  }
  if (end === NOT_PLAIN) return undefined;
  ensure(end, 8);
  for (let i = end; (i & 7) !== 0; i++) out[i] = 0; // nothing of an earlier message goes along with the last bytes
  written.bytes = out;
  written.longs = longs;
  written.end = end;
  written.inserts = inserts;
  inserts = NO_INSERTS;
  return written;
}

// --- Objects that were seen ------------------------------------------------------------------------------------------

// An object that is referred to twice, or by itself, is not plain. A small message has few objects: comparing with each
// is cheaper than a Set.
const SEEN_LINEAR = 12;
const seen: (object | undefined)[] = new Array(SEEN_LINEAR).fill(undefined);
const seenMore = new Set<object>();
let seenCount = 0;

/** Notes an object; `false` if it was there before. */
function firstSight(object: object): boolean {
  const known = seenCount < SEEN_LINEAR ? seenCount : SEEN_LINEAR;
  for (let i = 0; i < known; i++) if (seen[i] === object) return false;
  if (seenCount < SEEN_LINEAR) {
    seen[seenCount++] = object;
    return true;
  }
  if (seenMore.has(object)) return false;
  seenMore.add(object);
  seenCount++;
  return true;
}

/** Not to keep the program's objects alive. */
function forget(): void {
  if (seenCount > SEEN_LINEAR) seenMore.clear();
  for (let i = Math.min(seenCount, SEEN_LINEAR) - 1; i >= 0; i--) seen[i] = undefined;
  seenCount = 0;
}

// --- Items -----------------------------------------------------------------------------------------------------------
//
// Each is given the place to write at, and returns the place behind it, or NOT_PLAIN.

function resize(size: number, keep: number): void {
  const larger = new Uint8Array((size + 7) & ~7);
  if (keep > 0) larger.set(out.subarray(0, keep));
  out = larger;
  view = new DataView(out.buffer);
  longs = new BigInt64Array(out.buffer);
}

function ensure(to: number, bytes: number): void {
  if (to + bytes > out.length) resize(Math.max(to + bytes, out.length * 2), to);
}

const UINT = 0, NEGATIVE = 0x20, BYTES = 0x40, TEXT = 0x60, ARRAY = 0x80, MAP = 0xa0, TAG = 0xc0;

/** The head of an item: its major type, and a number up to 2^53. Room for it is there. */
function head(major: number, n: number, to: number): number {
  if (n < 24) {
    out[to] = major | n;
    return to + 1;
  }
  if (n < 0x100) {
    out[to] = major | 24;
    out[to + 1] = n;
    return to + 2;
  }
  if (n < 0x10000) {
    out[to] = major | 25;
    out[to + 1] = n >> 8;
    out[to + 2] = n;
    return to + 3;
  }
  if (n < 0x1_0000_0000) {
    out[to] = major | 26;
    view.setUint32(to + 1, n);
    return to + 5;
  }
  out[to] = major | 27;
  view.setUint32(to + 1, Math.floor(n / 0x1_0000_0000));
  view.setUint32(to + 5, n >>> 0);
  return to + 9;
}

function item(value: unknown, to: number): number {
  if (to + SLACK > out.length) ensure(to, SLACK);
  switch (typeof value) {
    case "number":
      return number(value, to);
    case "string":
      return text(value, to);
    case "object":
      return value === null ? simple(0xf6, to) : object(value, to);
    case "boolean":
      return simple(value ? 0xf5 : 0xf4, to);
    case "undefined":
      return simple(0xf7, to);
    case "bigint":
      return bigInteger(value, to);
    default:
      return NOT_PLAIN;
  }
}

function simple(byte: number, to: number): number {
  out[to] = byte;
  return to + 1;
}

function number(value: number, to: number): number {
  if ((value >>> 0) === value && (value !== 0 || 1 / value > 0)) {
    if (value >= 24) return head(UINT, value, to);
    out[to] = value;
    return to + 1;
  }
  if (value < 0 && value >= -0x1_0000_0000 && Math.floor(value) === value) return head(NEGATIVE, -1 - value, to);
  out[to] = 0xfb;
  view.setFloat64(to + 1, value);
  return to + 9;
}

/** Up to 64 bits; what is longer is not plain. */
function bigInteger(value: bigint, to: number): number {
  const magnitude = value < 0n ? -1n - value : value;
  if (BigInt.asUintN(64, magnitude) !== magnitude) return NOT_PLAIN;
  out[to] = value < 0n ? NEGATIVE | 27 : UINT | 27;
  view.setBigUint64(to + 1, magnitude);
  return to + 9;
}

function text(value: string, to: number): number {
  const { length } = value;
  if (length >= TEXT_BY_LOOP) return longText(value, to);
  if (to + length + SLACK > out.length) ensure(to, length + SLACK);
  const bytes = out, begin = to + (length < 24 ? 1 : 2);
  for (let i = 0; i < length; i++) {
    const code = value.charCodeAt(i);
    if (code >= 0x80) return longText(value, to);
    bytes[begin + i] = code;
  }
  return head(TEXT, length, to) + length;
}

function longText(value: string, to: number): number {
  const { length } = value;
  ensure(to, 3 * length + SLACK);
  // As long a head as it takes if every character is one byte; if not, the text may have to make room.
  const room = headSize(length);
  const { written } = utf8.encodeInto(value, out.subarray(to + room));
  const needed = headSize(written);
  if (needed > room) out.copyWithin(to + needed, to + room, to + room + written);
  return head(TEXT, written, to) + written;
}

function headSize(n: number): number {
  return n < 24 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : 5;
}

function object(value: object, to: number): number {
  // Each kind by itself first: asking for the prototype is a call, of 20 ns or more, unless the compiler knows of a place
  // that only few shapes with one prototype come there, and it does if a property was loaded before.
  if (Array.isArray(value)) {
    if (value.constructor === Array) return array(value, to);
  } else if (ArrayBuffer.isView(value)) {
    if (isByteString(value)) return wholeByteString(value, to);
  } else if (value.constructor === Object && Object.getPrototypeOf(value) === Object.prototype) {
    return record(value as Record<string, unknown>, to);
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype) return record(value as Record<string, unknown>, to);
  if (prototype === Array.prototype) return array(value as unknown[], to);
  if (prototype === Uint8Array.prototype) return wholeByteString(value as Uint8Array, to);
  if (collector !== undefined && (PACK in value || value instanceof IpcFd)) return collected(value, collector, to);
  const tag = ArrayBuffer.isView(value) ? TYPED_ARRAYS.get(prototype) : undefined;
  if (tag === undefined || !firstSight(value)) return NOT_PLAIN;
  const { buffer, byteOffset, byteLength } = value as ArrayBufferView;
  return byteString(new Uint8Array(buffer, byteOffset, byteLength), head(TAG, tag, to));
}

function isByteString(value: unknown): value is Uint8Array {
  return ArrayBuffer.isView(value) && value.constructor === Uint8Array && (value as object) instanceof Uint8Array;
}

function wholeByteString(bytes: Uint8Array, to: number): number {
  return firstSight(bytes) ? byteString(bytes, to) : NOT_PLAIN;
}

/** What stands for something outside the value: an endpoint, a descriptor. */
function collected(value: object, collect: Collect, to: number): number {
  if (!firstSight(value)) return NOT_PLAIN;
  const content = collect(value);
  if (content === undefined) return NOT_PLAIN;
  return items(content, head(ARRAY, content.length, head(TAG, GENERIC_OBJECT, to)));
}

function array(value: unknown[], to: number): number {
  return firstSight(value) ? items(value, head(ARRAY, value.length, to)) : NOT_PLAIN;
}

function items(values: unknown[], to: number): number {
  const { length } = values;
  for (let i = 0; i < length; i++) {
    const value = values[i];
    if (typeof value === "number") {
      if (to + SLACK > out.length) ensure(to, SLACK);
      to = number(value, to);
    } else {
      to = item(value, to);
      if (to === NOT_PLAIN) break;
    }
  }
  return to;
}

function byteString(bytes: Uint8Array, to: number): number {
  const { length } = bytes;
  if (to + length + SLACK > out.length) ensure(to, (gathering && length >= INSERT_FROM ? 0 : length) + SLACK);
  to = head(BYTES, length, to);
  if (length <= BYTES_BY_LOOP) {
    const target = out;
    for (let i = 0; i < length; i++) target[to + i] = bytes[i]!;
  } else if (gathering && length >= INSERT_FROM) {
    if (inserts === NO_INSERTS) inserts = [];
    inserts.push({ at: to, bytes, length });
    return to;
  } else {
    out.set(bytes, to);
  }
  return to + length;
}

// --- Objects ---------------------------------------------------------------------------------------------------------

const names = new Names();
/** Before the first object of every message, and within one whose shape is not known yet. */
const origin = names.shapeOf(names.first)!, nowhere = new Shape([]);
/** Of the object that was begun last, or ended, if its shape was not known before: what to expect next. */
let previous: Shape = origin;

function record(value: Record<string, unknown>, from: number): number {
  if (!firstSight(value)) return NOT_PLAIN;
  const before = previous, insertsBefore = inserts.length;
  // The shape that it has if all goes well; afterwards, or without one, the name that was last, if it is remembered.
  let shape: Shape | undefined = before.next[0];
  let name: Name | undefined = names.first;
  previous = shape ?? nowhere;
  let to = from + 1, count = 0;
  for (const key in value) {
    if (to + NAME_ROOM + SLACK > out.length) ensure(to, NAME_ROOM + SLACK);
    if (shape !== undefined) {
      // Names of properties exist once in the engine: comparing them is comparing pointers. (Not beyond the end of an
      // array, which is slow.)
      if (count < shape.keys.length && shape.keys[count] === key) {
        to = writeName(shape.words, count * NAME_WORDS, shape.sizes[count]!, to);
      } else if (count === 0 && (shape = expected(before, key)) !== undefined) {
        previous = shape;
        to = writeName(shape.words, 0, shape.sizes[0]!, to);
      } else {
        if (count > 0) name = shape!.names[count - 1]!;
        shape = undefined;
        previous = nowhere;
      }
    }
    if (shape === undefined) {
      if (name !== undefined) name = nextName(name, key);
      if (name !== undefined) {
        to = writeName(name.words, 0, name.size, to);
      } else {
        to = text(key, to);
        if (to + SLACK > out.length) ensure(to, SLACK);
      }
    }
    // Most of what there is goes by ways of its own: the compiler knows better what comes here than what all items are.
    const content = value[key];
    if (typeof content === "number") {
      if (content >>> 0 === content && content < 24 && (content !== 0 || 1 / content > 0)) out[to++] = content;
      else to = number(content, to);
    } else if (typeof content === "string") to = text(content, to);
    else if (typeof content === "object" && content !== null) {
      to = isByteString(content) ? wholeByteString(content, to) : object(content, to);
    } else to = item(content, to);
    if (to === NOT_PLAIN) return NOT_PLAIN;
    count++;
  }
  if (shape === undefined || shape.keys.length !== count) {
    if (shape !== undefined && count > 0) name = shape.names[count - 1]!;
    shape = name === undefined ? undefined : names.shapeOf(name);
    if (shape !== undefined) before.expect(previous = shape);
  }
  if (count >= 24) return longHead(from, count, insertsBefore, to);
  out[from] = MAP | count;
  return to;
}

/** The shape that has come there and begins with the name. */
function expected({ next }: Shape, key: string): Shape | undefined {
  for (let i = 1; i < next.length; i++) if (next[i]!.keys.length > 0 && next[i]!.keys[0] === key) return next[i];
  return undefined;
}

/** Writes a name; behind it there may be zeros. */
function writeName(words: Int32Array, at: number, size: number, to: number): number {
  view.setInt32(to, words[at]!, true);
  if (size > 4) {
    view.setInt32(to + 4, words[at + 1]!, true);
    if (size > 8) {
      view.setInt32(to + 8, words[at + 2]!, true);
      for (let i = 3; i * 4 < size; i++) view.setInt32(to + i * 4, words[at + i]!, true);
    }
  }
  return to + size;
}

/** The name that comes next, if it is one to be remembered. */
function nextName(after: Name, key: string): Name | undefined {
  const { next } = after;
  for (let i = 0; i < next.length; i++) if (next[i]!.text === key) return next[i];
  return names.add(after, key);
}

/** Makes room at the beginning of a record for a head of more than a byte. */
function longHead(from: number, count: number, insertsBefore: number, to: number): number {
  const more = headSize(count) - 1;
  ensure(to, more);
  out.copyWithin(from + 1 + more, from + 1, to);
  for (let i = insertsBefore; i < inserts.length; i++) inserts[i]!.at += more;
  head(MAP, count, from);
  return to + more;
}

/** Tags of RFC 8746, little-endian as all that this package runs on, by prototype. */
const TYPED_ARRAYS = new Map<object, number>([
  [Uint8ClampedArray.prototype, 68],
  [Uint16Array.prototype, 69],
  [Uint32Array.prototype, 70],
  [BigUint64Array.prototype, 71],
  [Int8Array.prototype, 72],
  [Int16Array.prototype, 77],
  [Int32Array.prototype, 78],
  [BigInt64Array.prototype, 79],
  [Float32Array.prototype, 85],
  [Float64Array.prototype, 86],
]);
