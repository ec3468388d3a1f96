// Atomic operations on a cell that is one integer.
import { printAs, stateOf } from "../base/custom_inspect.ts";
import { IpcError } from "../base/error.ts";
import type { Attachment } from "./cell.ts";
import { type Layout, podLayout } from "./layout/layout.ts";
import { i32, i64, u32, u64 } from "./layout/scalar.ts";
import { cannotTravel } from "../base/pack.ts";

type AtomicWords =
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>;

/** Whether an object is just made here, and not by the program. */
let making = false;

let create: <T>(
  owner: object,
  attachment: Attachment,
  layout: Layout<T>,
  words: AtomicWords,
) => AtomicCell<T>;

/**
 * Atomic operations on a cell whose layout is `i32`, `u32`, `i64` or `u64`: exact between all processes, without the
 * lock and without waiting.
 *
 * They work also while another holds the lock, and what the holder then reads may change under it: a cell that
 * is changed by atomic operations should be changed by nothing else. Sums wrap around, as in C.
 *
 * @typeParam T `number` for 32 bits, `bigint` for 64.
 *
 * @example Counting
 * ```ts
 * import { IpcArc, u64 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using hits = IpcArc.create(`hits-${crypto.randomUUID()}`, 0n, { layout: u64 });
 * assertEquals(hits.atomic.add(5n), 0n); // the value before
 * assertEquals(hits.atomic.load(), 5n);
 * ```
 */
export class AtomicCell<T> {
  static {
    cannotTravel(this.prototype, "send the name of its cell, and load that there");
  }

  static {
    printAs<AtomicCell<unknown>>(AtomicCell.prototype, (atomic) => ({
      name: atomic.#attachment.file.name,
      state: stateOf(atomic.#attachment),
    }));
  }

  /** Kept alive as long as this object: the garbage collector closes a reference that was forgotten. */
  #owner!: object;
  #attachment!: Attachment;
  #layout!: Layout<T>;
  // One type for the compiler; at run time numbers and bigints each go with their own kind of array.
  #words!: Int32Array<ArrayBuffer>;

  private constructor() {
    if (!making) throw new TypeError("Cannot construct an AtomicCell: use IpcArc.atomic");
    making = false;
  }

  static {
    create = <T>(owner: object, attachment: Attachment, layout: Layout<T>, words: AtomicWords) => {
      making = true;
      const atomic = new AtomicCell<T>();
      atomic.#owner = owner;
      void atomic.#owner; // read, for compilers that count that
      atomic.#attachment = attachment;
      atomic.#layout = layout;
      atomic.#words = words as Int32Array<ArrayBuffer>;
      return atomic;
    };
  }

  /** The operand, if the cell may still be used. */
  #operand(value: T): number {
    if (this.#attachment.closed) throw closed();
    this.#layout.check(value);
    return value as number;
  }

  /** A change counts as one for watchers, and for nobody else. */
  #changed(before: number, operand: number): T {
    if (before !== operand) {
      const { cell } = this.#attachment;
      cell.store.touch();
      cell.announce();
    }
    return before as T;
  }

  /**
   * Reads the value.
   *
   * @returns The value.
   * @throws {IpcError} `Closed` if the cell was closed.
   */
  load(): T {
    if (this.#attachment.closed) throw closed();
    return Atomics.load(this.#words, 0) as T;
  }

  /**
   * Replaces the value.
   *
   * @param value The new value.
   * @throws {IpcError} As {@linkcode AtomicCell.load}.
   * @throws {TypeError} If the operand is of another type.
   * @throws {RangeError} If the operand does not fit the layout.
   */
  store(value: T): void {
    const operand = this.#operand(value);
    this.#changed(Atomics.exchange(this.#words, 0, operand), operand);
  }

  /**
   * Adds to the value; what is too large begins again at the lowest.
   *
   * @param value What to add.
   * @returns The value before.
   * @throws {IpcError} As {@linkcode AtomicCell.load}.
   * @throws {TypeError} If the operand is of another type.
   * @throws {RangeError} If the operand does not fit the layout.
   */
  add(value: T): T {
    const operand = this.#operand(value);
    return this.#changed(Atomics.add(this.#words, 0, operand), NaN);
  }

  /**
   * Subtracts from the value; what is too small begins again at the highest.
   *
   * @param value What to subtract.
   * @returns The value before.
   * @throws {IpcError} As {@linkcode AtomicCell.load}.
   * @throws {TypeError} If the operand is of another type.
   * @throws {RangeError} If the operand does not fit the layout.
   */
  sub(value: T): T {
    const operand = this.#operand(value);
    return this.#changed(Atomics.sub(this.#words, 0, operand), NaN);
  }

  /**
   * Keeps the bits that are set in both.
   *
   * @param value The mask.
   * @returns The value before.
   * @throws {IpcError} As {@linkcode AtomicCell.load}.
   * @throws {TypeError} If the operand is of another type.
   * @throws {RangeError} If the operand does not fit the layout.
   */
  and(value: T): T {
    const operand = this.#operand(value);
    return this.#changed(Atomics.and(this.#words, 0, operand), NaN);
  }

  /**
   * Sets the bits that are set in either.
   *
   * @param value The mask.
   * @returns The value before.
   * @throws {IpcError} As {@linkcode AtomicCell.load}.
   * @throws {TypeError} If the operand is of another type.
   * @throws {RangeError} If the operand does not fit the layout.
   */
  or(value: T): T {
    const operand = this.#operand(value);
    return this.#changed(Atomics.or(this.#words, 0, operand), NaN);
  }

  /**
   * Flips bits.
   *
   * @param value The mask.
   * @returns The value before.
   * @throws {IpcError} As {@linkcode AtomicCell.load}.
   * @throws {TypeError} If the operand is of another type.
   * @throws {RangeError} If the operand does not fit the layout.
   */
  xor(value: T): T {
    const operand = this.#operand(value);
    return this.#changed(Atomics.xor(this.#words, 0, operand), NaN);
  }

  /**
   * Replaces the value.
   *
   * @param value The new value.
   * @returns The value before.
   * @throws {IpcError} As {@linkcode AtomicCell.load}.
   * @throws {TypeError} If the operand is of another type.
   * @throws {RangeError} If the operand does not fit the layout.
   */
  exchange(value: T): T {
    const operand = this.#operand(value);
    return this.#changed(Atomics.exchange(this.#words, 0, operand), operand);
  }

  /**
   * Replaces the value if it is the expected one.
   *
   * @param expected The value that is to be replaced.
   * @param replacement The new value.
   * @returns The value before: equal to `expected` if it was replaced.
   * @throws {IpcError} As {@linkcode AtomicCell.load}.
   * @throws {TypeError} If the operand is of another type.
   * @throws {RangeError} If the operand does not fit the layout.
   */
  compareExchange(expected: T, replacement: T): T {
    const from = this.#operand(expected), to = this.#operand(replacement);
    const before = Atomics.compareExchange(this.#words, 0, from, to);
    return before === from ? this.#changed(before, to) : before as T;
  }
}

function closed(): IpcError {
  return new IpcError("Closed", "Cannot use the atomic operations of a cell: it was closed; load it again");
}

/** The atomic operations of an attachment's cell, or `TypeError` if its layout has none. */
export function atomicCell<T>(owner: object, attachment: Attachment, layout: Layout<T> | undefined): AtomicCell<T> {
  const { mapping, store } = attachment.cell;
  const words = layout === undefined
    ? undefined
    : wordsOf(podLayout(layout, "the layout"), mapping.buffer, store.offset);
  if (words === undefined) {
    throw new TypeError(
      `Cannot use atomic operations on a cell with ${
        layout === undefined ? "CBOR values" : `the layout ${layout.description}`
      }: they need the layout i32, u32, i64 or u64`,
    );
  }
  return create(owner, attachment, layout!, words);
}

function wordsOf(layout: unknown, buffer: ArrayBuffer, offset: number): AtomicWords | undefined {
  switch (layout) {
    case i32:
      return new Int32Array(buffer, offset, 1);
    case u32:
      return new Uint32Array(buffer, offset, 1);
    case i64:
      return new BigInt64Array(buffer, offset, 1);
    case u64:
      return new BigUint64Array(buffer, offset, 1);
    default:
      return undefined;
  }
}
