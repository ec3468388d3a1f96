// Reads plain CBOR: what cbor_write.ts writes, but for typed arrays. For anything else the caller goes to cbor-x.
//
// It reads from shared memory as well, where a peer may change every byte at any moment: no place and no length is read
// a second time after it was checked against the end, text is copied before it is converted, and whatever the bytes say,
// the worst that comes of it is a wrong value. That saves copying a message before it is read.
//
// What makes it fast: the names of properties are compared with those that came at this place in earlier messages
// instead of being made into strings, and so is short text; and objects are put together by code that knows them
// (measured: a small object 150 ns, with cbor-x 380 ns; a frame with three byte strings 0.2 and 2.7 µs).

import { Buffer } from "node:buffer";
import { build } from "./cbor_build.ts";
import { type Name, NAME_WORDS, Names, type Shape } from "./cbor_names.ts";

/** Returned for what is not plain, or not well-formed. */
export const NOT_PLAIN: unique symbol = Symbol("not plain");

/** Makes what the reader gets for a byte string: a copy, or a view. */
export type BytesOf = (source: Uint8Array<ArrayBuffer>, from: number, length: number) => Uint8Array<ArrayBuffer>;

/** Levels of arrays and objects within one another, beyond which the caller has to see for itself. */
const DEPTH = 200;

let source: Uint8Array<ArrayBuffer> = new Uint8Array(0);
/** For numbers of several bytes; made when there is one. */
let view = new DataView(source.buffer);
let viewed = source;
let at = 0;
let end = 0;
let depth = 0;
/** How many items arrays and objects may still claim to have: each takes a byte at least, in whatever it is. */
let budget = 0;
let plain = true;
let bytesOf: BytesOf = copyOf;
/** See {@linkcode readPlain}. */
let mark: string | undefined;
let marked = 0;

function copyOf(source: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array<ArrayBuffer> {
  return source.slice(from, from + length);
}

/**
 * Reads one item that fills the bytes from `start` to `stop`.
 *
 * @param byteStrings Called for each byte string; copies unless told.
 * @param marking Arrays inside tag 27 that begin with this text are plain as well: follow it by
 * {@linkcode reviveMarked}.
 * @returns The value, or {@linkcode NOT_PLAIN}.
 */
export function readPlain(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  stop: number,
  byteStrings: BytesOf = copyOf,
  marking?: string,
): unknown {
  mark = marking;
  marked = 0;
  source = bytes;
  at = start;
  end = stop;
  depth = 0;
  budget = stop - start;
  plain = true;
  bytesOf = byteStrings;
  previous = origin;
  const value = item();
  return plain && at === end ? value : NOT_PLAIN;
}

function dataView(): DataView {
  if (viewed !== source) {
    viewed = source;
    view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  }
  return view;
}

function notPlain(): undefined {
  plain = false;
  at = end; // every loop over items ends soon
}

/** The number that follows a head with `info`: -1 if it is not a plain one. */
function argument(info: number): number {
  if (info < 24) return info;
  if (info === 24) {
    if (at + 1 > end) return -1;
    return source[at++]!;
  }
  if (info === 25) {
    if (at + 2 > end) return -1;
    at += 2;
    return source[at - 2]! << 8 | source[at - 1]!;
  }
  if (info === 26) {
    if (at + 4 > end) return -1;
    at += 4;
    return dataView().getUint32(at - 4);
  }
  return -1;
}

function item(): unknown {
  if (at >= end) return notPlain();
  const initial = source[at++]!;
  const info = initial & 31;
  switch (initial >> 5) {
    case 0: {
      if (info < 24) return info;
      const n = argument(info);
      return n < 0 ? bigInteger(info, false) : n;
    }
    case 1: {
      const n = argument(info);
      return n < 0 ? bigInteger(info, true) : -1 - n;
    }
    case 2: {
      const length = argument(info);
      if (length < 0 || at + length > end) return notPlain();
      at += length;
      return bytesOf(source, at - length, length);
    }
    case 3: {
      const length = argument(info);
      return length < 0 || at + length > end ? notPlain() : text(length);
    }
    case 4:
      return array(argument(info));
    case 5:
      return record(argument(info));
    case 6:
      return mark === undefined ? notPlain() : markedArray(info);
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
          if (at + 8 > end) return notPlain();
          at += 8;
          return dataView().getFloat64(at - 8);
      }
  }
  return notPlain();
}

function bigInteger(info: number, negative: boolean): bigint | undefined {
  if (info !== 27 || at + 8 > end) return notPlain();
  const magnitude = dataView().getBigUint64(at);
  at += 8;
  return negative ? -1n - magnitude : magnitude;
}

function array(length: number): unknown {
  if (length < 0 || (budget -= length) < 0 || ++depth > DEPTH) return notPlain();
  const items = new Array<unknown>(length);
  for (let i = 0; i < length; i++) items[i] = item();
  depth--;
  return items;
}

/** Stands for what will be made of an array, once it is certain that the message is plain. */
class Marked {
  constructor(readonly content: readonly unknown[]) {}
}

function markedArray(info: number): unknown {
  if (info !== 24 || at + 2 > end || source[at] !== 27) return notPlain();
  const initial = source[at + 1]!;
  at += 2;
  if (initial >> 5 !== 4) return notPlain();
  const content = array(argument(initial & 31)) as unknown[] | undefined;
  if (content === undefined || content[0] !== mark) return notPlain();
  marked++;
  return new Marked(content);
}

/**
 * Puts together what {@linkcode readPlain} found marked.
 *
 * @param value What it returned.
 * @param revive Called with each marked array; what it returns takes its place.
 */
export function reviveMarked(value: unknown, revive: (content: readonly unknown[]) => unknown): unknown {
  return marked === 0 ? value : revived(value, revive);
}

function revived(value: unknown, revive: (content: readonly unknown[]) => unknown): unknown {
  if (value instanceof Marked) return revive(value.content);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      if (typeof value[i] === "object") value[i] = revived(value[i], revive);
    }
  } else if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    const record = value as Record<string, unknown>;
    for (const key in record) {
      if (typeof record[key] === "object") record[key] = revived(record[key], revive);
    }
  }
  return value;
}

// --- Objects ---------------------------------------------------------------------------------------------------------

/** Properties that most objects have at most. */
const FEW = 8;

const names = new Names();
/** Before the first object of every message. */
const origin = names.shapeOf(names.first)!;
/** Of the object that was begun last. */
let previous: Shape = origin;

function record(count: number): unknown {
  if (count === 0) return {};
  if (count < 0 || (budget -= count) < 0 || ++depth > DEPTH) return notPlain();
  const before = previous;
  // Young memory, to which values are written without ado, unlike to an array that is kept; a literal is made fastest.
  const values: unknown[] = count <= FEW
    ? [undefined, undefined, undefined, undefined, undefined, undefined, undefined, undefined]
    : new Array(count);
  const guess = before.next;
  let shape = guess !== undefined && guess.keys.length === count ? guess : undefined;
  const known = shape === undefined ? 0 : readShape(shape, values);
  let value: Record<string, unknown>;
  if (shape !== undefined && known === count) {
    value = build(shape, values);
  } else {
    const keys = shape === undefined ? [] : shape.keys.slice(0, known);
    shape = readNames(known === 0 ? names.first : shape!.names[known - 1]!, keys, count, values);
    if (shape !== undefined) before.next = previous = shape;
    value = shape === undefined ? gather(keys, values) : build(shape, values);
  }
  depth--;
  return value;
}

/**
 * Reads names and values as long as the names are those of an object of the shape.
 *
 * @returns How many.
 */
function readShape(shape: Shape, values: unknown[]): number {
  const { sizes, words, tails } = shape, count = sizes.length;
  const bytes = source, data = dataView(), stop = end;
  previous = shape;
  let from = at, i = 0;
  for (; i < count; i++) {
    const size = sizes[i]!, first = i * NAME_WORDS;
    if (from + size >= stop) break;
    if (size < 4) {
      if (shortName(from, size) !== words[first]) break;
    } else {
      // The first and the last four bytes, which overlap in a short name; then what is between, if there is something.
      const atBegin = data.getInt32(from, true) ^ words[first]!;
      const atEnd = data.getInt32(from + size - 4, true) ^ tails[i]!;
      if ((atBegin | atEnd) !== 0) break;
      if (size > 8 && !isMiddle(data, from, words, first, size)) break;
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
      at = from;
      values[i] = item();
      from = at;
    }
  }
  at = from;
  return i;
}

function isMiddle(data: DataView, from: number, words: Int32Array, first: number, size: number): boolean {
  for (let i = 1; 4 * i + 4 < size; i++) if (data.getInt32(from + 4 * i, true) !== words[first + i]) return false;
  return true;
}

function shortName(from: number, size: number): number {
  let bytes = 0;
  for (let i = 0; i < size; i++) bytes |= source[from + i]! << (8 * i);
  return bytes;
}

/**
 * Reads the rest of the names and values, whatever they are.
 *
 * @param last The name before the first of them.
 * @param keys The names that were read already; more are added.
 * @returns The shape of the object, if it is one to be remembered.
 */
function readNames(last: Name, keys: string[], count: number, values: unknown[]): Shape | undefined {
  let name: Name | undefined = last;
  for (let i = keys.length; i < count; i++) {
    if (at >= end) return notPlain();
    const from = at, initial = source[at++]!;
    const length = argument(initial & 31);
    if (initial >> 5 !== 3 || length < 0 || at + length >= end) return notPlain();
    const known: Name | undefined = name === undefined ? undefined : nextName(name, from, at + length - from);
    if (known !== undefined) {
      at += length;
      keys.push(known.text);
      name = known;
    } else {
      const key = text(length);
      if (key === "__proto__") return notPlain(); // as a property, not as the prototype: not here
      if (name !== undefined) name = names.add(name, key);
      keys.push(name?.text ?? key);
    }
    values[i] = item();
  }
  return name === undefined ? undefined : names.shapeOf(name);
}

function gather(keys: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (let i = 0; i < keys.length; i++) value[keys[i]!] = values[i];
  return value;
}

/** The name that comes next, of so many bytes with its head, if it came there before. */
function nextName(after: Name, from: number, size: number): Name | undefined {
  const { next } = after;
  search: for (let i = 0; i < next.length; i++) {
    const name = next[i]!;
    if (name.size !== size) continue;
    for (let j = 0; j < size; j++) if (source[from + j] !== name.bytes[j]) continue search;
    return name;
  }
  return undefined;
}

// --- Text ------------------------------------------------------------------------------------------------------------

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Text of up to so many bytes is looked for among the last ones. */
const REMEMBERED = 24;
/** The last short texts, by a number made of their bytes; a power of two of them. */
const last: string[] = new Array(256).fill("");

const units = new Array<number>(REMEMBERED).fill(0);

/** Text of so many bytes, which are there. */
function text(length: number): string {
  const from = at;
  at += length;
  if (length > REMEMBERED) return longText(from, length);
  if (length === 0) return "";
  const bytes = source;
  const place = (length * 31 + bytes[from]! * 7 + bytes[from + (length >> 1)]! * 13 + bytes[from + length - 1]! * 3) &
    255;
  const known = last[place]!;
  if (known.length === length) {
    let i = 0;
    while (i < length && known.charCodeAt(i) === bytes[from + i]) i++;
    if (i === length) return known; // and so all of its characters are ASCII, or it would not be among the last
  }
  let all = 0;
  for (let i = 0; i < length; i++) all |= units[i] = bytes[from + i]!;
  if (all >= 0x80) return longText(from, length);
  let made = "";
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    made += String.fromCharCode(
      units[i]!,
      units[i + 1]!,
      units[i + 2]!,
      units[i + 3]!,
      units[i + 4]!,
      units[i + 5]!,
      units[i + 6]!,
      units[i + 7]!,
    );
  }
  for (; i < length; i++) made += String.fromCharCode(units[i]!);
  return last[place] = made;
}

/** Text of up to so many bytes is made from a buffer that is used again. */
const SCRATCH = 4096;
const scratch = Buffer.alloc(SCRATCH);

/** By way of private memory: what converts text is not made for bytes that change meanwhile. */
function longText(from: number, length: number): string {
  if (length > SCRATCH) return decoder.decode(source.slice(from, from + length));
  const bytes = source, copy = scratch;
  let all = 0;
  for (let i = 0; i < length; i++) all |= copy[i] = bytes[from + i]!;
  return copy.toString(all < 0x80 ? "latin1" : "utf8", 0, length);
}
