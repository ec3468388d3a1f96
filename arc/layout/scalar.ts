// Numbers and booleans.
import { at, type Layout, PodLayout, show, type Slot } from "./layout.ts";

/**
 * A typed array of any kind that a scalar can have.
 *
 * @example What an array of numbers is in a guard
 * ```ts
 * import { array, f64, IpcArc, type NumericArray } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const clear = (numbers: NumericArray) => void new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength).fill(0);
 *
 * const layout = array(f64, 3);
 * using samples = IpcArc.create(`samples-${crypto.randomUUID()}`, new Float64Array([1, 2, 3]), { layout });
 * {
 *   using guard = await samples.acquire();
 *   clear(guard.value);
 * }
 * assertEquals(samples.read(), new Float64Array(3));
 * ```
 */
export type NumericArray =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;

/**
 * The layout of a number. An array of it is a typed array.
 *
 * @typeParam T `number` or `bigint`.
 * @typeParam A The typed array.
 *
 * @example A function for every kind of number
 * ```ts
 * import { f32, type NumericArray, type ScalarLayout, u64 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * function bytesOf<T extends number | bigint, A extends NumericArray>(layout: ScalarLayout<T, A>, count: number): number {
 *   return layout.arrayOn(new ArrayBuffer(count * layout.size), 0, count).byteLength;
 * }
 * assertEquals([bytesOf(f32, 3), bytesOf(u64, 3)], [12, 24]);
 * ```
 */
export interface ScalarLayout<T extends number | bigint, A extends NumericArray> extends Layout<T> {
  /**
   * A typed array of such numbers.
   *
   * @param buffer The memory.
   * @param offset Where it begins, in bytes, a multiple of `size`.
   * @param length How many numbers.
   * @returns A view, no copy.
   */
  arrayOn(buffer: ArrayBuffer, offset: number, length: number): A;
}

/** What tells one kind of number from the others. */
interface Kind<T extends number | bigint, A extends NumericArray> {
  readonly name: string;
  readonly Array: (new (buffer: ArrayBuffer, offset: number, length: number) => A) & {
    readonly BYTES_PER_ELEMENT: number;
  };
  readonly check: (value: unknown, path?: string) => void;
  readonly read: (memory: DataView, offset: number) => T;
  readonly write: (memory: DataView, offset: number, value: T) => void;
}

/** The layout of a number. */
class Scalar<T extends number | bigint, A extends NumericArray> extends PodLayout<T> implements ScalarLayout<T, A> {
  // The functions of the kind itself: a call of them is compiled into the accessor of a field, as long as each is set once.
  // A field that is not only declared is set to undefined first.
  declare readonly check: Kind<T, A>["check"];
  declare readonly read: Kind<T, A>["read"];
  declare readonly write: Kind<T, A>["write"];
  readonly #Array: Kind<T, A>["Array"];

  constructor({ name, Array, check, read, write }: Kind<T, A>) {
    super(Array.BYTES_PER_ELEMENT, Array.BYTES_PER_ELEMENT, name);
    this.check = check;
    this.read = read;
    this.write = write;
    this.#Array = Array;
  }

  override store(memory: DataView, offset: number, value: unknown, path: string): void {
    this.check(value, path);
    this.write(memory, offset, value as T);
  }

  override live(slot: Slot): T {
    return this.read(slot.memory, slot.offset);
  }

  arrayOn(buffer: ArrayBuffer, offset: number, length: number): A {
    return new this.#Array(buffer, offset, length);
  }
}

/** Takes the integers from the lowest to the highest. */
function integers(name: string, low: number, high: number): Kind<number, NumericArray>["check"] {
  return (value, path = "") => {
    if (typeof value !== "number") throw new TypeError(`Cannot write ${show(value)}${at(path)}: ${name} is a number`);
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new RangeError(`Cannot write ${value}${at(path)}: ${name} is an integer from ${low} to ${high}`);
    }
  };
}

/** The same for bigints. */
function bigIntegers(name: string, low: bigint, high: bigint): Kind<bigint, NumericArray>["check"] {
  return (value, path = "") => {
    if (typeof value !== "bigint") throw new TypeError(`Cannot write ${show(value)}${at(path)}: ${name} is a bigint`);
    if (value < low || value > high) {
      throw new RangeError(`Cannot write ${value}n${at(path)}: ${name} is an integer from ${low}n to ${high}n`);
    }
  };
}

/** Takes any number. */
function numbers(name: string): Kind<number, NumericArray>["check"] {
  return (value, path = "") => {
    if (typeof value !== "number") throw new TypeError(`Cannot write ${show(value)}${at(path)}: ${name} is a number`);
  };
}

/** Whether values of a layout have no parts, and so no views. */
export function isPrimitive(layout: Layout<unknown>): boolean {
  return layout instanceof Scalar || layout === bool;
}

/** Whether a layout is that of a number. */
export function isScalar(layout: Layout<unknown>): layout is ScalarLayout<number | bigint, NumericArray> {
  return layout instanceof Scalar;
}

/**
 * An unsigned 8-bit integer, C's `uint8_t`.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, u8 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`u8-${crypto.randomUUID()}`, 200, { layout: u8 });
 * assertEquals([arc.read(), u8.size], [200, 1]);
 * ```
 */
export const u8: ScalarLayout<number, Uint8Array<ArrayBuffer>> = new Scalar({
  name: "u8",
  Array: Uint8Array,
  check: integers("u8", 0, 0xff),
  read: (memory, offset) => memory.getUint8(offset),
  write: (memory, offset, value) => memory.setUint8(offset, value),
});

/**
 * A signed 8-bit integer, C's `int8_t`.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, i8 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`i8-${crypto.randomUUID()}`, -100, { layout: i8 });
 * assertEquals([arc.read(), i8.size], [-100, 1]);
 * ```
 */
export const i8: ScalarLayout<number, Int8Array<ArrayBuffer>> = new Scalar({
  name: "i8",
  Array: Int8Array,
  check: integers("i8", -0x80, 0x7f),
  read: (memory, offset) => memory.getInt8(offset),
  write: (memory, offset, value) => memory.setInt8(offset, value),
});

/**
 * An unsigned 16-bit integer, C's `uint16_t`.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, u16 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`u16-${crypto.randomUUID()}`, 65535, { layout: u16 });
 * assertEquals([arc.read(), u16.size], [65535, 2]);
 * ```
 */
export const u16: ScalarLayout<number, Uint16Array<ArrayBuffer>> = new Scalar({
  name: "u16",
  Array: Uint16Array,
  check: integers("u16", 0, 0xffff),
  read: (memory, offset) => memory.getUint16(offset, true),
  write: (memory, offset, value) => memory.setUint16(offset, value, true),
});

/**
 * A signed 16-bit integer, C's `int16_t`.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, i16 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`i16-${crypto.randomUUID()}`, -1, { layout: i16 });
 * assertEquals([arc.read(), i16.size], [-1, 2]);
 * ```
 */
export const i16: ScalarLayout<number, Int16Array<ArrayBuffer>> = new Scalar({
  name: "i16",
  Array: Int16Array,
  check: integers("i16", -0x8000, 0x7fff),
  read: (memory, offset) => memory.getInt16(offset, true),
  write: (memory, offset, value) => memory.setInt16(offset, value, true),
});

/**
 * An unsigned 32-bit integer, C's `uint32_t`. Has atomic operations, see {@linkcode AtomicCell}.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, u32 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`u32-${crypto.randomUUID()}`, 4294967295, { layout: u32 });
 * assertEquals([arc.read(), u32.size], [4294967295, 4]);
 * ```
 */
export const u32: ScalarLayout<number, Uint32Array<ArrayBuffer>> = new Scalar({
  name: "u32",
  Array: Uint32Array,
  check: integers("u32", 0, 0xffff_ffff),
  read: (memory, offset) => memory.getUint32(offset, true),
  write: (memory, offset, value) => memory.setUint32(offset, value, true),
});

/**
 * A signed 32-bit integer, C's `int32_t`. Has atomic operations, see {@linkcode AtomicCell}.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, i32 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`i32-${crypto.randomUUID()}`, -1, { layout: i32 });
 * assertEquals([arc.read(), i32.size], [-1, 4]);
 * ```
 */
export const i32: ScalarLayout<number, Int32Array<ArrayBuffer>> = new Scalar({
  name: "i32",
  Array: Int32Array,
  check: integers("i32", -0x8000_0000, 0x7fff_ffff),
  read: (memory, offset) => memory.getInt32(offset, true),
  write: (memory, offset, value) => memory.setInt32(offset, value, true),
});

/**
 * An unsigned 64-bit integer, C's `uint64_t`, as a bigint. Has atomic operations, see {@linkcode AtomicCell}.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, u64 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`u64-${crypto.randomUUID()}`, 1n << 63n, { layout: u64 });
 * assertEquals([arc.read(), u64.size], [1n << 63n, 8]);
 * ```
 */
export const u64: ScalarLayout<bigint, BigUint64Array<ArrayBuffer>> = new Scalar({
  name: "u64",
  Array: BigUint64Array,
  check: bigIntegers("u64", 0n, 0xffff_ffff_ffff_ffffn),
  read: (memory, offset) => memory.getBigUint64(offset, true),
  write: (memory, offset, value) => memory.setBigUint64(offset, value, true),
});

/**
 * A signed 64-bit integer, C's `int64_t`, as a bigint. Has atomic operations, see {@linkcode AtomicCell}.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, i64 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`i64-${crypto.randomUUID()}`, -1n, { layout: i64 });
 * assertEquals([arc.read(), i64.size], [-1n, 8]);
 * ```
 */
export const i64: ScalarLayout<bigint, BigInt64Array<ArrayBuffer>> = new Scalar({
  name: "i64",
  Array: BigInt64Array,
  check: bigIntegers("i64", -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn),
  read: (memory, offset) => memory.getBigInt64(offset, true),
  write: (memory, offset, value) => memory.setBigInt64(offset, value, true),
});

/**
 * A single-precision number, C's `float`.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, f32 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`f32-${crypto.randomUUID()}`, 0.5, { layout: f32 });
 * assertEquals([arc.read(), f32.size], [0.5, 4]);
 * ```
 */
export const f32: ScalarLayout<number, Float32Array<ArrayBuffer>> = new Scalar({
  name: "f32",
  Array: Float32Array,
  check: numbers("f32"),
  read: (memory, offset) => memory.getFloat32(offset, true),
  write: (memory, offset, value) => memory.setFloat32(offset, value, true),
});

/**
 * A double-precision number, C's `double`.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, f64 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`f64-${crypto.randomUUID()}`, 0.1, { layout: f64 });
 * assertEquals([arc.read(), f64.size], [0.1, 8]);
 * ```
 */
export const f64: ScalarLayout<number, Float64Array<ArrayBuffer>> = new Scalar({
  name: "f64",
  Array: Float64Array,
  check: numbers("f64"),
  read: (memory, offset) => memory.getFloat64(offset, true),
  write: (memory, offset, value) => memory.setFloat64(offset, value, true),
});

/**
 * A truth value in one byte, C's `bool`.
 *
 * @example In a cell of its own
 * ```ts
 * import { IpcArc, bool } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using arc = IpcArc.create(`bool-${crypto.randomUUID()}`, true, { layout: bool });
 * assertEquals([arc.read(), bool.size], [true, 1]);
 * ```
 */
export const bool: Layout<boolean> = new (class extends PodLayout<boolean> {
  override check(value: unknown, path = ""): void {
    if (typeof value !== "boolean") throw new TypeError(`Cannot write ${show(value)}${at(path)}: bool is a boolean`);
  }
  override read(memory: DataView, offset: number): boolean {
    return memory.getUint8(offset) !== 0;
  }
  override write(memory: DataView, offset: number, value: boolean): void {
    memory.setUint8(offset, value ? 1 : 0);
  }
  override store(memory: DataView, offset: number, value: unknown, path: string): void {
    this.check(value, path);
    this.write(memory, offset, value as boolean);
  }
  override live(slot: Slot): boolean {
    return this.read(slot.memory, slot.offset);
  }
})(1, 1, "bool");
