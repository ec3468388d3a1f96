// Writes plain values as CBOR: null, booleans, numbers, big integers, text, byte strings, typed arrays, and arrays and
// plain objects of those. They are nearly all of what messages consist of, and cbor-x needs two walks for them, one to
// find out that they are plain (it loses -0, and knows no sharing without a Map a message), and one to write them.
// Measured for a small object: 200 ns here, 420 ns there; for a frame with three byte strings 300 ns and 1.5 µs. For
// anything else the caller goes to cbor-x; what is written here is what cbor-x would write, but for the heads of maps,
// which are as short as they can be.
//
// A long byte string is not copied: only its head is written, and the place is noted, so that whoever copies the
// message into shared memory copies the byte string straight from where the program has it.

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
  /** The bytes as words, if they begin a buffer: those after the end, in its word, are zero then. */
  words: Int32Array<ArrayBuffer> | undefined;
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
let words = new Int32Array(out.buffer);
let at = 0;
let gathering = false;
let collector: Collect | undefined;
const NO_INSERTS: Insert[] = [];
let inserts = NO_INSERTS;
const written: Written = { bytes: out, words, end: 0, inserts };
const utf8 = new TextEncoder();

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
  at = 0;
  gathering = gather;
  collector = collect;
  inserts = NO_INSERTS;
  try {
    if (!item(value)) return undefined;
  } finally {
    collector = undefined;
    forget();
  }
  ensure(4);
  out[at] = out[at + 1] = out[at + 2] = 0; // nothing of an earlier message goes along with the last word
  written.bytes = out;
  written.words = words;
  written.end = at;
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

function resize(size: number, keep: number): void {
  const larger = new Uint8Array((size + 3) & ~3);
  if (keep > 0) larger.set(out.subarray(0, keep));
  out = larger;
  view = new DataView(out.buffer);
  words = new Int32Array(out.buffer);
}

function ensure(bytes: number): void {
  if (at + bytes > out.length) resize(Math.max(at + bytes, out.length * 2), at);
}

const UINT = 0, NEGATIVE = 0x20, BYTES = 0x40, TEXT = 0x60, ARRAY = 0x80, MAP = 0xa0, TAG = 0xc0;

/** The head of an item: its major type, and a number up to 2^53. Room for it is there. */
function head(major: number, n: number): void {
  if (n < 24) {
    out[at++] = major | n;
  } else if (n < 0x100) {
    out[at++] = major | 24;
    out[at++] = n;
  } else if (n < 0x10000) {
    out[at++] = major | 25;
    out[at++] = n >> 8;
    out[at++] = n;
  } else if (n < 0x1_0000_0000) {
    out[at++] = major | 26;
    view.setUint32(at, n);
    at += 4;
  } else {
    out[at++] = major | 27;
    view.setUint32(at, Math.floor(n / 0x1_0000_0000));
    view.setUint32(at + 4, n >>> 0);
    at += 8;
  }
}

/** Writes a value; `false` if it is not plain. */
function item(value: unknown): boolean {
  if (at + SLACK > out.length) ensure(SLACK);
  switch (typeof value) {
    case "number":
      number(value);
      return true;
    case "string":
      text(value);
      return true;
    case "object":
      return value === null ? simple(0xf6) : object(value);
    case "boolean":
      return simple(value ? 0xf5 : 0xf4);
    case "undefined":
      return simple(0xf7);
    case "bigint":
      return bigInteger(value);
    default:
      return false;
  }
}

function simple(byte: number): true {
  out[at++] = byte;
  return true;
}

function number(value: number): void {
  if ((value >>> 0) === value && (value !== 0 || 1 / value > 0)) {
    head(UINT, value);
  } else if (value < 0 && value >= -0x1_0000_0000 && Math.floor(value) === value) {
    head(NEGATIVE, -1 - value);
  } else {
    out[at] = 0xfb;
    view.setFloat64(at + 1, value);
    at += 9;
  }
}

/** Up to 64 bits; what is longer is not plain. */
function bigInteger(value: bigint): boolean {
  const magnitude = value < 0n ? -1n - value : value;
  if (BigInt.asUintN(64, magnitude) !== magnitude) return false;
  out[at] = value < 0n ? NEGATIVE | 27 : UINT | 27;
  view.setBigUint64(at + 1, magnitude);
  at += 9;
  return true;
}

function text(value: string): void {
  const { length } = value;
  if (length < TEXT_BY_LOOP) {
    if (at + length + SLACK > out.length) ensure(length + SLACK);
    const bytes = out, from = at;
    let to = from + (length < 24 ? 1 : 2);
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return longText(value);
      bytes[to++] = code;
    }
    if (length < 24) {
      bytes[from] = TEXT | length;
    } else {
      bytes[from] = TEXT | 24;
      bytes[from + 1] = length;
    }
    at = to;
  } else {
    longText(value);
  }
}

function longText(value: string): void {
  const { length } = value;
  ensure(3 * length + SLACK);
  // As long a head as it takes if every character is one byte; if not, the text may have to make room.
  const room = headSize(length);
  const { written } = utf8.encodeInto(value, out.subarray(at + room));
  const needed = headSize(written);
  if (needed > room) out.copyWithin(at + needed, at + room, at + room + written);
  head(TEXT, written);
  at += written;
}

function headSize(n: number): number {
  return n < 24 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : 5;
}

function object(value: object): boolean {
  // Asking for the prototype is a call, of 20 ns, unless the compiler knows the few shapes that come here: it does if a
  // property was loaded before.
  const { constructor } = value;
  if (constructor === Object && Object.getPrototypeOf(value) === Object.prototype) {
    return record(value as Record<string, unknown>);
  }
  if (constructor === Uint8Array && value instanceof Uint8Array && ArrayBuffer.isView(value)) {
    return wholeByteString(value);
  }
  if (constructor === Array && Array.isArray(value)) return array(value);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype) return record(value as Record<string, unknown>);
  if (prototype === Array.prototype) return array(value as unknown[]);
  if (prototype === Uint8Array.prototype) return wholeByteString(value as Uint8Array);
  if (collector !== undefined && (PACK in value || value instanceof IpcFd)) return collected(value, collector);
  const tag = ArrayBuffer.isView(value) ? TYPED_ARRAYS.get(prototype) : undefined;
  if (tag === undefined || !firstSight(value)) return false;
  head(TAG, tag);
  const { buffer, byteOffset, byteLength } = value as ArrayBufferView;
  byteString(new Uint8Array(buffer, byteOffset, byteLength));
  return true;
}

function wholeByteString(bytes: Uint8Array): boolean {
  if (!firstSight(bytes)) return false;
  byteString(bytes);
  return true;
}

/** What stands for something outside the value: an endpoint, a descriptor. */
function collected(value: object, collect: Collect): boolean {
  if (!firstSight(value)) return false;
  const content = collect(value);
  if (content === undefined) return false;
  head(TAG, GENERIC_OBJECT);
  head(ARRAY, content.length);
  for (let i = 0; i < content.length; i++) if (!item(content[i])) return false;
  return true;
}

function record(value: Record<string, unknown>): boolean {
  if (!firstSight(value)) return false;
  const start = at++, insertsBefore = inserts.length;
  let count = 0;
  let name: Name | undefined = firstName;
  for (const key in value) {
    if (at + NAME_ROOM + SLACK > out.length) ensure(NAME_ROOM + SLACK);
    if (name !== undefined) name = nextName(name, key);
    if (name !== undefined) {
      const { size } = name;
      view.setInt32(at, name.word0, true);
      if (size > 4) view.setInt32(at + 4, name.word1, true);
      if (size > 8) view.setInt32(at + 8, name.word2, true);
      if (size > 12) view.setInt32(at + 12, name.word3, true);
      at += size;
    } else {
      text(key);
      if (at + SLACK > out.length) ensure(SLACK);
    }
    // Numbers and text without another call: they are most of what there is.
    const content = value[key];
    if (typeof content === "number") number(content);
    else if (typeof content === "string") text(content);
    else if (!item(content)) return false;
    count++;
  }
  if (count < 24) out[start] = MAP | count;
  else longHead(start, count, insertsBefore);
  return true;
}

/** Makes room at the beginning of a record for a head of more than a byte. */
function longHead(start: number, count: number, insertsBefore: number): void {
  const more = headSize(count) - 1, stop = at;
  ensure(SLACK);
  out.copyWithin(start + 1 + more, start + 1, stop);
  for (let i = insertsBefore; i < inserts.length; i++) inserts[i]!.at += more;
  at = start;
  head(MAP, count);
  at = stop + more;
}

// --- Names of properties ---------------------------------------------------------------------------------------------

/** Bytes of a name that is remembered, with its head, and the most names at one place, and in all. */
const NAME_ROOM = 16, NAMES_AT_A_PLACE = 16, NAMES = 4096;

/** The name of a property as it is written, and those that followed it in earlier messages. */
class Name {
  readonly next: Name[] = [];
  /** The bytes that count, of those in the words. */
  readonly size: number;
  readonly word0: number;
  readonly word1: number;
  readonly word2: number;
  readonly word3: number;

  /** @param written The bytes, with zeros behind them. */
  constructor(readonly text: string, written: Int32Array, size: number) {
    this.size = size;
    this.word0 = written[0]!;
    this.word1 = written[1]!;
    this.word2 = written[2]!;
    this.word3 = written[3]!;
  }
}

const firstName = new Name("", new Int32Array(4), 0);
let nameCount = 0;

/** The name that comes next, if it is one to be remembered. */
function nextName(after: Name, key: string): Name | undefined {
  const { next } = after;
  // Names of properties exist once in the engine: comparing them is comparing pointers.
  for (let i = 0; i < next.length; i++) if (next[i]!.text === key) return next[i];
  return next.length < NAMES_AT_A_PLACE && nameCount < NAMES && key.length < NAME_ROOM
    ? newName(after, key)
    : undefined;
}

function newName(after: Name, key: string): Name | undefined {
  const bytes = new Uint8Array(NAME_ROOM);
  const { read, written } = utf8.encodeInto(key, bytes.subarray(1));
  if (read < key.length) return undefined;
  bytes[0] = TEXT | written;
  const name = new Name(key, new Int32Array(bytes.buffer), 1 + written);
  after.next.push(name);
  nameCount++;
  return name;
}

function array(value: unknown[]): boolean {
  if (!firstSight(value)) return false;
  const { length } = value;
  head(ARRAY, length);
  for (let i = 0; i < length; i++) if (!item(value[i])) return false;
  return true;
}

function byteString(bytes: Uint8Array): void {
  const { length } = bytes;
  ensure(SLACK);
  head(BYTES, length);
  if (gathering && length >= INSERT_FROM) {
    if (inserts === NO_INSERTS) inserts = [];
    inserts.push({ at, bytes, length });
    return;
  }
  ensure(length + SLACK);
  const to = at;
  if (length <= BYTES_BY_LOOP) { for (let i = 0; i < length; i++) out[to + i] = bytes[i]!; }
  else out.set(bytes, to);
  at = to + length;
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
