// Reads plain CBOR, by the same rules as `strict_reader.ts`, which is for everything else.
//
// It reads from shared memory as well, where a peer may change every byte at any moment: no place and no length is read
// a second time after it was checked against the end, text is copied before it is converted, and whatever the bytes say,
// the worst result is a wrong value. That saves copying a message before it is read.
//
// What makes it fast: the names of properties are compared with those that came at this place in earlier messages
// instead of being made into strings, and so is short text; and objects are put together by code that knows them
// (measured: a small object 150 ns, with cbor-x 380 ns; a frame with three byte strings 0.2 and 2.7 µs).

import { build } from "./build.ts";
import { dateOfSeconds } from "./kinds.ts";
import { type BytesOf, Input } from "./input.ts";
import { type Beginning, type Mark, Marked, revived } from "./marked.ts";
import { gather, LONGEST_SHAPE, type Name, Names, Shape } from "./property_names.ts";
import { REMEMBERED, shortText } from "./short_text.ts";
import { NotText, textAt } from "./text.ts";

/** Returned for what is not plain, or not well-formed. */
export const NOT_PLAIN: unique symbol = Symbol("not plain");

/** Levels of arrays and objects within one another, beyond which the caller has to see for itself. */
const DEPTH = 200;

const message = new Input(copyOf);

/** A copy of a byte string, in memory of its own. */
export function copyOf(source: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array<ArrayBuffer> {
  return source.slice(from, from + length);
}

/**
 * Reads one item that fills the bytes from `start` to `stop`.
 *
 * @param byteStrings Called for each byte string; copies by default.
 * @param marking Arrays inside tag 27 that begin with this mark are plain as well: follow it by
 * {@linkcode reviveMarked}.
 * @returns The value, or {@linkcode NOT_PLAIN}.
 */
export function readPlain(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  stop: number,
  byteStrings: BytesOf = copyOf,
  marking?: Mark,
): unknown {
  message.mark = marking;
  message.marked = 0;
  message.source = bytes;
  message.at = start;
  message.end = stop;
  message.depth = 0;
  message.budget = stop - start;
  message.plain = true;
  message.bytesOf = byteStrings;
  previous = origin;
  try {
    const value = item();
    return message.plain && message.at === message.end ? value : NOT_PLAIN;
  } finally {
    if (message.end === bytes.length) message.forget();
  }
}

function notPlain(): undefined {
  message.plain = false;
  message.at = message.end; // every loop over items ends soon
}

/** The number that follows a head with `info`: -1 if it is not a plain one. */
function argument(info: number): number {
  if (info < 24) return info;
  if (info === 24) {
    if (message.at + 1 > message.end) return -1;
    return message.source[message.at++]!;
  }
  if (info === 25) {
    if (message.at + 2 > message.end) return -1;
    message.at += 2;
    return message.source[message.at - 2]! << 8 | message.source[message.at - 1]!;
  }
  if (info === 26) {
    if (message.at + 4 > message.end) return -1;
    message.at += 4;
    return message.dataView().getUint32(message.at - 4);
  }
  return -1;
}

function item(): unknown {
  if (message.at >= message.end) return notPlain();
  const initial = message.source[message.at++]!;
  const info = initial & 31;
  switch (initial >> 5) {
    case 0: {
      if (info < 24) return info;
      const n = argument(info);
      return n < 0 ? longInteger(info, false) : n;
    }
    case 1: {
      const n = argument(info);
      return n < 0 ? longInteger(info, true) : -1 - n;
    }
    case 2: {
      const length = argument(info);
      if (length < 0 || message.at + length > message.end) return notPlain();
      message.at += length;
      return message.bytesOf(message.source, message.at - length, length);
    }
    case 3: {
      const length = argument(info);
      return length < 0 || message.at + length > message.end ? notPlain() : text(length);
    }
    case 4:
      return array(argument(info));
    case 5:
      return record(argument(info));
    case 6:
      if (info === 2 || info === 3) return bigInteger(info === 3);
      if (info === 1) return date();
      return message.mark === undefined ? notPlain() : markedArray(info);
    case 7:
      switch (info) {
        case 20:
          return false;
        case 21:
          return true;
        case 22:
          return null;
        case 23:
          return undefined;
        case 27:
          if (message.at + 8 > message.end) return notPlain();
          message.at += 8;
          return message.dataView().getFloat64(message.at - 8);
      }
  }
  return notPlain();
}

/** A number if it is safe: then its upper half has no more than 21 bits. */
function longInteger(info: number, negative: boolean): number | bigint | undefined {
  if (info !== 27 || message.at + 8 > message.end) return notPlain();
  const data = message.dataView(), upper = data.getUint32(message.at), lower = data.getUint32(message.at + 4);
  message.at += 8;
  if (upper < 0x20_0000 && !(negative && upper === 0x1f_ffff && lower === 0xffff_ffff)) {
    const n = upper * 0x1_0000_0000 + lower;
    return negative ? -1 - n : n;
  }
  const magnitude = BigInt(upper) << 32n | BigInt(lower);
  return negative ? -1n - magnitude : magnitude;
}

/** A big integer of up to 64 bits inside a tag. */
function bigInteger(negative: boolean): bigint | undefined {
  const length = message.at < message.end ? message.source[message.at]! - 0x40 : -1;
  if (length < 0 || length > 8 || message.at + 1 + length > message.end) return notPlain();
  let upper = 0, lower = 0;
  for (let i = length; i > 0; i--) {
    const byte = message.source[++message.at]!;
    if (i > 4) upper = upper * 256 + byte;
    else lower = lower * 256 + byte;
  }
  message.at++;
  const magnitude = upper === 0 ? BigInt(lower) : BigInt(upper) << 32n | BigInt(lower);
  return negative ? -1n - magnitude : magnitude;
}

/** Of the seconds as they are written here: an integer of up to 32 bits, or a double. */
function date(): Date | undefined {
  if (message.at >= message.end) return notPlain();
  const initial = message.source[message.at++]!;
  let seconds: number;
  if (initial === 0xfb) {
    if (message.at + 8 > message.end) return notPlain();
    message.at += 8;
    seconds = message.dataView().getFloat64(message.at - 8);
  } else {
    seconds = initial >> 5 === 0 ? argument(initial & 31) : -1;
    if (seconds < 0) return notPlain();
  }
  return dateOfSeconds(seconds) ?? notPlain();
}

function array(length: number): unknown {
  if (length < 0 || (message.budget -= length) < 0 || ++message.depth > DEPTH) return notPlain();
  const items = new Array<unknown>(length);
  for (let i = 0; i < length; i++) items[i] = item();
  message.depth--;
  return items;
}

function markedArray(info: number): unknown {
  if (info !== 24 || message.at + 2 > message.end || message.source[message.at] !== 27) return notPlain();
  const initial = message.source[message.at + 1]!;
  message.at += 2;
  if (initial >> 5 !== 4) return notPlain();
  const length = argument(initial & 31), mark = message.mark!;
  const beginning = mark.beginningAt(message.source, message.at, message.end);
  const content = (beginning === undefined ? array(length) : behind(mark, beginning, length)) as unknown[] | undefined;
  if (content === undefined || content[0] !== mark.text) return notPlain();
  message.marked++;
  return new Marked(content);
}

/** An array of which it is known how it begins. */
function behind({ text }: Mark, { name, bytes }: Beginning, length: number): unknown {
  if (length < 2 || (message.budget -= length) < 0 || ++message.depth > DEPTH) return notPlain();
  message.at += bytes.length;
  const items: unknown[] = length === 4 ? [text, name, item(), item()] : [text, name]; // a literal is made fastest
  for (let i = items.length; i < length; i++) items.push(item());
  message.depth--;
  return items;
}

/**
 * Puts together what {@linkcode readPlain} found marked.
 *
 * @param value What it returned.
 * @param revive Called with each marked array; what it returns takes its place.
 */
export function reviveMarked(value: unknown, revive: (content: readonly unknown[]) => unknown): unknown {
  return message.marked === 0 ? value : revived(value, revive);
}

// --- Objects ---------------------------------------------------------------------------------------------------------

/** Properties that most objects have at most. */
const FEW = 8;

const names = new Names();
/** Before the first object of every message, and within one whose shape is not known yet. */
const origin = names.shapeOf(names.first)!, nowhere = new Shape([]);
/** Of the object that was begun last, or ended, if its shape was not known before: what to expect next. */
let previous: Shape = origin;

function record(count: number): unknown {
  if (count === 0) return {};
  if (count < 0 || message.at + 2 * count > message.end || (message.budget -= count) < 0 || ++message.depth > DEPTH) {
    return notPlain();
  }
  if (count > LONGEST_SHAPE) return readProperties({}, names.first, 0, count);
  const before = previous, { next } = before;
  // Young memory, to which values are written without ado, unlike to an array that is kept; a literal is made fastest.
  const values: unknown[] = count <= FEW
    ? [undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined]
    : new Array(count);
  for (let i = 0; i < next.length; i++) {
    const shape = next[i]!;
    if (shape.keys.length !== count) continue;
    const known = readShape(shape, values);
    if (known === 0) continue;
    if (known < count) return readNames(before, shape.names[known - 1]!, known, count, values);
    message.depth--;
    return build(shape, values);
  }
  return readNames(before, names.first, 0, count, values);
}

/**
 * Reads names and values as long as the names are those of an object of the shape.
 *
 * @returns How many.
 */
function readShape(shape: Shape, values: unknown[]): number {
  const { names, heads } = shape, count = names.length;
  const bytes = message.source, data = message.viewForNames(), stop = message.end, { bytesOf } = message;
  previous = shape;
  let from = message.at, i = 0;
  for (; i < count; i++) {
    const at = 4 * i, size = heads[at]!;
    if (from + size >= stop) break;
    if (data === undefined || from + 4 > stop) {
      if (!isName(from, names[i]!)) break;
    } else {
      // The first and the last four bytes, which overlap in a short name; then what is between, if there is something.
      if ((data.getInt32(from, true) & heads[at + 2]!) !== heads[at + 1]) break;
      if (size > 4 && data.getInt32(from + size - 4, true) !== heads[at + 3]) break;
      if (size > 8 && !isMiddle(data, from, names[i]!)) break;
    }
    from += size;
    const initial = bytes[from]!;
    // Small numbers and short byte strings without another call.
    if (initial < 24) {
      from++;
      values[i] = initial;
    } else if (initial >= 0x40 && initial < 0x58 && from + initial - 0x40 < stop) {
      values[i] = bytesOf(bytes, from + 1, initial - 0x40);
      from += 1 + initial - 0x40;
    } else {
      message.at = from;
      values[i] = item();
      from = message.at;
    }
  }
  message.at = from;
  return i;
}

function isMiddle(data: DataView, from: number, { words, size }: Name): boolean {
  for (let i = 1; 4 * i + 4 < size; i++) if (data.getInt32(from + 4 * i, true) !== words[i]) return false;
  return true;
}

function isName(from: number, { bytes, size }: Name): boolean {
  const { source } = message;
  for (let i = 0; i < size; i++) if (source[from + i] !== bytes[i]) return false;
  return true;
}

/**
 * Reads the rest of an object, whatever its names are.
 *
 * @param before The shape of the object before it.
 * @param last The name before the first that is to be read.
 * @param known How many were read already, and their values.
 */
function readNames(before: Shape, last: Name, known: number, count: number, values: unknown[]): unknown {
  previous = nowhere;
  let name = last;
  for (let i = known; i < count; i++) {
    const from = message.at, length = nameLength();
    if (length < 0) return notPlain();
    let next = nextName(name, from, message.at + length - from);
    if (next === undefined) {
      const key = text(length);
      if (key === "__proto__") return notPlain(); // as a property, not as the prototype: not here
      next = names.add(name, key);
      if (next === undefined) {
        message.at = from;
        return readProperties(gather(name, values), undefined, i, count);
      }
    } else {
      message.at += length;
    }
    name = next;
    values[i] = item();
  }
  message.depth--;
  const shape = names.shapeOf(name)!;
  before.expect(previous = shape);
  return build(shape, values);
}

/**
 * Reads the properties of an object without a shape, from number `i` on.
 *
 * @param name The name before, as long as they are remembered.
 */
function readProperties(value: Record<string, unknown>, name: Name | undefined, i: number, count: number): unknown {
  previous = nowhere;
  for (; i < count; i++) {
    const from = message.at, length = nameLength();
    if (length < 0) return notPlain();
    const known: Name | undefined = name === undefined ? undefined : nextName(name, from, message.at + length - from);
    let key: string;
    if (known !== undefined) {
      message.at += length;
      key = known.text;
      name = known;
    } else {
      key = text(length);
      if (key === "__proto__") return notPlain();
      if (name !== undefined) name = names.add(name, key);
    }
    value[key] = item();
  }
  message.depth--;
  return value;
}

/** The bytes of the name that is next, behind whose head this goes on; -1 if there is none, or nothing behind it. */
function nameLength(): number {
  if (message.at >= message.end) return -1;
  const initial = message.source[message.at++]!;
  const length = argument(initial & 31);
  return initial >> 5 !== 3 || message.at + length >= message.end ? -1 : length;
}

/** The name that comes next, of so many bytes with its head, if it came there before. */
function nextName(after: Name, from: number, size: number): Name | undefined {
  const { next } = after;
  search: for (let i = 0; i < next.length; i++) {
    const name = next[i]!;
    if (name.size !== size) continue;
    for (let j = 0; j < size; j++) if (message.source[from + j] !== name.bytes[j]) continue search;
    return name;
  }
  return undefined;
}

// --- Text ------------------------------------------------------------------------------------------------------------

/** Text of so many bytes, which are there. */
function text(length: number): string {
  const from = message.at;
  message.at += length;
  if (length > REMEMBERED) return longText(from, length);
  return shortText(message.source, from, length) ?? longText(from, length);
}

function longText(from: number, length: number): string {
  try {
    return textAt(message.source, from, length);
  } catch (error) {
    if (!(error instanceof NotText)) throw error;
    notPlain();
    return "";
  }
}
