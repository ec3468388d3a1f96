// Writes values as CBOR, in one walk that runs each getter once. Plain values (null, booleans, numbers, text, byte strings,
// arrays, plain objects) are written here: they are nearly all of what messages consist of (measured for a frame of
// five numbers and three byte strings: 180 ns here, of which 13 are the look for a Proxy; and 40 more if the memory of the byte
// strings must be looked at, see `seen.ts`; of a small object a quarter is the look for properties of its array). Every other
// kind of object is written by `special_writer.ts`, by means of the functions of this file.
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
import { type Name, NAME_ROOM, Names } from "./property_names.ts";
import { NO_INSERTS, Output } from "./output.ts";
import { KNOWN, Seen, SEEN_BEFORE } from "./seen.ts";
import { illFormed, isDense, isOrdinary, refuseLeaf, special, type Writer } from "./special_writer.ts";
import type { Collect, Written } from "./written.ts";
import { PACK } from "../base/pack.ts";

/** From this length on a byte string is inserted rather than copied. */
const INSERT_FROM = 1024;
/** No item but text and byte strings takes more than this with its head, and the head of the next. */
const SLACK = 24;
/** Text of up to so many characters is written faster by a loop than by a call. */
const TEXT_BY_LOOP = 64;
/** The same for bytes. */
const BYTES_BY_LOOP = 48;

const { isProxy, isArgumentsObject } = types;
const hasOwn = Object.prototype.hasOwnProperty;

// One message at a time; a message written by a getter of another gets variables of its own, see `suspend`.
const output = new Output();
const seen = new Seen();
let writing = false;
let gathering = false;
let collector: Collect | undefined;
let depth = 0;
/** Address space that resizable buffers of the message claim. */
let reserved = 0;
const written: Written = { bytes: output.bytes, longs: output.longs, end: 0, inserts: output.inserts };
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
  output.begin();
  writing = true;
  gathering = gather;
  collector = collect;
  context = origin;
  depth = 0;
  reserved = 0;
  try {
    let end = item(value, 0);
    if (end === REFUSED) return undefined;
    const { tags } = seen;
    output.ensure(end, tags + 8);
    if (tags > 0) end = seen.tag(output.bytes, output.view, end, output.inserts);
    output.view.setFloat64(end, 0); // nothing of an earlier message goes along with the last bytes
    written.end = end;
    if (written.bytes !== output.bytes) { // a store costs more than a look
      written.bytes = output.bytes;
      written.longs = output.longs;
    }
    if (written.inserts !== output.inserts) written.inserts = output.inserts;
    return written;
  } finally {
    output.inserts = NO_INSERTS;
    collector = undefined;
    seen.forget();
    writing = false;
    if (outer !== undefined) resume(outer);
  }
}

/** What belongs to the message that is being written. */
type Suspended = ReturnType<typeof suspend>;

/** Puts the message that is being written aside, and starts with memory of its own for another. */
function suspend() {
  return {
    ...{ gathering, collector, depth, reserved, context },
    output: output.suspend(),
    seenBefore: seen.suspend(),
    frames: swapFrames(undefined),
  };
}

function resume(state: Suspended): void {
  ({ gathering, collector, depth, reserved, context } = state);
  output.resume(state.output);
  state.seenBefore();
  swapFrames(state.frames);
  writing = true;
}

// --- Items -----------------------------------------------------------------------------------------------------------
//
// Each is given the place to write at, and returns the place behind it, or REFUSED.

const UINT = 0, NEGATIVE = 0x20, BYTES = 0x40, TEXT = 0x60, ARRAY = 0x80, MAP = 0xa0;

/** The head of an item: its major type, and a number up to 2^53. Room for it is there. */
function head(major: number, n: number, to: number): number {
  if (n < 24) {
    output.bytes[to] = major | n;
    return to + 1;
  }
  if (n < 0x100) {
    output.bytes[to] = major | 24;
    output.bytes[to + 1] = n;
    return to + 2;
  }
  if (n < 0x10000) {
    output.bytes[to] = major | 25;
    output.bytes[to + 1] = n >> 8;
    output.bytes[to + 2] = n;
    return to + 3;
  }
  if (n < 0x1_0000_0000) {
    output.bytes[to] = major | 26;
    output.view.setUint32(to + 1, n);
    return to + 5;
  }
  output.bytes[to] = major | 27;
  output.view.setUint32(to + 1, Math.floor(n / 0x1_0000_0000));
  output.view.setUint32(to + 5, n >>> 0);
  return to + 9;
}

function item(value: unknown, to: number): number {
  if (to + SLACK > output.bytes.length) output.ensure(to, SLACK);
  // One test after another, and not a switch, for which the engine makes the name of the type.
  if (typeof value === "number") return number(value, to);
  if (typeof value === "string") return text(value, to);
  if (typeof value === "object") return value === null ? simple(0xf6, to) : object(value, to);
  if (typeof value === "boolean") return simple(value ? 0xf5 : 0xf4, to);
  if (value === undefined) return simple(0xf7, to);
  if (typeof value !== "bigint") return refuseLeaf(value); // a function or a symbol
  return writeBigInteger(value, output.bytes, output.view, to) ?? special(value, to, writer);
}

function simple(byte: number, to: number): number {
  output.bytes[to] = byte;
  return to + 1;
}

/** Integers that are safe are CBOR integers; -0, and all else, is a double. */
function number(value: number, to: number): number {
  if ((value >>> 0) === value && (value !== 0 || 1 / value > 0)) {
    if (value >= 24) return head(UINT, value, to);
    output.bytes[to] = value;
    return to + 1;
  }
  if (value < 0) {
    if (value >= Number.MIN_SAFE_INTEGER && Math.floor(value) === value) return head(NEGATIVE, -1 - value, to);
  } else if (value > 0xffff_ffff && value <= Number.MAX_SAFE_INTEGER && Math.floor(value) === value) {
    return head(UINT, value, to);
  }
  output.bytes[to] = 0xfb;
  output.view.setFloat64(to + 1, value);
  return to + 9;
}

function text(value: string, to: number): number {
  const { length } = value;
  if (length >= TEXT_BY_LOOP) return longText(value, to);
  if (to + length + SLACK > output.bytes.length) output.ensure(to, length + SLACK);
  const bytes = output.bytes, begin = to + (length < 24 ? 1 : 2);
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
  output.ensure(to, (length < ROOM_AT_ONCE ? 3 * length : length) + SLACK);
  let { read, written } = utf8.encodeInto(value, output.bytes.subarray(begin));
  while (read < length) {
    output.ensure(begin + written, 3 * Math.min(length - read, ROOM_AT_ONCE) + SLACK);
    const more = utf8.encodeInto(value.substring(read, read + ROOM_AT_ONCE), output.bytes.subarray(begin + written));
    read += more.read;
    written += more.written;
  }
  const needed = headSize(written);
  if (needed > room) {
    output.ensure(begin + written, needed - room);
    output.bytes.copyWithin(to + needed, begin, begin + written);
  }
  return head(TEXT, written, to) + written;
}

function isByteString(value: object): value is Uint8Array {
  // What is a view is no Proxy.
  return ArrayBuffer.isView(value) && value.constructor === Uint8Array && (value as object) instanceof Uint8Array;
}

function object(value: object, to: number): number {
  if (isByteString(value)) return byteString(value, to);
  if (ArrayBuffer.isView(value)) {
    return seen.firstBytes(value, to) === SEEN_BEFORE ? seen.refer(output.bytes, to) : special(value, to, writer);
  }
  if (isProxy(value)) return refuse("a Proxy", "send a copy of what it stands for");
  if (depth >= SHALLOW) return deepObject(value, to);
  if (Array.isArray(value)) return array(value, to);
  // Not by the constructor, which a getter may stand for. With a property loaded before, the compiler knows the object, and
  // asking for its prototype is no call (20 ns).
  if ((value as { [PACK]?: unknown })[PACK] === undefined && Object.getPrototypeOf(value) === Object.prototype) {
    return record(value as Record<string, unknown>, to);
  }
  return seen.first(value, to) ? special(value, to, writer) : seen.refer(output.bytes, to);
}

function deepObject(value: object, to: number): number {
  return isDeep() ? openObject(value, to) : writeDeep(value, to, openObject, writer);
}

/** Begins an object, whose parts are written later. */
function openObject(value: object, to: number): number {
  if (!seen.first(value, to)) return seen.refer(output.bytes, to);
  if (!Array.isArray(value) || !isDense(value, value.length)) return special(value, to, writer);
  return openParts(value, writer.head(ARRAY, value.length, to), indexStep, writer);
}

const indexStep = (i: number) => `[${i}]`;

function array(value: unknown[], to: number): number {
  if (!seen.first(value, to)) return seen.refer(output.bytes, to);
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
      if (to + SLACK > output.bytes.length) output.ensure(to, SLACK);
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
  const found = seen.firstBytes(bytes, to), { length } = bytes;
  if (found === SEEN_BEFORE) return seen.refer(output.bytes, to);
  if (found !== KNOWN || length === 0) {
    // Not so for what is shared, which has no such property, for what can change its size, and for what is gone.
    const { buffer } = bytes;
    if ((buffer as ArrayBuffer).resizable !== false || (length === 0 && (buffer as ArrayBuffer).detached)) {
      return special(bytes, to, writer);
    }
    seen.remember(buffer);
  }
  const target = output.bytes;
  if (length >= 24) return rawBytes(bytes, to);
  target[to++] = BYTES | length;
  for (let i = 0; i < length; i++) target[to + i] = bytes[i]!;
  return to + length;
}

function rawBytes(bytes: Uint8Array, to: number): number {
  const { length } = bytes;
  if (to + length + SLACK > output.bytes.length) {
    output.ensure(to, (gathering && length >= INSERT_FROM ? 0 : length) + SLACK);
  }
  to = head(BYTES, length, to);
  if (length <= BYTES_BY_LOOP) {
    const target = output.bytes;
    for (let i = 0; i < length; i++) target[to + i] = bytes[i]!;
  } else if (gathering && length >= INSERT_FROM) {
    if (output.inserts === NO_INSERTS) output.inserts = [];
    output.inserts.push({ at: to, bytes, length });
    return to;
  } else {
    output.bytes.set(bytes, to);
  }
  return to + length;
}

// --- Objects ---------------------------------------------------------------------------------------------------------

const names = new Names();
/** Before the first object of every message. */
const origin = names.first;
/** The name that was written last, or stands before the value that is written: it knows which object came next. */
let context: Name = origin;

function record(value: Record<string, unknown>, from: number): number {
  if (!seen.first(value, from)) return seen.refer(output.bytes, from);
  const to = properties(value, from);
  // Without properties it may be something else that has lost its prototype.
  return to === from + 1 && !isOrdinary(value) ? special(value, from, writer) : to;
}

const NINE = "9".charCodeAt(0);
/** Room for a name, and for the item behind it. */
const EACH = NAME_ROOM + SLACK;

/** Writes an object that is nothing but its own enumerable properties. */
function properties(value: Record<string, unknown>, from: number): number {
  if (++depth > MAX_DEPTH) return tooDeep();
  const before = context;
  let name: Name | undefined = origin, next = before.inside;
  let to = from + 1, count = 0;
  for (const key in value) {
    if (!hasOwn.call(value, key)) continue; // inherited, or taken away by a getter
    if (to + EACH > output.bytes.length) output.ensure(to, EACH);
    if (next === undefined || next.text !== key) {
      // Of an index nothing is expected, so that each object which begins with one comes here.
      const indexed = count === 0 && key.charCodeAt(0) <= NINE;
      if (indexed && isArgumentsObject(value)) return special(value, from, writer);
      next = name === undefined ? undefined : names.add(name, key);
      if (next !== undefined) {
        if (count > 0) name!.likely = next;
        else if (!indexed) before.inside = next;
      }
    }
    name = next;
    if (next !== undefined) {
      // Names of properties exist once in the engine: comparing them is comparing pointers.
      output.view.setFloat64(to, next.head, true);
      if (next.size > 8) writeRest(next, to + 8);
      to += next.size;
      next = next.likely;
    } else {
      to = text(key, to);
      if (to + SLACK > output.bytes.length) output.ensure(to, SLACK);
    }
    // Most of what there is goes by ways of its own: the compiler knows better what comes here than what all items are.
    const content = value[key];
    if (typeof content === "number") {
      if (content >>> 0 === content && content < 24 && (content !== 0 || 1 / content > 0)) output.bytes[to++] = content;
      else to = number(content, to);
    } else if (typeof content === "string") to = text(content, to);
    else if (typeof content === "object" && content !== null) {
      if (isByteString(content)) {
        to = byteString(content, to);
      } else {
        if (name !== undefined) context = name;
        to = object(content, to);
      }
      if (to < 0) return refusedAt(propertyStep(key));
    } else {
      to = item(content, to);
      if (to < 0) return refusedAt(propertyStep(key));
    }
    count++;
  }
  if (name !== undefined && count > 0) context = name;
  depth--;
  if (count >= 24) return longHead(from, count, to);
  output.bytes[from] = MAP | count;
  return to;
}

/** Writes what a name has beyond eight bytes; behind it there may be zeros. */
function writeRest({ doubles, size }: Name, to: number): void {
  const { view } = output;
  view.setFloat64(to, doubles[1]!, true);
  if (size <= 16) return;
  view.setFloat64(to + 8, doubles[2]!, true);
  view.setFloat64(to + 16, doubles[3]!, true);
}

/** Makes room at the beginning of a record for a head of more than a byte. */
function longHead(from: number, count: number, to: number): number {
  const more = headSize(count) - 1, { inserts } = output;
  output.ensure(to, more);
  output.bytes.copyWithin(from + 1 + more, from + 1, to);
  for (let i = inserts.length - 1; i >= 0 && inserts[i]!.at > from; i--) inserts[i]!.at += more;
  seen.move(from, more);
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
    output.ensure(to, SLACK);
    return head(major, n, to);
  },
  append(bytes, to) {
    const { length } = bytes;
    output.ensure(to, length + SLACK);
    const target = output.bytes;
    if (length > BYTES_BY_LOOP) target.set(bytes, to);
    else for (let i = 0; i < length; i++) target[to + i] = bytes[i]!;
    return to + length;
  },
  enter: () => ++depth > MAX_DEPTH ? tooDeep() : 0,
  leave: () => void depth--,
  reserve: (bytes, to) => [reserved += bytes, reservable(to)],
  collect: (object) => collector?.(object),
};
