// Arrays of a fixed length: of numbers, as typed arrays; of anything else, as arrays.
import { at, type Layout, PodLayout, podLayout, show } from "./layout.ts";
import { isScalar, type NumericArray, type ScalarLayout, u8 } from "./layout_scalar.ts";
import type { LiveScope } from "./live_scope.ts";

function checkLength(
  value: unknown,
  length: number,
  description: string,
  path: string,
): asserts value is ArrayLike<unknown> {
  const found = (value as ArrayLike<unknown> | null | undefined)?.length;
  if (typeof value !== "object" || typeof found !== "number") {
    throw new TypeError(`Cannot write ${show(value)}${at(path)}: ${description} is an array`);
  }
  if (found !== length) {
    throw new RangeError(`Cannot write ${found} elements${at(path)}: ${description} has exactly ${length}`);
  }
}

class NumberArray<T extends number | bigint, A extends NumericArray> extends PodLayout<A> {
  readonly #element: ScalarLayout<T, A>;
  readonly #length: number;

  constructor(element: ScalarLayout<T, A>, length: number) {
    super(element.size * length, element.alignment, `[${length}]${element.description}`);
    this.#element = element;
    this.#length = length;
  }

  override check(value: unknown, path = ""): void {
    checkLength(value, this.#length, this.description, path);
    const element: Layout<T> = this.#element;
    for (let i = 0; i < this.#length; i++) element.check(value[i], `${path}[${i}]`);
  }

  override read(memory: DataView<ArrayBuffer>, offset: number): A {
    const start = memory.byteOffset + offset;
    return this.#element.arrayOn(memory.buffer.slice(start, start + this.size), 0, this.#length);
  }

  override write(memory: DataView<ArrayBuffer>, offset: number, value: A): void {
    // deno-lint-ignore no-explicit-any
    this.#element.arrayOn(memory.buffer, memory.byteOffset + offset, this.#length).set(value as any);
  }

  override live(scope: LiveScope, offset: number): A {
    const window = scope.window(offset);
    return this.#element.arrayOn(window.buffer, window.offset, this.#length);
  }
}

class ElementArray<E> extends PodLayout<E[]> {
  readonly #element: PodLayout<E>;
  readonly #length: number;

  constructor(element: PodLayout<E>, length: number) {
    super(element.size * length, element.alignment, `[${length}]${element.description}`);
    this.#element = element;
    this.#length = length;
  }

  override check(value: unknown, path = ""): void {
    checkLength(value, this.#length, this.description, path);
    const element: Layout<E> = this.#element;
    for (let i = 0; i < this.#length; i++) element.check(value[i], `${path}[${i}]`);
  }

  override read(memory: DataView, offset: number): E[] {
    return Array.from({ length: this.#length }, (_, i) => this.#element.read(memory, offset + i * this.#element.size));
  }

  override write(memory: DataView, offset: number, value: E[]): void {
    for (let i = 0; i < this.#length; i++) this.#element.write(memory, offset + i * this.#element.size, value[i]!);
  }

  override live(scope: LiveScope, offset: number): E[] {
    const element = this.#element, length = this.#length;
    // A real array with an accessor for each place would cost its length each time; this costs one object.
    const indexOf = (key: string | symbol): number | undefined => {
      if (typeof key !== "string") return undefined;
      const index = Number(key);
      return Number.isInteger(index) && index >= 0 && index < length && String(index) === key ? index : undefined;
    };
    return new Proxy<E[]>(new Array(length), {
      get(target, key, receiver) {
        const index = indexOf(key);
        if (index !== undefined) scope.mustLive();
        return index === undefined
          ? Reflect.get(target, key, receiver)
          : element.live(scope, offset + index * element.size);
      },
      set(_target, key, value) {
        const index = indexOf(key);
        if (index === undefined) {
          throw new TypeError(`Cannot set ${show(String(key))} of an array of ${length}: its length is fixed`);
        }
        element.check(value, `[${index}]`);
        element.write(scope.view, offset + index * element.size, value);
        return true;
      },
      has: (target, key) => indexOf(key) !== undefined || Reflect.has(target, key),
      deleteProperty(_target, key) {
        throw new TypeError(`Cannot delete ${show(String(key))} of an array of ${length}: its length is fixed`);
      },
      ownKeys: () => [...Array.from({ length }, (_, i) => String(i)), "length"],
      getOwnPropertyDescriptor(target, key) {
        const index = indexOf(key);
        if (index === undefined) return Reflect.getOwnPropertyDescriptor(target, key);
        return {
          value: element.live(scope, offset + index * element.size),
          writable: true,
          enumerable: true,
          configurable: true,
        };
      },
    });
  }
}

/**
 * An array of a fixed length, C's `E[length]`. Of numbers, it is the typed array itself; of anything else, an array.
 *
 * @param element The layout of one element.
 * @param length Elements, from 1.
 * @returns The layout of the array.
 * @throws {RangeError} If the length is not an integer from 1.
 *
 * @example Numbers, and structs
 * ```ts
 * import { array, bool, f32, struct } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const samples = array(f32, 1000);
 * const lamps = array(struct({ on: bool, level: f32 }), 3);
 * assertEquals([samples.size, lamps.size], [4000, 24]);
 * ```
 */
export function array<T extends number | bigint, A extends NumericArray>(
  element: ScalarLayout<T, A>,
  length: number,
): Layout<A>;
/**
 * An array of a fixed length of anything but numbers.
 *
 * @param element The layout of one element.
 * @param length Elements, from 1.
 * @returns The layout of the array.
 */
export function array<E>(element: Layout<E>, length: number): Layout<E[]>;
export function array(element: Layout<unknown>, length: number): Layout<unknown> {
  if (!Number.isInteger(length) || length < 1) {
    throw new RangeError(`Cannot lay out an array of ${String(length)} elements: the length is an integer from 1`);
  }
  if (isScalar(element)) return new NumberArray(element, length);
  return new ElementArray(podLayout(element, "the layout of an array's elements"), length);
}

/**
 * A byte string of a fixed length, C's `uint8_t[length]`.
 *
 * @param length How many bytes, from 1.
 * @returns The layout.
 * @throws {RangeError} If the length is not an integer from 1.
 *
 * @example A digest
 * ```ts
 * import { bytes } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(bytes(32).size, 32);
 * ```
 */
export function bytes(length: number): Layout<Uint8Array> {
  return array(u8, length);
}
