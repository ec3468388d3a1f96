// Values of every kind that structuredClone() takes, made by choices: with shared references, cycles, holes, keys that mean something to
// the language, and text that is no UTF-8.
import type { Choices } from "./choices.ts";

// deno-lint-ignore no-explicit-any -- values of any shape
type Anything = any;

const NUMBERS = [
  ...[0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e300],
  ...[-1, -24, -25, -256, -257, -65_537, -(2 ** 31), -(2 ** 32), -(2 ** 32) - 1, -(2 ** 53) + 1, -(2 ** 53), -1e300],
  ...[-0, NaN, Infinity, -Infinity, 0.1, 0.5, -1.5, Number.MIN_VALUE, 1.1e-310, Math.PI],
];

const BIG_INTEGERS = [
  ...[0n, 1n, -1n, 255n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, -(2n ** 53n), -(2n ** 53n) + 1n, -(2n ** 53n) - 1n],
  ...[2n ** 63n, 2n ** 64n - 1n, 2n ** 64n, -(2n ** 64n), -(2n ** 64n) - 1n, 7n ** 200n, -(7n ** 201n)],
];

const TEXTS = [
  ...["", "a", "key", "ü", "日本語", "👍🏽", "\0", "\u007f\u0080\u07ff\u0800\uffff", "\ufeff", "\ufeffbom", "\ufffd"],
  ...["\ud83d", "\ude00", "a\ud800", "\udc00\ud800", "\ud800\ud800\udc00", "ü\udfff日"],
  ...[
    "__proto__",
    "constructor",
    "then",
    "toJSON",
    "length",
    "0",
    "1",
    "4294967294",
    "4294967295",
    "-1",
    "01",
    "isthmus",
  ],
  ...["x".repeat(23), "x".repeat(24), "y".repeat(25), "z".repeat(63), "ä".repeat(32), "x".repeat(64), "x".repeat(255)],
  ...["x".repeat(256), "ß".repeat(128), "\ufeff" + "x".repeat(70), "\ud800" + "é".repeat(90), "x".repeat(5000)],
  ...["ü".repeat(2050), "x".repeat(4095) + "é", "日".repeat(22_000)],
];

const TIMES = [
  ...[0, 1, -1, 999, 1000, 1.7e12, 1_700_000_000_123, -62_135_596_800_000, 4.4e15, 8.64e15, -8.64e15, NaN],
  ...[8_639_999_999_999_999, -8_639_999_999_999_999, 4_503_599_627_370_497],
];

const SIZES = [0, 1, 2, 3, 7, 23, 24, 47, 49, 100, 255, 256, 1023, 1024, 1025, 5000];

const VIEWS = [
  ...[Uint8Array, DataView, Int8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array],
  ...[BigInt64Array, BigUint64Array, Float16Array, Float32Array, Float64Array],
] as unknown as {
  new (buffer: ArrayBuffer, at?: number, length?: number): ArrayBufferView;
  BYTES_PER_ELEMENT?: number;
}[];

const ERRORS = [Error, TypeError, RangeError, SyntaxError, EvalError, ReferenceError, URIError];

class Point {
  constructor(public x: unknown, public y: unknown) {}
  get inherited(): never {
    throw new Error("What is inherited is not asked for");
  }
}
class OwnError extends TypeError {
  override name = "OwnError";
}
class OwnMap extends Map<unknown, unknown> {}

function nest(kind: number, inner: unknown, level: number): object {
  switch (kind) {
    case 0:
      return [inner];
    case 1:
      return { a: inner };
    case 2:
      return new Map([[level, inner]]);
    case 3:
      return new Set([level, inner]);
    case 4:
      return new Map([[inner, level]]);
    case 5:
      return Object.fromEntries([["first", inner], ...Array.from({ length: 30 }, (_, i) => [`key ${i}`, i])]);
    case 6: {
      const error = new TypeError("e", { cause: inner });
      error.stack = "here";
      return error;
    }
    default: {
      const array: unknown[] = [];
      array[2] = inner;
      return array;
    }
  }
}

/** Decides a value. */
export class ValueMaker {
  readonly #choices: Choices;
  /** Objects that can be referred to again, the ones that are not complete as well. */
  readonly #made: object[] = [];
  #left: number;

  /** @param size Most values within one another and beside one another. */
  constructor(choices: Choices, size = 40) {
    this.#choices = choices;
    this.#left = size;
  }

  /** The next value, some hundred levels deep within others. */
  deepValue(): unknown {
    const made: object[] = this.#made;
    let value = this.value();
    for (let i = 250 + 60 * this.#choices.below(4), kind = this.#choices.below(9); i > 0; i--) {
      // One kind again and again, or all of them in turn.
      const around = nest(kind < 8 ? kind : i % 8, value, i);
      if (i % 50 === 0) made.push(around);
      if (i % 40 === 0) value = [around, this.value()];
      else value = around;
    }
    return value;
  }

  /** The next value. */
  value(): unknown {
    const { below } = { below: (n: number) => this.#choices.below(n) };
    if (--this.#left <= 0) return this.#choices.of(NUMBERS);
    switch (below(26)) {
      case 0:
      case 1:
        return this.#choices.of(NUMBERS);
      case 2:
      case 3:
        return this.#choices.of(TEXTS);
      case 4:
        return this.#choices.of([null, undefined, true, false]);
      case 5:
        return below(2) === 0
          ? below(2 ** 30) * (below(2) === 0 ? 1 : -1)
          : (below(2 ** 30) - 2 ** 29) * 2 ** below(24);
      case 6:
        return this.#choices.of(BIG_INTEGERS);
      case 7:
      case 8:
      case 9:
        return this.#object();
      case 10:
      case 11:
        return this.#array();
      case 12:
        return this.#map();
      case 13:
        return this.#set();
      case 14:
        return this.#keep(new Uint8Array(this.#bytes()));
      case 15:
        return this.#keep(new Date(this.#choices.of(TIMES)));
      case 16:
        return this.#keep(
          this.#choices.of([
            /a/,
            /(?<x>[^/]+)\/"'\n/dgimsuy,
            new RegExp(""),
            new RegExp("[\\p{L}--[a-z]]", "v"),
            /\ud83d/,
            /ü/giy,
          ]),
        );
      case 17:
        return this.#keep(
          Object(this.#choices.of<unknown>([1, -0, NaN, "", "\ud83d", "text", true, false, 0n, -(2n ** 70n)])),
        );
      case 18:
        return this.#error();
      case 19:
        return this.#view();
      case 20:
        return below(2) === 0 ? this.#keep(this.#bytes()) : this.#resizable();
      case 21:
        return this.#keep(
          new DOMException(this.#choices.of(TEXTS), this.#choices.of(["", "AbortError", "DataCloneError", "Other"])),
        );
      case 22:
        return this.#table();
      default:
        return this.#made.length > 0 ? this.#choices.of(this.#made) : null;
    }
  }

  #keep<T extends object>(object: T): T {
    this.#made.push(object);
    return object;
  }

  #count(): number {
    return this.#choices.of([0, 1, 2, 3, 4, 5, 9]);
  }

  #key(): string {
    return this.#choices.below(3) === 0 ? this.#choices.of(["a", "b", "c", "id", "name"]) : this.#choices.of(TEXTS);
  }

  #object(): object {
    const kind = this.#choices.below(6);
    const object: Anything = this.#keep(
      kind === 5 ? Object.create(null) : kind === 4 ? new Point(1, undefined) : {},
    );
    for (let i = this.#count(); i > 0; i--) {
      const key = this.#key();
      const value = this.value();
      if (kind === 3 && key !== "__proto__" && this.#choices.below(3) === 0) {
        Object.defineProperty(object, key, { get: () => value, enumerable: true, configurable: true });
      } else {
        Object.defineProperty(object, key, {
          value,
          enumerable: this.#choices.below(20) !== 19,
          configurable: true,
          writable: true,
        });
      }
    }
    if (this.#choices.below(20) === 19) object[Symbol("left out")] = () => {};
    return object;
  }

  /** An object of many properties. */
  #table(): object {
    const object: Anything = this.#keep({});
    const count = this.#choices.of([8, 9, 23, 24, 25, 32, 33, 70, 256, 300]);
    const prefix = this.#choices.of(["k", "a longer name of the property number ", "", "ü"]);
    for (let i = 0; i < count; i++) object[prefix + i] = i % 16 === 3 ? this.value() : i;
    return object;
  }

  #array(): object {
    const array: Anything = this.#keep([]);
    const kind = this.#choices.below(5);
    for (let i = this.#count(); i > 0; i--) array.push(this.value());
    if (kind === 3) array.length += this.#choices.of([1, 3, 100, 2_000_000, 4_000_000_000]);
    if (kind === 3 && this.#choices.below(2) === 0) delete array[0];
    if (kind === 4) {
      for (let i = this.#count(); i > 0; i--) {
        const key = this.#key();
        if (key !== "length") {
          Object.defineProperty(array, key, {
            value: this.value(),
            enumerable: true,
            configurable: true,
            writable: true,
          });
        }
      }
    }
    if (kind === 2 && this.#choices.below(3) === 0) {
      for (let i = this.#choices.of([24, 256, 300]); i > 0; i--) array.push(i);
    }
    return array;
  }

  #map(): object {
    const map = this.#keep(this.#choices.below(6) === 5 ? new OwnMap() : new Map<unknown, unknown>());
    for (let i = this.#count(); i > 0; i--) map.set(this.value(), this.value());
    return map;
  }

  #set(): object {
    const set = this.#keep(new Set<unknown>());
    for (let i = this.#count(); i > 0; i--) set.add(this.value());
    return set;
  }

  #bytes(): ArrayBuffer {
    const bytes = new Uint8Array(this.#choices.of(SIZES)), first = this.#choices.below(256);
    for (let i = 0; i < bytes.length; i++) bytes[i] = first + i;
    return bytes.buffer;
  }

  #view(): object {
    const made = this.#choices.of(VIEWS), size = made.BYTES_PER_ELEMENT ?? 1;
    const length = this.#choices.of(SIZES), before = this.#choices.below(3) * size;
    const buffer = new ArrayBuffer(before + length * size + this.#choices.below(3));
    new Uint8Array(buffer).forEach((_, i, bytes) => bytes[i] = i);
    return this.#keep(new made(buffer, before, length));
  }

  #resizable(): object {
    const length = 8 * this.#choices.below(9);
    const buffer = this.#keep(new ArrayBuffer(length, { maxByteLength: length + this.#choices.of([0, 8, 100, 4096]) }));
    new Uint8Array(buffer).forEach((_, i, bytes) => bytes[i] = i);
    const made = this.#choices.of(VIEWS), at = length >= 16 && this.#choices.below(2) === 1 ? 8 : 0;
    switch (this.#choices.below(3)) {
      case 0:
        return buffer;
      case 1:
        return this.#keep(new made(buffer, at));
      default:
        return this.#keep(new made(buffer, at, (length - at) / 2 / (made.BYTES_PER_ELEMENT ?? 1) | 0));
    }
  }

  #error(): object {
    const message = this.#choices.of(TEXTS);
    const made: Anything = this.#keep(
      this.#choices.below(5) === 4 ? new OwnError(message) : new (this.#choices.of(ERRORS))(message),
    );
    switch (this.#choices.below(6)) {
      case 1:
        Object.defineProperty(made, "cause", { value: this.value(), configurable: true, writable: true });
        break;
      case 2:
        made.extra = this.value();
        break;
      case 3:
        made.name = this.#choices.of(["RangeError", "Custom", "", "AggregateError"]);
        break;
      case 4:
        made.stack = this.#choices.of<unknown>(["", "no stack", undefined, 5, "\ud83d"]);
        break;
      case 5:
        delete made.message;
    }
    return made;
  }
}
