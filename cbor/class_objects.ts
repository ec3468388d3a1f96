// Objects of named classes as they stand inside tag 27, `[name, …]`: what each is made of, with a check of every part.
import type { KeyTime } from "./slow_keys.ts";
import { STANDARD_ERRORS, VIEWS } from "./kinds.ts";
import { reservable, tooCostly } from "./limits.ts";

/** An object that is being made of its parts. */
export interface Making {
  /** What can be referred to already. */
  readonly early?: unknown;
  /** Takes the part of number `at`, from 1. */
  add(part: unknown, at: number): void;
  /** The object. */
  end(): unknown;
}

/** What a message may still claim besides its own bytes. */
export interface Budget extends KeyTime {
  /** Bytes of address space that its resizable buffers reserve. */
  reserved: number;
}

/** Begins an object of a class; `undefined` for a name that this package does not write itself. */
export function makeOf(name: string, budget: Budget): Making | undefined {
  const error = STANDARD_ERRORS.get(name);
  if (error !== undefined) return new ErrorMaking(error);
  if (name === "Array") return new ArrayMaking();
  const of = Object.hasOwn(OF_PARTS, name) ? OF_PARTS[name]! : VIEWS.has(name) ? viewOf : undefined;
  return of === undefined ? undefined : ofParts(name, of, budget);
}

function wrong(name: string): never {
  throw new Error(`${name} made of the wrong parts`);
}

/** Makes an object of all its parts; returns `undefined` if they are wrong. */
type OfParts = (parts: unknown[], name: string, budget: Budget) => unknown;

/** What nothing can refer to before it is there. */
function ofParts(name: string, make: OfParts, budget: Budget): Making {
  const parts: unknown[] = [];
  return { add: (part) => void parts.push(part), end: () => make(parts, name, budget) ?? wrong(name) };
}

const OF_PARTS: Record<string, OfParts> = {
  Date: ([time, ...more]) =>
    typeof time === "number" && more.length === 0 && Math.abs(time) <= 8.64e15 && Number.isInteger(time)
      ? new Date(time)
      : undefined,
  Number: ([value, ...more]) => typeof value === "number" && more.length === 0 ? Object(value) : undefined,
  String: ([value, ...more]) => typeof value === "string" && more.length === 0 ? Object(value) : undefined,
  Boolean: ([value, ...more]) => typeof value === "boolean" && more.length === 0 ? Object(value) : undefined,
  BigInt: ([value, ...more]) => typeof value === "bigint" && more.length === 0 ? Object(value) : undefined,
  RegExp: ([source, flags, ...more]) => {
    if (typeof source !== "string" || typeof flags !== "string" || flags.length > 8 || more.length > 0) {
      return undefined;
    }
    const why = tooCostly(source, flags);
    if (why !== undefined) throw new Error(`a regular expression that is costly to read: ${why}`);
    return new RegExp(source, flags);
  },
  ArrayBuffer: ([bytes, reserved, ...more], _, budget) => {
    if (!(bytes instanceof Uint8Array) || more.length > 0) return undefined;
    if (reserved === undefined) return bytes.slice().buffer;
    if (typeof reserved !== "number" || !Number.isInteger(reserved) || reserved < bytes.length) return undefined;
    budget.reserved += reserved;
    if (budget.reserved > reservable(budget.length)) {
      throw new Error(`buffers that may grow to ${budget.reserved} bytes`);
    }
    const buffer = new ArrayBuffer(bytes.length, { maxByteLength: reserved });
    new Uint8Array(buffer).set(bytes);
    return buffer;
  },
  DOMException: ([message, name, details, ...more]) => {
    if (typeof message !== "string" || typeof name !== "string" || more.length > 0) return undefined;
    const exception = withoutStack(() => new DOMException(message, name));
    return setDetails(exception, details) ? exception : undefined;
  },
};

/** A view with the buffer that it lies in; a DataView also of the bytes alone. */
function viewOf([buffer, offset, length, ...more]: unknown[], name: string): unknown {
  const made = VIEWS.get(name)!;
  if (name === "DataView" && buffer instanceof Uint8Array && offset === undefined) {
    return new DataView(buffer.slice().buffer);
  }
  if (!(buffer instanceof ArrayBuffer) || typeof offset !== "number" || more.length > 0) return undefined;
  if (length !== undefined && typeof length !== "number") return undefined;
  try {
    return length === undefined ? new made(buffer, offset) : new made(buffer, offset, length);
  } catch {
    return undefined; // beyond the end, or not aligned
  }
}

/** Has the engine not write down where an error is made: that is nobody's business, and costs more than the rest. */
function withoutStack<T>(make: () => T): T {
  const { stackTraceLimit } = Error;
  try {
    Error.stackTraceLimit = 0;
  } catch {
    // frozen by the program
  }
  try {
    return make();
  } finally {
    try {
      Error.stackTraceLimit = stackTraceLimit;
    } catch {
      // as above
    }
  }
}

/** Sets the stack, and the cause if there is one; `false` if these are not the details of an error. */
function setDetails(error: Error | DOMException, details: unknown): boolean {
  if (typeof details !== "object" || details === null) return false;
  const stack = Object.hasOwn(details, "stack") ? (details as { stack: unknown }).stack : undefined;
  if (stack !== undefined && typeof stack !== "string") return false;
  if (error instanceof DOMException) setOwn(error, "stack", stack);
  else error.stack = stack as string; // undefined, if it had none that is text
  if (Object.hasOwn(details, "cause")) setOwn(error, "cause", (details as { cause: unknown }).cause);
  return true;
}

function setOwn(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
}

/** `[name, message or undefined, details]`. */
class ErrorMaking implements Making {
  early: Error | undefined;
  #details: unknown;
  #parts = 0;
  readonly #made: ErrorConstructor;
  constructor(made: ErrorConstructor) {
    this.#made = made;
  }
  add(part: unknown, at: number): void {
    this.#parts = at;
    if (at === 1) {
      if (part !== undefined && typeof part !== "string") wrong(this.#made.name);
      this.early = withoutStack(() => new this.#made(part));
    } else {
      this.#details = part;
    }
  }
  end(): Error {
    const { early } = this;
    if (early === undefined || this.#parts !== 2 || !setDetails(early, this.#details)) wrong(this.#made.name);
    return early;
  }
}

/** `[“Array”, length, {index or name: value}]`: an array with holes, or with properties besides. */
class ArrayMaking implements Making {
  early: unknown[] | undefined;
  #entries: unknown;
  #length = 0;
  #parts = 0;
  add(part: unknown, at: number): void {
    this.#parts = at;
    if (at === 1) {
      if (typeof part !== "number" || !Number.isInteger(part) || part < 0 || part > 0xffff_ffff) wrong("Array");
      this.#length = part;
      this.early = [];
    } else {
      this.#entries = part;
    }
  }
  end(): unknown[] {
    const { early } = this;
    if (early === undefined || this.#parts !== 2) wrong("Array");
    return fill(early, this.#length, this.#entries);
  }
}

function isIndex(key: string): boolean {
  const index = Number(key) >>> 0;
  return String(index) === key && index < 0xffff_ffff;
}

/**
 * Fills an array.
 *
 * @param length What it is to have; a peer's word, for which no memory is taken.
 * @param entries A Map of indices and names, or an object of names alone.
 */
function fill(array: unknown[], length: number, entries: unknown): unknown[] {
  const isMap = entries instanceof Map;
  if (!isMap && (typeof entries !== "object" || entries === null || Array.isArray(entries))) wrong("Array");
  const pairs: [unknown, unknown][] = isMap ? [...entries] : Object.entries(entries as object);
  if (length > 4 * pairs.length + 16) {
    // An element far beyond all others has the engine keep a table instead of room for all of them.
    const far = Math.max(length, 1 << 20) - 1;
    array[far] = undefined;
    delete array[far];
  }
  array.length = length;
  for (const [key, value] of pairs) {
    if (typeof key === "number" && Number.isInteger(key) && key >= 0 && key < length) {
      array[key] = value;
    } else if (typeof key === "string" && key !== "length" && !isIndex(key)) {
      Object.defineProperty(array, key, { value, enumerable: true, configurable: true, writable: true });
    } else {
      wrong("Array");
    }
  }
  return array;
}
