// Arrays of a fixed length: of numbers, as typed arrays; of anything else, as arrays.
import { at, type Layout, PodLayout, podLayout, show, type Slot } from "./layout.ts";
import { isPrimitive, isScalar, type NumericArray, type ScalarLayout, u8 } from "./scalar.ts";

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

/** Stores the elements of an array-like, each looked at once. Returns nothing; names the element that does not fit. */
function storeElements(
  value: ArrayLike<unknown>,
  length: number,
  path: string,
  store: (index: number, item: unknown, path: string) => void,
): void {
  for (let i = 0; i < length; i++) {
    const item = value[i];
    store(i, item, `${path}[${i}]`);
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
    storeElements(value, this.#length, path, (_, item, path) => element.check(item, path));
  }

  override read(memory: DataView<ArrayBuffer>, offset: number): A {
    const start = memory.byteOffset + offset;
    return this.#element.arrayOn(memory.buffer.slice(start, start + this.size), 0, this.#length);
  }

  override write(memory: DataView<ArrayBuffer>, offset: number, value: A): void {
    // deno-lint-ignore no-explicit-any
    this.#element.arrayOn(memory.buffer, memory.byteOffset + offset, this.#length).set(value as any);
  }

  override store(memory: DataView<ArrayBuffer>, offset: number, value: unknown, path: string): void {
    checkLength(value, this.#length, this.description, path);
    const target = this.#element.arrayOn(memory.buffer, memory.byteOffset + offset, this.#length);
    // Of the same kind, so its elements fit.
    if (kindOf(value) === kindOf(target)) return target.set(value as never);
    const element: Layout<T> = this.#element;
    storeElements(value, this.#length, path, (i, item, path) => {
      element.check(item, path);
      target[i] = item as T;
    });
  }

  override live(slot: Slot): A {
    const window = slot.scope.window(slot);
    return this.#element.arrayOn(window.buffer, window.offset, this.#length);
  }
}

/** The kind of a typed array, as the engine knows it; `undefined` for anything else. */
const kindOf: (value: unknown) => string | undefined = (() => {
  const tag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)!.get!;
  return (value) => tag.call(value);
})();

/** What views of arrays inherit: arrays whose length is fixed. */
class FixedArray extends Array<unknown> {
  static {
    const refuse = (name: string) =>
      function (this: unknown[]): never {
        throw new TypeError(`Cannot ${name} an array of ${this.length} in shared memory: its length is fixed`);
      };
    const methods = {
      // To everybody who asks, it is an array.
      constructor: Array,
      push: refuse("push to"),
      pop: refuse("pop from"),
      shift: refuse("shift"),
      unshift: refuse("unshift to"),
      splice(this: unknown[], start: number, count?: number, ...items: unknown[]): unknown[] {
        const { length } = this;
        const from = Math.trunc(Number(start)) || 0;
        const first = from < 0 ? Math.max(0, length + from) : Math.min(from, length);
        const given = arguments.length < 2 ? length - first : Math.trunc(Number(count)) || 0;
        const removed = arguments.length === 0 ? 0 : Math.min(Math.max(given, 0), length - first);
        if (removed !== items.length) {
          throw new TypeError(
            `Cannot splice ${items.length} elements in the place of ${removed} into an array of ${length}: ` +
              "its length is fixed",
          );
        }
        const before = Array.from({ length: removed }, (_, i) => this[first + i]);
        for (const [i, item] of items.entries()) this[first + i] = item;
        return before;
      },
      // The elements are not where the engine looks for those of an array.
      [Symbol.for("Deno.customInspect")](this: unknown[], inspect: (value: unknown, options?: unknown) => string) {
        return inspect([...this]);
      },
    };
    for (const key of Reflect.ownKeys(methods)) {
      const value = methods[key as keyof typeof methods];
      Object.defineProperty(FixedArray.prototype, key, { value, configurable: true, writable: true });
    }
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
    storeElements(value, this.#length, path, (_, item, path) => this.#element.check(item, path));
  }

  override read(memory: DataView, offset: number): E[] {
    return Array.from({ length: this.#length }, (_, i) => this.#element.read(memory, offset + i * this.#element.size));
  }

  override write(memory: DataView, offset: number, value: E[]): void {
    for (let i = 0; i < this.#length; i++) this.#element.write(memory, offset + i * this.#element.size, value[i]!);
  }

  override store(memory: DataView<ArrayBuffer>, offset: number, value: unknown, path: string): void {
    checkLength(value, this.#length, this.description, path);
    const element = this.#element;
    storeElements(value, this.#length, path, (i, item, path) => {
      element.store(memory, offset + i * element.size, item, path);
    });
  }

  override live(slot: Slot): E[] {
    const element: PodLayout<unknown> = this.#element, length = this.#length, primitive = isPrimitive(element);
    const get = (index: number): unknown => {
      if (!primitive) return slot.part(element, index * element.size);
      slot.scope.mustLive();
      return element.read(slot.memory, slot.offset + index * element.size);
    };
    const set = (index: number, value: unknown): void => {
      if (!primitive) return slot.replace(element, index * element.size, value, `[${index}]`);
      slot.scope.mustLive();
      element.check(value, `[${index}]`);
      element.write(slot.memory, slot.offset + index * element.size, value);
    };
    return fixedArray(length, get, set) as E[];
  }
}

/** An array whose elements lie elsewhere. An accessor for each place would cost its length each time; this is one object. */
function fixedArray(
  length: number,
  get: (index: number) => unknown,
  set: (index: number, value: unknown) => void,
): unknown[] {
  const indexOf = (key: string | symbol): number => {
    if (typeof key !== "string") return -1;
    const index = Number(key);
    return index >= 0 && index < length && String(index) === key ? index : -1;
  };
  const fixed = (what: string, key: string | symbol) =>
    new TypeError(`Cannot ${what} ${show(String(key))} of an array of ${length}: its length is fixed`);
  return new Proxy<unknown[]>(new FixedArray(), {
    get(target, key, receiver) {
      if (key === "length") return length;
      const index = indexOf(key);
      return index < 0 ? Reflect.get(target, key, receiver) : get(index);
    },
    set(_target, key, value) {
      const index = indexOf(key);
      if (index >= 0) set(index, value);
      else if (key !== "length" || value !== length) throw fixed("set", key);
      return true;
    },
    has: (target, key) => indexOf(key) >= 0 || Reflect.has(target, key),
    deleteProperty(_target, key) {
      throw fixed("delete", key);
    },
    defineProperty(_target, key) {
      throw fixed("define", key);
    },
    preventExtensions(_target) {
      throw new TypeError(`Cannot freeze an array of ${length} in shared memory: copy it first, as by Array.from()`);
    },
    ownKeys: () => [...Array.from({ length }, (_, i) => String(i)), "length"],
    getOwnPropertyDescriptor(_target, key) {
      if (key === "length") return { value: length, writable: true, enumerable: false, configurable: false };
      const index = indexOf(key);
      if (index < 0) return undefined;
      return { value: get(index), writable: true, enumerable: true, configurable: true };
    },
  });
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
export function bytes(length: number): Layout<Uint8Array<ArrayBuffer>> {
  return array(u8, length);
}
