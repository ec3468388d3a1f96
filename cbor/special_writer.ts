// Writes every kind of object that is not plain, as structuredClone would have it read again, and says of each that
// structuredClone refuses what to send instead.
//
// The kind of an object is told by what it is inside, not by its prototype, which a program can change; and what it holds
// is asked of the methods that the language came with, not of those that the object may have.
import { types } from "node:util";
import { ANY_MAP, GENERIC_OBJECT, SET, STANDARD_ERRORS, TYPED_ARRAY_TAGS, VIEWS, WTF8 } from "./kinds.ts";
import { propertyStep, refuse, type REFUSED, tooCostly } from "./limits.ts";
import { encodeLeaf } from "./cbor_x.ts";
import { encodeWtf8 } from "./text.ts";
import { isPlatformObject } from "./platform_object.ts";
import { PACK } from "../base/pack.ts";
import type { StandIn } from "./written.ts";

/** How the parts of an object are written. Each is given the place to write at, and returns the place behind it. */
export interface Writer {
  /** Any value, or REFUSED. */
  item(value: unknown, to: number): number;
  /** The parts of an object whose head is written, or REFUSED. */
  parts(values: readonly unknown[], to: number, stepAt: (i: number) => string): number;
  /** An object as its own enumerable properties, or REFUSED. */
  properties(value: Record<string, unknown>, to: number): number;
  text(value: string, to: number): number;
  /** A byte string, wherever it was seen. */
  bytes(value: Uint8Array, to: number): number;
  head(major: number, n: number, to: number): number;
  /** What is encoded already. */
  append(bytes: Uint8Array, to: number): number;
  /** One level deeper: REFUSED if that is too deep. */
  enter(): number;
  leave(): void;
  /** Counts address space that the message claims; returns how much it is by now, of how much it may be. */
  reserve(bytes: number, to: number): [claimed: number, allowed: number];
  /** What stands for an endpoint, memory or a descriptor. */
  collect(object: object): StandIn | undefined;
}

const UINT = 0, BYTES = 0x40, ARRAY = 0x80, MAP = 0xa0, TAG = 0xc0;

const getTime = Date.prototype.getTime;
const mapForEach = Map.prototype.forEach;
const setForEach = Set.prototype.forEach;
// deno-lint-ignore no-explicit-any -- what kind `this` is was found out before
type Getter = (this: any) => any;
const getterOf = (prototype: object, name: string | symbol) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as Getter;
const sourceOf = getterOf(RegExp.prototype, "source");
const flagsOf = getterOf(RegExp.prototype, "flags");
const TypedArray = Object.getPrototypeOf(Uint8Array.prototype);
const typedArrayName = getterOf(TypedArray, Symbol.toStringTag);
const ofTypedArray = getters(TypedArray), ofDataView = getters(DataView.prototype);

function getters(prototype: object): { buffer: Getter; byteOffset: Getter; byteLength: Getter } {
  const of = (name: string) => getterOf(prototype, name);
  return { buffer: of("buffer"), byteOffset: of("byteOffset"), byteLength: of("byteLength") };
}

/** Whether an object is nothing but properties: neither of a kind of its own, nor one that stands for something else. */
export function isOrdinary(object: object): boolean {
  return !(Array.isArray(object) || ArrayBuffer.isView(object) || types.isMap(object) || types.isSet(object) ||
    types.isDate(object) || types.isRegExp(object) || types.isNativeError(object) || types.isAnyArrayBuffer(object) ||
    types.isBoxedPrimitive(object) || refusedKind(object) !== undefined || PACK in object ||
    (Object.getPrototypeOf(object) !== Object.prototype && isPlatformObject(object)));
}

/** Whether an array has all of its elements, and nothing besides. */
export function isDense(value: unknown[], length: number): boolean {
  const keys = Object.keys(value);
  // The elements come first: if the last is one, all are.
  return keys.length === length && (length === 0 || keys[length - 1] === String(length - 1));
}

/**
 * Writes an object of any kind that comes for the first time.
 *
 * @param value The object, not a Proxy; or a big integer of more than 64 bits.
 */
export function special(value: object | bigint, to: number, w: Writer): number {
  if (typeof value === "bigint") return w.append(encodeLeaf(value), to);
  if (PACK in value) return collected(value, to, w);
  if (Array.isArray(value)) return entriesOfArray(value, to, w);
  if (ArrayBuffer.isView(value)) return view(value, to, w);
  if (types.isMap(value)) return map(value, to, w);
  if (types.isSet(value)) return set(value, to, w);
  if (types.isDate(value)) return date(getTime.call(value), to, w);
  if (types.isRegExp(value)) return regularExpression(sourceOf.call(value), flagsOf.call(value), to, w);
  if (value instanceof DOMException) return domException(value, to, w); // also an error by what it is inside
  if (types.isNativeError(value)) return error(value, to, w);
  if (types.isAnyArrayBuffer(value)) return buffer(value, to, w);
  if (types.isBoxedPrimitive(value)) return boxed(value, to, w);
  const refused = refusedKind(value);
  if (refused !== undefined) return refuse(...refused);
  if (isPlatformObject(value)) return refuse(nameOf(value), "send the data in it that the receiver needs");
  return w.properties(value as Record<string, unknown>, to);
}

/** Says what to send in place of a value that is no object and cannot be sent. */
export function refuseLeaf(value: unknown): typeof REFUSED {
  if (typeof value === "symbol") return refuse(`the symbol ${String(value)}`, "send its description, or leave it out");
  const { name } = value as { name: unknown };
  return refuse(name ? `the function "${name}"` : "a function", "send data, or a sender on which to call back");
}

/** Text with half of a surrogate pair is no UTF-8: WTF-8 in a byte string, inside tag 273. */
export function illFormed(value: string, to: number, w: Writer): number {
  const bytes = encodeWtf8(value);
  return w.append(bytes, w.head(BYTES, bytes.length, w.head(TAG, WTF8, to)));
}

/** Tag 27 and the head of its array: a name, and so many values behind it. */
function generic(name: string, count: number, to: number, w: Writer): number {
  return w.text(name, w.head(ARRAY, count + 1, w.head(TAG, GENERIC_OBJECT, to)));
}

/** What stands for something outside the value: an endpoint, memory, a descriptor. */
function collected(value: object, to: number, w: Writer): number {
  const pack = (value as { [PACK]?: unknown })[PACK];
  if (typeof pack === "string") return refuse(nameOf(value), pack);
  const content = w.collect(value);
  if (content === undefined) {
    return refuse("an endpoint, shared memory or a descriptor", "they travel in the messages of typed channels alone");
  }
  const { begin, begun, number, rest } = content, { length } = rest;
  to = w.append(begin, w.head(ARRAY, begun + 1 + length, w.head(TAG, GENERIC_OBJECT, to)));
  to = w.head(UINT, number, to);
  return length === 0 ? to : w.parts(rest, to, stepBehind(begun + 1));
}

/** What an item is called in an error if so many stand before; made once, not for each object that is written. */
function stepBehind(count: number): (i: number) => string {
  return stepsBehind[count] ??= (i) => `[${count + i}]`;
}

const stepsBehind: ((i: number) => string)[] = [];

/** An array with holes, or with properties besides: its length, and what it has of both. */
function entriesOfArray(value: unknown[], to: number, w: Writer): number {
  const { length } = value;
  const entries: unknown[] = [];
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(value, key)) continue; // taken away by a getter
    const index = Number(key) >>> 0;
    entries.push(
      String(index) === key && index < length ? index : key,
      (value as unknown as Record<string, unknown>)[key],
    );
  }
  to = w.head(MAP, entries.length / 2, w.head(UINT, length, generic("Array", 2, to, w)));
  return w.parts(
    entries,
    to,
    (i) => typeof entries[i & ~1] === "number" ? `[${entries[i & ~1]}]` : propertyStep(String(entries[i & ~1])),
  );
}

function map(value: Map<unknown, unknown>, to: number, w: Writer): number {
  const entries: unknown[] = [];
  mapForEach.call(value, (item, key) => entries.push(key, item));
  to = w.head(MAP, entries.length / 2, w.head(TAG, ANY_MAP, to));
  return w.parts(entries, to, (i) => `.entries()[${i >> 1}][${i & 1}]`);
}

function set(value: Set<unknown>, to: number, w: Writer): number {
  const items: unknown[] = [];
  setForEach.call(value, (item) => items.push(item));
  return w.parts(items, w.head(ARRAY, items.length, w.head(TAG, SET, to)), (i) => `.values()[${i}]`);
}

/** Tag 1 counts seconds, as a double: too coarse for dates that are far away. */
function date(time: number, to: number, w: Writer): number {
  if (Number.isNaN(time) || Math.round(time / 1000 * 1000) === time) return w.append(encodeLeaf(new Date(time)), to);
  return w.item(time, generic("Date", 1, to, w));
}

function regularExpression(source: string, flags: string, to: number, w: Writer): number {
  const why = tooCostly(source, flags);
  if (why !== undefined) {
    return refuse(
      `a regular expression that is costly to read (${why})`,
      "send its source and flags, and make it there",
    );
  }
  return w.text(flags, w.text(source, generic("RegExp", 2, to, w)));
}

/** A property that an object has itself, and that runs nothing. */
function ownValue(object: object, name: string): { value: unknown } | undefined {
  const found = Object.getOwnPropertyDescriptor(object, name);
  return found !== undefined && "value" in found ? { value: found.value } : undefined;
}

/** As structuredClone has it: the message and the cause that an error has itself, its stack; the standard classes survive. */
function error(value: Error, to: number, w: Writer): number {
  const message = ownValue(value, "message"), cause = ownValue(value, "cause");
  const named = String(value.name);
  const text = message === undefined ? undefined : String(message.value);
  const { stack } = value;
  to = w.item(text, generic(STANDARD_ERRORS.has(named) ? named : "Error", 2, to, w));
  return details(typeof stack === "string" ? stack : undefined, cause, to, w);
}

function details(stack: string | undefined, cause: { value: unknown } | undefined, to: number, w: Writer): number {
  to = w.head(MAP, (stack === undefined ? 0 : 1) + (cause === undefined ? 0 : 1), to);
  if (stack !== undefined) to = w.text(stack, w.text("stack", to));
  return cause === undefined ? to : w.parts([cause.value], w.text("cause", to), () => ".cause");
}

function domException(value: DOMException, to: number, w: Writer): number {
  let name: string, message: string, stack: unknown;
  try {
    ({ name, message, stack } = value);
  } catch {
    return refuse(
      "an object that only inherits from DOMException",
      "send a copy of it with the properties that matter",
    );
  }
  to = w.text(name, w.text(message, generic("DOMException", 3, to, w)));
  return details(typeof stack === "string" ? stack : undefined, undefined, to, w);
}

const SHARED_MEMORY = ["memory of a SharedArrayBuffer", "send an IpcSharedMemory, or a copy of the bytes"] as const;
const GONE = ["memory that was transferred away or released", "send it before that"] as const;

function buffer(value: ArrayBuffer | SharedArrayBuffer, to: number, w: Writer): number {
  if (types.isSharedArrayBuffer(value)) return refuse(...SHARED_MEMORY);
  if (value.detached) return refuse(...GONE);
  const bytes = new Uint8Array(value, 0, value.byteLength);
  if (!value.resizable) return w.bytes(bytes, generic("ArrayBuffer", 1, to, w));
  const [claimed, allowed] = w.reserve(value.maxByteLength, to);
  if (claimed > allowed) {
    return refuse(
      `buffers that may grow to ${claimed} bytes, and ${allowed} are the most here`,
      "send a buffer of fixed size, or one that may grow less",
    );
  }
  return w.head(UINT, value.maxByteLength, w.bytes(bytes, generic("ArrayBuffer", 2, to, w)));
}

function view(value: ArrayBufferView, to: number, w: Writer): number {
  const name: string = typedArrayName.call(value) ?? "DataView";
  const of = name === "DataView" ? ofDataView : ofTypedArray;
  const memory: ArrayBuffer | SharedArrayBuffer = of.buffer.call(value);
  if (types.isSharedArrayBuffer(memory)) return refuse(...SHARED_MEMORY);
  if (memory.detached) return refuse(...GONE);
  let offset: number, length: number, follows = false;
  try {
    if (memory.resizable) follows = followsItsBuffer(value);
    [offset, length] = [of.byteOffset.call(value), of.byteLength.call(value)];
  } catch {
    return refuse("a view beyond the end of its buffer", "send a view of what is there");
  }
  if (memory.resizable) {
    // With its buffer, with which it may change: the name, the buffer, the offset, and the length unless that follows.
    const parts = [memory, offset, length / (VIEWS.get(name)!.BYTES_PER_ELEMENT ?? 1)];
    const count = follows ? 2 : 3;
    return w.parts(parts.slice(0, count), generic(name, count, to, w), () => ".buffer");
  }
  const bytes = new Uint8Array(memory, offset, length);
  if (name === "DataView") return w.bytes(bytes, generic("DataView", 1, to, w));
  return w.bytes(bytes, name === "Uint8Array" ? to : w.head(TAG, TYPED_ARRAY_TAGS.get(name)!, to));
}

/** Whether a view grows and shrinks with its buffer: that shows only when it does, so with a copy of both. */
function followsItsBuffer(value: ArrayBufferView): boolean {
  const copy = structuredClone(value) as ArrayBufferView, memory = copy.buffer as ArrayBuffer;
  const { byteOffset, byteLength } = copy, one = (copy as Uint8Array).BYTES_PER_ELEMENT ?? 1;
  try {
    if (byteLength > one) {
      memory.resize(byteOffset + one);
      return copy.byteLength === one;
    }
    memory.resize(memory.maxByteLength);
    return copy.byteLength !== byteLength;
  } catch {
    return false; // a DataView that reaches beyond the end says so
  }
}

function boxed(value: object, to: number, w: Writer): number {
  if (types.isSymbolObject(value)) return refuse("a symbol", "send its description, or leave it out");
  const name = types.isNumberObject(value)
    ? "Number"
    : types.isStringObject(value)
    ? "String"
    : types.isBooleanObject(value)
    ? "Boolean"
    : "BigInt";
  return w.item(UNBOX[name].call(value), generic(name, 1, to, w));
}

// deno-lint-ignore no-explicit-any -- as above
const UNBOX: Record<"Number" | "String" | "Boolean" | "BigInt", (this: any) => unknown> = {
  Number: Number.prototype.valueOf,
  String: String.prototype.valueOf,
  Boolean: Boolean.prototype.valueOf,
  BigInt: BigInt.prototype.valueOf,
};

const ITERATOR = ["an iterator", "send an array of what it gives, [...iterator]"] as const;

/** Kinds that cannot be sent: what it is, and what to do instead. */
function refusedKind(value: object): readonly [string, string] | undefined {
  if (types.isProxy(value)) return ["a Proxy", "send a copy of what it stands for"];
  if (types.isPromise(value)) return ["a Promise", "await it, and send what comes"];
  if (types.isWeakMap(value) || types.isWeakSet(value)) return [nameOf(value), "send a Map or a Set"];
  if (types.isMapIterator(value) || types.isSetIterator(value) || types.isGeneratorObject(value)) return ITERATOR;
  if (types.isArgumentsObject(value)) return ["an arguments object", "send an array of them, [...arguments]"];
  if (types.isModuleNamespaceObject(value)) return ["a module", "send the values that it exports, {...module}"];
  if (types.isCryptoKey(value)) return ["a CryptoKey", "send what crypto.subtle.exportKey() gives"];
  if (value instanceof Blob) return [nameOf(value), "send its bytes, await blob.bytes()"];
  if (value instanceof URL) return ["a URL", "send its href"];
  if (value instanceof Headers || value instanceof URLSearchParams || value instanceof FormData) {
    return [nameOf(value), "send its entries, [...entries]"];
  }
  if (value instanceof WebAssembly.Module) return ["a WebAssembly.Module", "send the bytes that it was made of"];
  return undefined;
}

function nameOf(value: object): string {
  const { constructor } = value;
  const name = typeof constructor === "function" && constructor.name || "platform object";
  return `${/^[AEIOU](?!R[LI])/.test(name) ? "an" : "a"} ${name}`;
}
