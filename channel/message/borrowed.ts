// A received message whose bytes still lie in the ring.
import { Backstop } from "../../base/backstop.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { LentRecord } from "../ring/lent_records.ts";

/**
 * A message read in place: its byte strings are views on the ring. Release it soon: its blocks, and all behind them,
 * are not available to senders until then.
 *
 * Several may be borrowed at a time and released in any order. After the release the views are empty. (The byte strings
 * of a typed message of up to 1 KiB are copies, as copying so little costs less than a view that can be ended. A byte
 * string of up to 1 KiB is lent as a copy that ends with the release.)
 *
 * @typeParam T The type of the message.
 *
 * @example Looking at a frame without copying it
 * ```ts
 * import { channel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<{ width: number; pixels: Uint8Array }>();
 * sender.sendSync({ width: 2, pixels: new Uint8Array([1, 2, 3, 4]) });
 * {
 *   using frame = receiver.borrowSync();
 *   assertEquals(frame.value.pixels[3], 4);
 * } // released here
 * sender.close(), receiver.close();
 * ```
 */
export interface Borrowed<T> extends Disposable {
  /** The message. */
  readonly value: T;
  /**
   * Where it lies in its channel, in blocks of 64 bytes from 0 up to 2^32, where it begins again: no two messages that
   * wait at the same time have the same. `undefined` if it does not lie there.
   */
  readonly position?: number | undefined;
  /** Gives the blocks back to the senders; the views in {@linkcode value} become empty. Twice is harmless. */
  release(): void;
}

// A backstop: the blocks of a forgotten message would never be available again.
const forgotten = new Backstop<() => unknown>((release) => release());

/** A message that was small enough to be copied: there is nothing to give back. */
export class BorrowedCopy<T> implements Borrowed<T> {
  static {
    cannotTravel(this.prototype, "send its value");
  }

  readonly value: T;

  /** @param value What was received. */
  constructor(value: T) {
    this.value = value;
  }

  release(): void {}

  [Symbol.dispose](): void {}
}

const forgottenRecords = new Backstop<LentRecord>((lent) => lent.lender.giveBack(lent));

/** A message that lies in the ring. */
export class BorrowedRecord<T> implements Borrowed<T> {
  static {
    cannotTravel(this.prototype, "send its value");
  }

  readonly value: T;
  readonly #lent: LentRecord;
  /** The receiver: were it collected, it would be closed, and with it what it has lent. */
  lender: object | undefined;

  /**
   * @param value What was received.
   * @param lent Where it lies.
   */
  constructor(value: T, lent: LentRecord) {
    this.value = value;
    this.#lent = lent;
    forgottenRecords.watch(this, lent);
  }

  get position(): number {
    return this.#lent.position >>> 0;
  }

  release(): void {
    if (this.#lent.returned) return; // also when the receiver was closed
    forgottenRecords.unwatch(this);
    this.lender = undefined;
    this.#lent.lender.giveBack(this.#lent);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** A message that is released by a function. */
export class BorrowedMessage<T> implements Borrowed<T> {
  static {
    cannotTravel(this.prototype, "send its value");
  }

  readonly value: T;
  readonly #release: () => unknown;

  /**
   * @param value What was received.
   * @param release Gives the blocks back; harmless the second time. Must not refer to this object.
   */
  constructor(value: T, release: () => unknown) {
    this.value = value;
    this.#release = release;
    forgotten.watch(this, release);
  }

  release(): void {
    forgotten.unwatch(this);
    this.#release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
