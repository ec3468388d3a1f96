// The kinds of objects that are neither plain nor of a tag with one meaning: their tags and names on the wire. Imports
// nothing.

/** Tag 27: an object of a named class, `[name, …]`. */
export const GENERIC_OBJECT = 27;
/** Tag 258: a Set, as an array. */
export const SET = 258;
/** Tag 259: a Map, as a map of any keys. */
export const ANY_MAP = 259;
/** Tags 28 and 29: an object that is referred to again, and a reference to it by its number. */
export const SHARED = 28, REFERENCE = 29;
/** Tag 273: text with halves of surrogate pairs, as WTF-8 in a byte string. */
export const WTF8 = 273;

/** The classes of errors that keep their class on the way, as with structuredClone. */
export const STANDARD_ERRORS: ReadonlyMap<string, ErrorConstructor> = new Map(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]
    .map((made) => [made.name, made as ErrorConstructor]),
);

/** A class of typed arrays, all of them over memory that cannot change its size. */
export type TypedArrayClass = {
  new (buffer: ArrayBuffer, byteOffset?: number, length?: number): ArrayBufferView<ArrayBuffer>;
  readonly name: string;
  readonly BYTES_PER_ELEMENT: number;
};

/** Tags of RFC 8746, little-endian as all that this package runs on. */
export const TYPED_ARRAYS: ReadonlyMap<number, TypedArrayClass> = new Map<number, TypedArrayClass>([
  [64, Uint8Array],
  [68, Uint8ClampedArray],
  [69, Uint16Array],
  [70, Uint32Array],
  [71, BigUint64Array],
  [72, Int8Array],
  [77, Int16Array],
  [78, Int32Array],
  [79, BigInt64Array],
  // An old Node.js has none: the error about its version comes when a channel is used, not here.
  ...("Float16Array" in globalThis ? [[84, Float16Array] as const] : []),
  [85, Float32Array],
  [86, Float64Array],
]);

/** The same by name. */
export const TYPED_ARRAY_TAGS: ReadonlyMap<string, number> = new Map(
  [...TYPED_ARRAYS].map(([tag, { name }]) => [name, tag]),
);

/** The classes of views by name, `DataView` among them. */
export const VIEWS: ReadonlyMap<string, TypedArrayClass> = new Map<string, TypedArrayClass>([
  ...[...TYPED_ARRAYS.values()].map((made): [string, TypedArrayClass] => [made.name, made]),
  ["DataView", DataView as unknown as TypedArrayClass],
]);

/** The date of so many seconds since 1970, as tag 1 has it; `undefined` if that is out of range. */
export function dateOfSeconds(seconds: number): Date | undefined {
  const time = Math.round(seconds * 1000);
  return Math.abs(time) <= 8.64e15 || Number.isNaN(time) ? new Date(time) : undefined;
}

/** Bytes of the head of an item with such a number. */
export function headSize(n: number): number {
  return n < 24 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : n < 0x1_0000_0000 ? 5 : 9;
}
