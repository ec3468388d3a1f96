// Writes every kind of object that is not plain, as structuredClone would have it read again, and says of each that
// structuredClone refuses what to send instead.
//
// The kind of an object is told by what it is inside, not by its prototype, which a program can change; and what it holds
// is asked of the methods that the language came with, not of those that the object may have.
import { types } from "node:util";
import { ANY_MAP, GENERIC_OBJECT, SET, STANDARD_ERRORS, TYPED_ARRAY_TAGS } from "./cbor_kinds.ts";
import {
  propertyStep,
  refuse,
  REFUSED,
  refusedAt,
  RESERVED_AT_LEAST,
  RESERVED_PER_BYTE,
  tooCostly,
} from "./cbor_limits.ts";
import { encodeLeaf } from "./cbor_x.ts";
import { isPlatformObject } from "./platform_object.ts";
import { IpcFd } from "./fd.ts";
import { PACK } from "./pack.ts";

/** How the parts of an object are written. Each is given the place to write at, and returns the place behind it. */
export interface Writer {
  /** Any value, or REFUSED. */
  item(value: unknown, to: number): number;
  /** The values of an array whose head is written, or REFUSED. */
  items(values: readonly unknown[], to: number): number;
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
  /** What stands for an endpoint, memory or a descriptor. */
  collect(object: object): unknown[] | undefined;
}

const ARRAY = 0x80, MAP = 0xa0, TAG = 0xc0, UINT = 0;

const getTime = Date.prototype.getTime;
const mapForEach = Map.prototype.forEach;
const setForEach = Set.prototype.forEach;
// deno-lint-ignore no-explicit-any -- what kind `this` is was found out before
type Getter = (this: any) => any;
const getterOf = (prototype: object, name: string | symbol) =>
  Object.getOwnPropertyDescriptor(prototype, name)!.get as Getter;
const sourceOf = getterOf(RegExp.prototype, "source");
const flagsOf = getterOf(RegExp.prototype, "flags");
const typedArrayName = getterOf(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag);
const bufferOfTypedArray = getterOf(Object.getPrototypeOf(Uint8Array.prototype), "buffer");
const bufferOfDataView = getterOf(DataView.prototype, "buffer");

/** Whether an object is nothing but properties: neither of a kind of its own, nor one that stands for something else. */
export function isOrdinary(object: object): boolean {
  return !(Array.isArray(object) || ArrayBuffer.isView(object) || types.isMap(object) || types.isSet(object) ||
    types.isDate(object) || types.isRegExp(object) || types.isNativeError(object) || types.isAnyArrayBuffer(object) ||
    types.isBoxedPrimitive(object) || refusedKind(object) !== undefined || object instanceof IpcFd || PACK in object);
}

/**
 * Writes an object of any kind that comes for the first time.
 *
 * @param value The object, not a Proxy; or a big integer of more than 64 bits.
 */
export function special(value: object | bigint, to: number, w: Writer): number {
  if (typeof value === "bigint") return w.append(encodeLeaf(value), to);
  if (PACK in value || value instanceof IpcFd) return collected(value, to, w);
  if (Array.isArray(value)) return entriesOfArray(value, to, w);
  if (ArrayBuffer.isView(value)) return view(value, to, w);
  if (types.isMap(value)) return map(value, to, w);
  if (types.isSet(value)) return set(value, to, w);
  if (types.isDate(value)) return date(getTime.call(value), to, w);
  if (types.isRegExp(value)) return regularExpression(sourceOf.call(value), flagsOf.call(value), to, w);
  if (types.isNativeError(value)) return error(value, to, w);
  if (types.isAnyArrayBuffer(value)) return buffer(value, to, w);
  if (types.isBoxedPrimitive(value)) return boxed(value, to, w);
  const refused = refusedKind(value);
  if (refused !== undefined) return refuse(...refused);
  if (value instanceof DOMException) return domException(value, to, w);
  if (isPlatformObject(value)) return refuse(nameOf(value), "send the data in it that the receiver needs");
  return w.properties(value as Record<string, unknown>, to);
}

/** Tag 27 and the head of its array: a name, and so many values behind it. */
function generic(name: string, count: number, to: number, w: Writer): number {
  return w.text(name, w.head(ARRAY, count + 1, w.head(TAG, GENERIC_OBJECT, to)));
}

/** What stands for something outside the value: an endpoint, memory, a descriptor. */
function collected(value: object, to: number, w: Writer): number {
  const content = w.collect(value);
  if (content === undefined) {
    return refuse("an endpoint, shared memory or a descriptor", "they travel in the messages of typed channels alone");
  }
  return w.items(content, w.head(ARRAY, content.length, w.head(TAG, GENERIC_OBJECT, to)));
}

/** An array with holes, or with properties besides: its length, and what it has of both. */
function entriesOfArray(value: unknown[], to: number, w: Writer): number {
  const keys = Object.keys(value);
  const { length } = value;
  to = w.head(UINT, length, generic("Array", 2, to, w));
  const found: [string, unknown][] = [];
  for (const key of keys) {
    if (Object.hasOwn(value, key)) found.push([key, (value as unknown as Record<string, unknown>)[key]]);
  }
  to = w.head(MAP, found.length, to);
  if (w.enter() === REFUSED) return REFUSED;
  for (const [key, item] of found) {
    const index = Number(key) >>> 0;
    const isIndex = String(index) === key && index < length;
    to = isIndex ? w.head(UINT, index, to) : w.text(key, to);
    to = w.item(item, to);
    if (to === REFUSED) return refusedAt(isIndex ? `[${key}]` : propertyStep(key));
  }
  w.leave();
  return to;
}

function map(value: Map<unknown, unknown>, to: number, w: Writer): number {
  const entries: unknown[] = [];
  mapForEach.call(value, (item, key) => entries.push(key, item));
  to = w.head(MAP, entries.length / 2, w.head(TAG, ANY_MAP, to));
  if (w.enter() === REFUSED) return REFUSED;
  for (let i = 0; i < entries.length; i++) {
    to = w.item(entries[i], to);
    if (to === REFUSED) return refusedAt(`.entries()[${i >> 1}][${i & 1}]`);
  }
  w.leave();
  return to;
}

function set(value: Set<unknown>, to: number, w: Writer): number {
  const items: unknown[] = [];
  setForEach.call(value, (item) => items.push(item));
  to = w.head(ARRAY, items.length, w.head(TAG, SET, to));
  if (w.enter() === REFUSED) return REFUSED;
  for (let i = 0; i < items.length; i++) {
    to = w.item(items[i], to);
    if (to === REFUSED) return refusedAt(`.values()[${i}]`);
  }
  w.leave();
  return to;
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
  if (cause === undefined) return to;
  if (w.enter() === REFUSED) return REFUSED;
  to = w.item(cause.value, w.text("cause", to));
  if (to === REFUSED) return refusedAt(".cause");
  w.leave();
  return to;
}

function domException(value: DOMException, to: number, w: Writer): number {
  let name: string, message: string;
  try {
    ({ name, message } = value);
  } catch {
    return refuse(
      "an object that only inherits from DOMException",
      "send a copy of it with the properties that matter",
    );
  }
  const stack = ownValue(value, "stack")?.value;
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
  const reserved = value.maxByteLength;
  if (reserved > RESERVED_AT_LEAST + RESERVED_PER_BYTE * bytes.length) {
    return refuse(
      `a buffer of ${bytes.length} bytes that may grow to ${reserved}`,
      "send a buffer of fixed size, or one that may grow less",
    );
  }
  return w.head(UINT, reserved, w.bytes(bytes, generic("ArrayBuffer", 2, to, w)));
}

function view(value: ArrayBufferView, to: number, w: Writer): number {
  const name: string = typedArrayName.call(value) ?? "DataView";
  const memory: ArrayBuffer | SharedArrayBuffer = (name === "DataView" ? bufferOfDataView : bufferOfTypedArray).call(
    value,
  );
  if (types.isSharedArrayBuffer(memory)) return refuse(...SHARED_MEMORY);
  if (memory.detached) return refuse(...GONE);
  if (memory.resizable) return viewOfResizable(value, name, memory, to, w);
  const bytes = new Uint8Array(memory, value.byteOffset, value.byteLength);
  if (name === "DataView") return w.bytes(bytes, generic("DataView", 1, to, w));
  return w.bytes(bytes, name === "Uint8Array" ? to : w.head(TAG, TYPED_ARRAY_TAGS.get(name)!, to));
}

/** With its buffer, with which it may change: the name, the buffer, the offset, and the length unless that follows. */
function viewOfResizable(value: ArrayBufferView, name: string, memory: ArrayBuffer, to: number, w: Writer): number {
  let follows: boolean, byteOffset: number, length: number;
  try {
    follows = followsItsBuffer(value);
    ({ byteOffset } = value);
    length = (value as Uint8Array).length ?? value.byteLength;
  } catch {
    return refuse("a view beyond the end of its buffer", "send a view of what is there");
  }
  to = w.item(memory, generic(name, follows ? 2 : 3, to, w));
  if (to === REFUSED) return refusedAt(".buffer");
  to = w.item(byteOffset, to);
  return follows ? to : w.item(length, to);
}

/** Whether a view grows and shrinks with its buffer: that shows only when it does, so with a copy of both. */
function followsItsBuffer(value: ArrayBufferView): boolean {
  const copy = structuredClone(value), memory = copy.buffer as ArrayBuffer;
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
