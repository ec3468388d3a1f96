// Numbers and booleans.
import { at, type Layout, PodLayout, show } from "./layout.ts";
import type { LiveSlot } from "./live_slot.ts";

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

type ArrayConstructor<A> = new (buffer: ArrayBuffer, offset: number, length: number) => A;

abstract class Scalar<T extends number | bigint, A extends NumericArray> extends PodLayout<T>
  implements ScalarLayout<T, A> {
  readonly #Array: ArrayConstructor<A>;

  constructor(name: string, size: number, Array: ArrayConstructor<A>) {
    super(size, size, name);
    this.#Array = Array;
  }

  arrayOn(buffer: ArrayBuffer, offset: number, length: number): A {
    return new this.#Array(buffer, offset, length);
  }

  override store(memory: DataView, offset: number, value: unknown, path: string): void {
    this.check(value, path);
    this.write(memory, offset, value as T);
  }

  override live(slot: LiveSlot): T {
    return this.read(slot.memory, slot.offset);
  }
}

/** Whether values of a layout have no parts, and so no views. */
export function isPrimitive(layout: Layout<unknown>): boolean {
  return layout instanceof Scalar || layout === bool;
}

/** Whether a layout is that of a number. */
export function isScalar(layout: Layout<unknown>): layout is ScalarLayout<number | bigint, NumericArray> {
  return layout instanceof Scalar;
}

function checkInteger(value: unknown, name: string, low: number, high: number, path: string): asserts value is number {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot write ${show(value)}${at(path)}: ${name} is a number`);
  }
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`Cannot write ${value}${at(path)}: ${name} is an integer from ${low} to ${high}`);
  }
}

function checkBigInteger(
  value: unknown,
  name: string,
  low: bigint,
  high: bigint,
  path: string,
): asserts value is bigint {
  if (typeof value !== "bigint") {
    throw new TypeError(`Cannot write ${show(value)}${at(path)}: ${name} is a bigint`);
  }
  if (value < low || value > high) {
    throw new RangeError(`Cannot write ${value}n${at(path)}: ${name} is an integer from ${low}n to ${high}n`);
  }
}

function checkFloat(value: unknown, name: string, path: string): asserts value is number {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot write ${show(value)}${at(path)}: ${name} is a number`);
  }
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
export const u8: ScalarLayout<number, Uint8Array<ArrayBuffer>> =
  new (class extends Scalar<number, Uint8Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkInteger(value, "u8", 0, 0xff, path);
    }
    override read(memory: DataView, offset: number): number {
      return memory.getUint8(offset);
    }
    override write(memory: DataView, offset: number, value: number): void {
      memory.setUint8(offset, value);
    }
  })("u8", 1, Uint8Array);

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
export const i8: ScalarLayout<number, Int8Array<ArrayBuffer>> =
  new (class extends Scalar<number, Int8Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkInteger(value, "i8", -0x80, 0x7f, path);
    }
    override read(memory: DataView, offset: number): number {
      return memory.getInt8(offset);
    }
    override write(memory: DataView, offset: number, value: number): void {
      memory.setInt8(offset, value);
    }
  })("i8", 1, Int8Array);

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
export const u16: ScalarLayout<number, Uint16Array<ArrayBuffer>> =
  new (class extends Scalar<number, Uint16Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkInteger(value, "u16", 0, 0xffff, path);
    }
    override read(memory: DataView, offset: number): number {
      return memory.getUint16(offset, true);
    }
    override write(memory: DataView, offset: number, value: number): void {
      memory.setUint16(offset, value, true);
    }
  })("u16", 2, Uint16Array);

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
export const i16: ScalarLayout<number, Int16Array<ArrayBuffer>> =
  new (class extends Scalar<number, Int16Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkInteger(value, "i16", -0x8000, 0x7fff, path);
    }
    override read(memory: DataView, offset: number): number {
      return memory.getInt16(offset, true);
    }
    override write(memory: DataView, offset: number, value: number): void {
      memory.setInt16(offset, value, true);
    }
  })("i16", 2, Int16Array);

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
export const u32: ScalarLayout<number, Uint32Array<ArrayBuffer>> =
  new (class extends Scalar<number, Uint32Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkInteger(value, "u32", 0, 0xffff_ffff, path);
    }
    override read(memory: DataView, offset: number): number {
      return memory.getUint32(offset, true);
    }
    override write(memory: DataView, offset: number, value: number): void {
      memory.setUint32(offset, value, true);
    }
  })("u32", 4, Uint32Array);

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
export const i32: ScalarLayout<number, Int32Array<ArrayBuffer>> =
  new (class extends Scalar<number, Int32Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkInteger(value, "i32", -0x8000_0000, 0x7fff_ffff, path);
    }
    override read(memory: DataView, offset: number): number {
      return memory.getInt32(offset, true);
    }
    override write(memory: DataView, offset: number, value: number): void {
      memory.setInt32(offset, value, true);
    }
  })("i32", 4, Int32Array);

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
export const u64: ScalarLayout<bigint, BigUint64Array<ArrayBuffer>> =
  new (class extends Scalar<bigint, BigUint64Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkBigInteger(value, "u64", 0n, 0xffff_ffff_ffff_ffffn, path);
    }
    override read(memory: DataView, offset: number): bigint {
      return memory.getBigUint64(offset, true);
    }
    override write(memory: DataView, offset: number, value: bigint): void {
      memory.setBigUint64(offset, value, true);
    }
  })("u64", 8, BigUint64Array);

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
export const i64: ScalarLayout<bigint, BigInt64Array<ArrayBuffer>> =
  new (class extends Scalar<bigint, BigInt64Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkBigInteger(value, "i64", -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn, path);
    }
    override read(memory: DataView, offset: number): bigint {
      return memory.getBigInt64(offset, true);
    }
    override write(memory: DataView, offset: number, value: bigint): void {
      memory.setBigInt64(offset, value, true);
    }
  })("i64", 8, BigInt64Array);

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
export const f32: ScalarLayout<number, Float32Array<ArrayBuffer>> =
  new (class extends Scalar<number, Float32Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkFloat(value, "f32", path);
    }
    override read(memory: DataView, offset: number): number {
      return memory.getFloat32(offset, true);
    }
    override write(memory: DataView, offset: number, value: number): void {
      memory.setFloat32(offset, value, true);
    }
  })("f32", 4, Float32Array);

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
export const f64: ScalarLayout<number, Float64Array<ArrayBuffer>> =
  new (class extends Scalar<number, Float64Array<ArrayBuffer>> {
    override check(value: unknown, path = ""): void {
      checkFloat(value, "f64", path);
    }
    override read(memory: DataView, offset: number): number {
      return memory.getFloat64(offset, true);
    }
    override write(memory: DataView, offset: number, value: number): void {
      memory.setFloat64(offset, value, true);
    }
  })("f64", 8, Float64Array);

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
  override live(slot: LiveSlot): boolean {
    return this.read(slot.memory, slot.offset);
  }
})(1, 1, "bool");
