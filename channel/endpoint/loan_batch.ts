// Blocks of the ring lent to the program for several messages, to be filled in place and sent together.
import { asFound, integerOf } from "../../base/arguments.ts";
import { Backstop } from "../../base/backstop.ts";
import { IpcError } from "../../base/error.ts";
import { cannotTravel } from "../../base/pack.ts";
import { BLOCK_SHIFT, blocksFor } from "../ring/layout.ts";
import type { Reservation } from "../ring/reservation.ts";
import type { SenderPort } from "./sender_port.ts";

/**
 * Room in the ring for several messages, to be written in place. {@linkcode LoanBatch.commit} sends them together; leaving
 * the scope of a `using` without that sends nothing. For small messages it is several times as fast as a loan each, as
 * room is claimed, and views are ended, once for all of them.
 *
 * As with a {@linkcode Loan}, nothing that was sent after the reservation arrives before it is committed or given up.
 * Nothing of other senders comes between the messages. If the process dies within the commit, the first ones arrive.
 *
 * @example Two messages, written in place
 * ```ts
 * import { bytesChannel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel();
 * {
 *   using batch = sender.reserveManySync(2, 64);
 *   for (const [n, bytes] of batch.messages.entries()) bytes.fill(n);
 *   batch.commit([64, 3]); // of the second, the first three bytes
 * }
 * assertEquals(receiver.recvMany().map((bytes) => bytes.length), [64, 3]);
 * sender.close(), receiver.close();
 * ```
 */
export interface LoanBatch extends Disposable {
  /**
   * What is to be filled, a view for each message: the ring's own memory, with what is left over from earlier messages; if
   * all of it is up to 1 KiB, memory that is copied to the ring, zeros at first. They share one `buffer`.
   */
  readonly messages: readonly Uint8Array<ArrayBuffer>[];
  /**
   * Sends the messages, in order. The views are empty afterwards.
   *
   * @param lengths Bytes of each message to send, from its beginning; those without a length are not sent.
   * @default all messages, with all bytes that were reserved.
   * @throws {RangeError} If there are more lengths than messages, or one is longer than what was reserved: nothing is sent
   * yet, and the loan stays open.
   * @throws {IpcError} `Closed` if it was committed or given up before; `Disconnected` if the receiver is gone.
   * @throws {TypeError} If a length is no number; if the buffer was transferred, and all of it was up to 1 KiB: nothing is
   * sent then.
   */
  commit(lengths?: readonly number[]): void;
}

// A backstop: a forgotten loan of a living process would hold the channel up without end.
const forgotten = new Backstop<Reservation>((reservation) => reservation.letGo());

class RingLoanBatch implements LoanBatch {
  static {
    cannotTravel(this.prototype, "send copies of its messages");
  }

  readonly messages: readonly Uint8Array<ArrayBuffer>[];
  readonly #reservation: Reservation;
  readonly #length: number;

  constructor(reservation: Reservation, count: number, length: number) {
    this.#reservation = reservation;
    this.#length = length;
    const { buffer } = reservation.bytes, stride = blocksFor(length) << BLOCK_SHIFT;
    const messages: Uint8Array<ArrayBuffer>[] = [];
    for (let i = 0; i < count; i++) messages.push(new Uint8Array(buffer, i * stride, length));
    this.messages = messages;
    forgotten.watch(this, reservation);
  }

  commit(lengths?: readonly number[]): void {
    if (!this.#reservation.isOpen) {
      throw new IpcError("Closed", "Cannot commit: this batch of loans was committed or given up before");
    }
    const checked = this.#check(lengths);
    forgotten.unwatch(this);
    if (checked.length === 0) this.#reservation.letGo();
    else this.#reservation.commitMany(checked, blocksFor(this.#length));
  }

  /** A copy, as code of the program could change what was checked. */
  #check(lengths: readonly number[] | undefined): number[] {
    const most = this.#length, { length: count } = this.messages;
    const checked: number[] = [];
    if (lengths === undefined) {
      for (let i = 0; i < count; i++) checked.push(most);
      return checked;
    }
    if (!Array.isArray(lengths)) {
      throw new TypeError(`Cannot commit with the lengths ${asFound(lengths)}: give an array`);
    }
    integerOf(lengths.length, 0, count, `Cannot commit, of ${count} messages that were reserved,`);
    const sending = lengths.length;
    for (let i = 0; i < sending; i++) {
      const length: unknown = lengths[i];
      checked.push(integerOf(length, 0, most, `Cannot commit, of ${most} bytes that were reserved,`));
    }
    return checked;
  }

  [Symbol.dispose](): void {
    forgotten.unwatch(this);
    this.#reservation.letGo();
  }
}

/**
 * Claims room for `count` messages of up to `length` bytes if there is some.
 *
 * @throws {IpcError} `TooLarge` if the ring can never hold them.
 */
export function tryLoanMany(port: SenderPort, count: number, length: number): LoanBatch | undefined {
  integerOf(count, 1, Number.MAX_SAFE_INTEGER, "Cannot reserve as many messages as");
  integerOf(length, 0, Number.MAX_SAFE_INTEGER, "Cannot reserve a length of");
  const { ring } = port;
  if (length > ring.capacity || count * blocksFor(length) > ring.memory.blocks) {
    throw new IpcError(
      "TooLarge",
      `Cannot reserve ${count} messages of ${length} bytes: the ring holds ${ring.capacity}, and each message takes a ` +
        "multiple of 64; reserve fewer, or make the channel larger",
    );
  }
  const reservation = ring.tryReserveMany(count, length, port);
  return reservation && new RingLoanBatch(reservation, count, length);
}
