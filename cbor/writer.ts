// Writes values as CBOR, in one walk that runs each getter once. Plain values (null, booleans, numbers, text, byte strings,
// arrays, plain objects) are written here: they are nearly all of what messages consist of (measured for a small object:
// 280 ns here, of which 85 are the look for properties of its array, and 25 the look for Proxies). Every other kind of object is
// written by `special_writer.ts`, by means of the functions of this file.
//
// The place to write at goes from function to function, and is returned: that is faster than a variable of all.
//
// A long byte string is not copied: only its head is written, and the place is noted, so that the byte string is copied
// into shared memory straight from where the program has it.

import { types } from "node:util";
import { headSize } from "./kinds.ts";
import { isDeep, openParts, openProperties, SHALLOW, swapFrames, writeDeep } from "./deep_writer.ts";
import { MAX_DEPTH, propertyStep, refuse, REFUSED, refusedAt, reservable, tooDeep } from "./limits.ts";
import { writeBigInteger } from "./big_integer.ts";
import { expected, type Name, NAME_ROOM, NAME_WORDS, Names, Shape } from "./property_names.ts";
import {
  countSeen,
  firstSight,
  forget,
  moveSeen,
  resumeSeen,
  suspendSeen,
  tagShared,
  tagsOfShared,
  writeReference,
} from "./seen.ts";
import { illFormed, isDense, isOrdinary, refuseLeaf, special, type Writer } from "./special_writer.ts";
import type { Collect, Insert, Written } from "./written.ts";
import { PACK } from "../base/pack.ts";

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

const { isProxy, isArgumentsObject } = types;
const hasOwn = Object.prototype.hasOwnProperty;

// One message at a time; a message written by a getter of another gets variables of its own, see `suspend`.
let out = new Uint8Array(FIRST_SIZE);
let view = new DataView(out.buffer);
let longs = new BigInt64Array(out.buffer);
let writing = false;
let gathering = false;
let collector: Collect | undefined;
const NO_INSERTS: Insert[] = [];
let inserts = NO_INSERTS;
let depth = 0;
/** Address space that resizable buffers of the message claim. */
let reserved = 0;
const written: Written = { bytes: out, longs, end: 0, inserts };
const utf8 = new TextEncoder();

/**
 * Writes a value.
 *
 * @param gather Whether long byte strings may be left out, as inserts.
 * @param collect Asked for endpoints, memory and descriptors; what it returns is written inside tag 27.
 * @returns The message, valid until the next one; `undefined` if the value is refused: see `refusal` for why.
 */
export function write(value: unknown, gather: boolean, collect?: Collect): Written | undefined {
  const outer = writing ? suspend() : undefined;
  if (out.length > KEEP) resize(FIRST_SIZE, 0);
  writing = true;
  gathering = gather;
  collector = collect;
  inserts = NO_INSERTS;
  previous = origin;
  depth = 0;
  reserved = 0;
  try {
    let end = item(value, 0);
    if (end === REFUSED) return undefined;
    const tags = tagsOfShared();
    ensure(end, tags + 8);
    if (tags > 0) end = tagShared(out, view, end, inserts);
    for (let i = end; (i & 7) !== 0; i++) out[i] = 0; // nothing of an earlier message goes along with the last bytes
    written.bytes = out;
    written.longs = longs;
    written.end = end;
    written.inserts = inserts;
    return written;
  } finally {
    inserts = NO_INSERTS;
    collector = undefined;
    forget();
    writing = false;
    if (outer !== undefined) resume(outer);
  }
}

/** What belongs to the message that is being written. */
type Suspended = ReturnType<typeof suspend>;

/** Puts the message that is being written aside, and starts with memory of its own for another. */
function suspend() {
  const state = {
    ...{ out, view, longs, gathering, collector, inserts, depth, reserved, previous },
    seen: suspendSeen(),
    frames: swapFrames(undefined),
  };
  out = new Uint8Array(FIRST_SIZE);
  view = new DataView(out.buffer);
  longs = new BigInt64Array(out.buffer);
  return state;
}

function resume(state: Suspended): void {
  ({ out, view, longs, gathering, collector, inserts, depth, reserved, previous } = state);
  resumeSeen(state.seen);
  swapFrames(state.frames);
  writing = true;
}

// --- Items -----------------------------------------------------------------------------------------------------------
//
// Each is given the place to write at, and returns the place behind it, or REFUSED.

function resize(size: number, keep: number): void {
  const larger = new Uint8Array(Math.ceil(size / 8) * 8);
  if (keep > 0) larger.set(out.subarray(0, keep));
  out = larger;
  view = new DataView(out.buffer);
  longs = new BigInt64Array(out.buffer);
}

function ensure(to: number, bytes: number): void {
  if (to + bytes > out.length) resize(Math.max(to + bytes, out.length * 2), to);
}

const UINT = 0, NEGATIVE = 0x20, BYTES = 0x40, TEXT = 0x60, ARRAY = 0x80, MAP = 0xa0;

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
      return writeBigInteger(value, out, view, to) ?? special(value, to, writer);
    default: // a function or a symbol
      return refuseLeaf(value);
  }
}

function simple(byte: number, to: number): number {
  out[to] = byte;
  return to + 1;
}

/** Integers that are safe are CBOR integers; -0, and all else, is a double. */
function number(value: number, to: number): number {
  if ((value >>> 0) === value && (value !== 0 || 1 / value > 0)) {
    if (value >= 24) return head(UINT, value, to);
    out[to] = value;
    return to + 1;
  }
  if (value < 0) {
    if (value >= Number.MIN_SAFE_INTEGER && Math.floor(value) === value) return head(NEGATIVE, -1 - value, to);
  } else if (value > 0xffff_ffff && value <= Number.MAX_SAFE_INTEGER && Math.floor(value) === value) {
    return head(UINT, value, to);
  }
  out[to] = 0xfb;
  view.setFloat64(to + 1, value);
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

/** Text of so many characters gets as much room as it may need at once. */
const ROOM_AT_ONCE = 1 << 16;

function longText(value: string, to: number): number {
  const { length } = value;
  if (!value.isWellFormed()) return illFormed(value, to, writer);
  // As long a head as it takes if every character is one byte; if not, the text may have to make room.
  const room = headSize(length), begin = to + room;
  ensure(to, (length < ROOM_AT_ONCE ? 3 * length : length) + SLACK);
  let { read, written } = utf8.encodeInto(value, out.subarray(begin));
  while (read < length) {
    ensure(begin + written, 3 * Math.min(length - read, ROOM_AT_ONCE) + SLACK);
    const more = utf8.encodeInto(value.substring(read, read + ROOM_AT_ONCE), out.subarray(begin + written));
    read += more.read;
    written += more.written;
  }
  const needed = headSize(written);
  if (needed > room) {
    ensure(begin + written, needed - room);
    out.copyWithin(to + needed, begin, begin + written);
  }
  return head(TEXT, written, to) + written;
}

function object(value: object, to: number): number {
  // What is a view is no Proxy.
  if (ArrayBuffer.isView(value)) {
    if (value.constructor === Uint8Array && (value as object) instanceof Uint8Array) {
      return byteString(value as Uint8Array, to);
    }
  } else {
    if (isProxy(value)) return refuse("a Proxy", "send a copy of what it stands for");
    if (depth >= SHALLOW) return deepObject(value, to);
    if (Array.isArray(value)) return array(value, to);
    // Not by the constructor, which a getter may stand for. With a property loaded before, the compiler knows the object, and
    // asking for its prototype is no call (20 ns).
    if ((value as { [PACK]?: unknown })[PACK] === undefined && Object.getPrototypeOf(value) === Object.prototype) {
      return record(value as Record<string, unknown>, to);
    }
  }
  return firstSight(value, to) ? special(value, to, writer) : writeReference(out, to);
}

function deepObject(value: object, to: number): number {
  return isDeep() ? openObject(value, to) : writeDeep(value, to, openObject, writer);
}

/** Begins an object, whose parts are written later. */
function openObject(value: object, to: number): number {
  if (!firstSight(value, to)) return writeReference(out, to);
  if (!Array.isArray(value) || !isDense(value, value.length)) return special(value, to, writer);
  return openParts(value, writer.head(ARRAY, value.length, to), indexStep, writer);
}

const indexStep = (i: number) => `[${i}]`;

function array(value: unknown[], to: number): number {
  if (!firstSight(value, to)) return writeReference(out, to);
  const { length } = value;
  if (!isDense(value, length)) return special(value, to, writer);
  return parts(value, head(ARRAY, length, to), indexStep);
}

function parts(values: readonly unknown[], to: number, stepAt: (i: number) => string): number {
  if (++depth > MAX_DEPTH) return tooDeep();
  const { length } = values;
  for (let i = 0; i < length; i++) {
    const value = values[i];
    if (typeof value === "number") {
      if (to + SLACK > out.length) ensure(to, SLACK);
      to = number(value, to);
    } else {
      to = item(value, to);
      if (to === REFUSED) return refusedAt(stepAt(i));
    }
  }
  depth--;
  return to;
}

function byteString(bytes: Uint8Array, to: number): number {
  if (!firstSight(bytes, to)) return writeReference(out, to);
  // Not so for what is shared, which has no such property, for what can change its size, and for what is gone.
  const { buffer } = bytes;
  if ((buffer as ArrayBuffer).resizable !== false || (bytes.length === 0 && (buffer as ArrayBuffer).detached)) {
    return special(bytes, to, writer);
  }
  return rawBytes(bytes, to);
}

function rawBytes(bytes: Uint8Array, to: number): number {
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
  if (!firstSight(value, from)) return writeReference(out, from);
  const to = properties(value, from);
  // Without properties it may be something else that has lost its prototype.
  return to === from + 1 && !isOrdinary(value) ? special(value, from, writer) : to;
}

const NINE = "9".charCodeAt(0);

/** Writes an object that is nothing but its own enumerable properties. */
function properties(value: Record<string, unknown>, from: number): number {
  if (++depth > MAX_DEPTH) return tooDeep();
  const before = previous, insertsBefore = inserts.length, seenBefore = countSeen();
  // The shape that it has if all goes well; afterwards, or without one, the name that was last, if it is remembered.
  let shape: Shape | undefined = before.next[0];
  let name: Name | undefined = names.first;
  previous = shape ?? nowhere;
  let to = from + 1, count = 0;
  for (const key in value) {
    if (!hasOwn.call(value, key)) continue; // inherited, or taken away by a getter
    if (count === 0 && key.charCodeAt(0) <= NINE && isArgumentsObject(value)) return special(value, from, writer);
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
      if (name !== undefined) name = names.add(name, key);
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
      to = object(content, to);
    } else to = item(content, to);
    if (to === REFUSED) return refusedAt(propertyStep(key));
    count++;
  }
  if (shape === undefined || shape.keys.length !== count) {
    if (shape !== undefined && count > 0) name = shape.names[count - 1]!;
    shape = name === undefined ? undefined : names.shapeOf(name);
    if (shape !== undefined) before.expect(previous = shape);
  }
  depth--;
  if (count >= 24) return longHead(from, count, insertsBefore, seenBefore, to);
  out[from] = MAP | count;
  return to;
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

/** Makes room at the beginning of a record for a head of more than a byte. */
function longHead(from: number, count: number, firstInsert: number, firstSeen: number, to: number): number {
  const more = headSize(count) - 1;
  ensure(to, more);
  out.copyWithin(from + 1 + more, from + 1, to);
  for (let i = firstInsert; i < inserts.length; i++) inserts[i]!.at += more;
  moveSeen(firstSeen, from, more);
  head(MAP, count, from);
  return to + more;
}

const writer: Writer = {
  item,
  parts: (values, to, stepAt) => (isDeep() ? openParts(values, to, stepAt, writer) : parts(values, to, stepAt)),
  properties: (value, to) => (isDeep() ? openProperties(value, to, writer) : properties(value, to)),
  text,
  bytes: rawBytes,
  head(major, n, to) {
    ensure(to, SLACK);
    return head(major, n, to);
  },
  append(bytes, to) {
    ensure(to, bytes.length + SLACK);
    out.set(bytes, to);
    return to + bytes.length;
  },
  enter: () => ++depth > MAX_DEPTH ? tooDeep() : 0,
  leave: () => void depth--,
  reserve: (bytes, to) => [reserved += bytes, reservable(to)],
  collect: (object) => collector?.(object),
};
