// Values with something odd about them, for tests: arrays with holes, keys that were defined, one of every kind.
import { cString, libc } from "../../ffi/libc/libc.ts";

/** Bytes. */
export const bytes = (...values: number[]) => Uint8Array.from(values);
/** So many bytes, each another. */
export const filled = (length: number) => Uint8Array.from({ length }, (_, i) => i);
/** An object with more properties. */
export const withProperties = <T extends object>(object: T, properties: object): T => Object.assign(object, properties);
/** An object with one more property, whatever its name means to the language. */
export const defined = (object: object, key: string, value: unknown) =>
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });

/** An array of a length with some entries: indices, or names. */
export function arrayWith(length: number, entries: Record<string, unknown>): unknown[] {
  const array: unknown[] = [];
  array.length = length;
  for (const [key, value] of Object.entries(entries)) defined(array, key, value);
  return array;
}

/** An object without some of its properties. */
export function without(object: object, ...keys: string[]): unknown {
  for (const key of keys) delete (object as Record<string, unknown>)[key];
  return object;
}

/** An object of so many keys. */
export const manyKeys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`key ${i}`, i]));

/** One of every kind, to stand beside another. */
export const allOthers = (): unknown[] => [
  ...[new Map<unknown, unknown>([["k", {}]]), new Set([[]]), new Date(4.4e15), /x/giy, new Error("e", { cause: [] })],
  ...[
    2n ** 80n,
    Object(true),
    new Float32Array([1]),
    new DataView(new ArrayBuffer(2)),
    filled(1200),
    "\ud800",
    "é".repeat(50),
  ],
  ...[new ArrayBuffer(4, { maxByteLength: 8 }), new DOMException("m", "AbortError"), arrayWith(9, { 4: 1, name: 2 })],
  ...[manyKeys(40), JSON.parse('{"__proto__":[]}'), Object.create(null), undefined, null, 1.5, -1, true],
];

/** Something innermost, nested so deep. */
export function nested(nest: (inner: unknown) => unknown, depth: number): unknown {
  let value: unknown = "innermost";
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  for (let i = 0; i < depth; i++) value = nest(value);
  Error.stackTraceLimit = stackTraceLimit;
  return value;
}

/** Where a descriptor of this process leads. */
export function whereTo(fd: number): string {
  const buffer = new Uint8Array(256);
  const length = libc().c.readlink(cString(`/proc/self/fd/${fd}`), buffer, 256n);
  return new TextDecoder().decode(buffer.subarray(0, Number(length)));
}
