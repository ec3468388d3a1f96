// The two places of a value, and the counter that says which one is whole.
//
// A writer fills the place that is not current and switches by one store, so that a writer that dies half-way leaves the
// last value untouched. A reader copies without a lock and then looks whether a writer has come round to its place.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { sameBytes } from "../../ffi/memory/compare.ts";
import type { Mapping } from "../../ffi/memory/mapping.ts";
import { fence } from "../../base/fence.ts";
import type { NumericArray, ScalarLayout } from "../layout/scalar.ts";
import { BUFFER_OFFSET, BUFFER_STRIDE, CAPACITY, COUNTER, LENGTHS, WRITERS } from "./header.ts";

/** Buffers above this are not kept from one reading to the next. */
const KEEP = 1 << 20;

/**
 * A reader that was overtaken so often, for so many milliseconds, gives up: one write in between is chance, this is a
 * holder that scribbles, or a value so large that it is always being written.
 */
const OVERTAKEN_LEAST = 16, OVERTAKEN_MS = 5000;

/** The value of a cell, as bytes. */
export class ValueStore {
  /** Offset of buffer 0 in the mapping. */
  readonly offset: number;
  /** Distance to buffer 1; 0 for a scalar, which is written by one store and has no second place. */
  readonly stride: number;
  /** Most bytes of a value. */
  readonly capacity: number;
  /** All of the segment; made once, as making one costs more than a whole lock and unlock. */
  readonly view: DataView<ArrayBuffer>;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #number: NumericArray | undefined;
  #scratch: Uint8Array<ArrayBuffer>; // from the start of its buffer

  /** @param mapping A segment whose header was checked. */
  constructor(mapping: Mapping, words: Int32Array) {
    this.#words = words;
    this.#bytes = new Uint8Array(mapping.buffer);
    this.view = new DataView(mapping.buffer);
    this.offset = words[BUFFER_OFFSET]!;
    this.stride = words[BUFFER_STRIDE]!;
    this.capacity = words[CAPACITY]!;
    this.#scratch = new Uint8Array(Math.max(8, Math.min(this.capacity, 512)));
  }

  /** How often the value was switched; what watchers compare. Differs after every change. */
  get counter(): number {
    return Atomics.load(this.#words, COUNTER);
  }

  /**
   * A copy of the value as it was at one moment, made without the lock.
   *
   * @returns Private memory, valid until the next call.
   * @throws {IpcError} `Corrupt` if its length cannot be; `Timeout` if it is overwritten whenever it is read.
   */
  copy(): Uint8Array<ArrayBuffer> {
    if (this.stride === 0) return this.#copyScalar();
    const words = this.#words;
    for (let overtaken = 0, begin = 0;; overtaken++) {
      if (overtaken === 1) begin = performance.now();
      else if (overtaken >= OVERTAKEN_LEAST && performance.now() - begin >= OVERTAKEN_MS) {
        throw alwaysOvertaken(overtaken);
      }
      const before = Atomics.load(words, COUNTER);
      const place = (before >>> 1) & 1;
      const length = words[LENGTHS + place]!;
      if (length < 0 || length > this.capacity) {
        if (this.#overtaken(before)) continue;
        throw new IpcError(
          "Corrupt",
          `Cannot read a cell: its value claims ${length} bytes, and ${this.capacity} are the most it can hold`,
        );
      }
      step("arc:read:begin");
      const copy = this.#room(length);
      const start = this.offset + place * this.stride;
      if (length <= 64) {
        // Cheaper than a subarray.
        const bytes = this.#bytes;
        for (let i = 0; i < length; i++) copy[i] = bytes[start + i]!;
      } else {
        copy.set(this.#bytes.subarray(start, start + length));
      }
      if (!this.#overtaken(before)) return copy;
    }
  }

  /** By one load, as it is written by one store. */
  #copyScalar(): Uint8Array<ArrayBuffer> {
    const { capacity } = this;
    const memory = this.#bytes.buffer, { buffer } = this.#scratch;
    // Typed arrays, here and for the value itself: a DataView moves its bytes one by one until it is compiled.
    if (capacity === 8) new BigUint64Array(buffer)[0] = Atomics.load(new BigUint64Array(memory, this.offset, 1), 0);
    else if (capacity === 4) new Uint32Array(buffer)[0] = Atomics.load(new Uint32Array(memory, this.offset, 1), 0);
    else if (capacity === 2) new Uint16Array(buffer)[0] = Atomics.load(new Uint16Array(memory, this.offset, 1), 0);
    else this.#scratch[0] = this.#bytes[this.offset]!;
    return this.#scratch.subarray(0, capacity);
  }

  /** The number of a cell that is one, as an array of one: reading or writing it is one access to memory. */
  number(layout: ScalarLayout<number | bigint, NumericArray>): NumericArray {
    return this.#number ??= layout.arrayOn(this.#bytes.buffer, this.offset, 1);
  }

  /**
   * Whether the place that was current at `before` may have been written since. One switch leaves it whole; the write
   * after that makes the counter odd before it touches the place.
   */
  #overtaken(before: number): boolean {
    fence(); // the copying comes before the second look
    return ((Atomics.load(this.#words, COUNTER) - (before & ~1)) >>> 0) > 2;
  }

  #room(length: number): Uint8Array<ArrayBuffer> {
    if (length > this.#scratch.length) {
      const room = new Uint8Array(length);
      if (length > KEEP) return room;
      this.#scratch = new Uint8Array(Math.min(this.capacity, 2 * length));
    }
    return this.#scratch.subarray(0, length);
  }

  // What follows is for the holder of the lock.

  /** Where the current value lies. */
  get currentPlace(): number {
    return (Atomics.load(this.#words, COUNTER) >>> 1) & 1;
  }

  /** Whether the current value is exactly these bytes. */
  equals(bytes: Uint8Array): boolean {
    const place = this.currentPlace;
    if (this.#words[LENGTHS + place] !== bytes.length) return false;
    const start = this.offset + place * this.stride;
    return sameBytes(this.#bytes.subarray(start, start + bytes.length), bytes);
  }

  /** Whether the current value was written by this library's encoder, which writes equal values as equal bytes. */
  get isOwnEncoding(): boolean {
    return this.#words[WRITERS + this.currentPlace] === 1;
  }

  /** Begins a write: from here to {@linkcode commit} the other place is no longer valid. Returns that place. */
  begin(): number {
    const words = this.#words;
    const counter = Atomics.add(words, COUNTER, 1);
    fence(); // a reader that sees any byte of the new value sees the odd counter, too
    return ((counter >>> 1) + 1) & 1;
  }

  /** Ends a write: what lies in the other place is the value from now on. */
  commit(): void {
    Atomics.add(this.#words, COUNTER, 1); // what was written before it is seen before it
  }

  /** Puts a new value beside the old one and switches. */
  write(bytes: Uint8Array): void {
    step("arc:write:begin");
    const place = this.begin();
    step("arc:write:odd");
    const words = this.#words;
    words[LENGTHS + place] = bytes.length;
    words[WRITERS + place] = 1;
    const start = this.offset + place * this.stride;
    if (bytes.length <= 64) {
      const target = this.#bytes;
      for (let i = 0; i < bytes.length; i++) target[start + i] = bytes[i]!;
    } else {
      const half = bytes.length >> 1;
      this.#bytes.set(bytes.subarray(0, half), start);
      step("arc:write:half");
      this.#bytes.set(bytes.subarray(half), start + half);
    }
    step("arc:write:filled");
    this.commit();
    step("arc:write:switched");
  }

  /** Begins a write that starts from the current value. Returns where the new value lies. */
  beginCopy(): number {
    const from = this.offset + this.currentPlace * this.stride;
    step("arc:write:begin");
    const place = this.begin();
    step("arc:write:odd");
    const to = this.offset + place * this.stride;
    this.#bytes.copyWithin(to, from, from + this.capacity);
    this.#words[LENGTHS + place] = this.capacity;
    step("arc:write:filled");
    return to;
  }

  /** Counts a change of a scalar, which lies in one place and was written by one store. */
  touch(): void {
    Atomics.add(this.#words, COUNTER, 2);
  }

  /** Leaves a mark for the next owner of the lock, as a writer that died half-way would: it finds the last value. */
  leaveUnfinished(): void {
    if ((Atomics.load(this.#words, COUNTER) & 1) === 0) Atomics.add(this.#words, COUNTER, 1);
  }

  /**
   * Undoes a write that its writer did not live to finish. Returns whether there was one.
   *
   * Forward by three, not back by one: the same place stays current, and a reader whose place the dead writer was
   * filling finds itself overtaken, where an old count would have told it that nothing had happened.
   */
  repair(): boolean {
    if ((Atomics.load(this.#words, COUNTER) & 1) === 0) return false;
    Atomics.add(this.#words, COUNTER, this.stride === 0 ? 1 : 3);
    return true;
  }
}

function alwaysOvertaken(times: number): IpcError {
  return new IpcError(
    "Timeout",
    `Cannot read a cell: its value was overwritten each of the ${times} times that it was read, for ${
      OVERTAKEN_MS / 1000
    } s; read it under the lock`,
  );
}
