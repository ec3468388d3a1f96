// Several received messages that are read where they lie, and end together.
import { Backstop } from "../../base/backstop.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { LentRecord } from "../ring/lent_records.ts";
import type { RecordReader } from "../ring/record_reader.ts";

/**
 * Messages that are read in place, one after another, and given back together: for small messages several times as fast
 * as to borrow each, as views are ended once for all of them.
 *
 * Iterating takes the messages: each counts as received when it is handed out, and the others stay in the channel, also
 * if the loop is left early or the process dies. All views stay valid until the release, and are empty then. Release it
 * soon: its blocks, and all behind them, are not available to senders until then.
 *
 * (Of a named channel with `redeliver`, what was handed out is received when the batch is released.)
 *
 * A batch holds what was sent before it was borrowed, up to half of the channel's capacity. It ends before a message that
 * did not fit into the channel, which is a batch of its own; that one is received whether it is handed out or not.
 *
 * Its messages share one `buffer`: a program that transfers it ends the batch.
 *
 * @example Adding up samples where they lie
 * ```ts
 * import { bytesChannel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel();
 * for (let n = 1; n <= 3; n++) sender.sendSync(new Uint8Array([n]));
 * let sum = 0;
 * {
 *   using batch = receiver.borrowManySync();
 *   for (const sample of batch) sum += sample[0]!;
 * } // released here
 * assertEquals(sum, 6);
 * sender.close(), receiver.close();
 * ```
 */
export interface BorrowedBatch extends Iterable<Uint8Array<ArrayBuffer>>, Disposable {
  /**
   * Hands out the next message; another loop goes on where the last one stopped.
   *
   * @throws {IpcError} In the loop, what is wrong with a message, as `recv()` would (`TooLarge`, `Corrupt`): the next loop goes
   * on behind it.
   */
  [Symbol.iterator](): Iterator<Uint8Array<ArrayBuffer>, undefined>;
  /** Gives the blocks back to the senders; the views become empty. Twice is harmless. */
  release(): void;
}

/** Who has lent the messages. */
export interface BatchLender {
  /** What is to be thrown for a message that could not be received. */
  judge(error: unknown): unknown;
}

interface Taking {
  /** Takes the next message; `undefined` if there is none. */
  take(): Uint8Array<ArrayBuffer> | undefined;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

class Messages implements Iterator<Uint8Array<ArrayBuffer>, undefined> {
  readonly #batch: Taking;

  constructor(batch: Taking) {
    this.#batch = batch;
  }

  next(): IteratorResult<Uint8Array<ArrayBuffer>, undefined> {
    const value = this.#batch.take();
    return value === undefined ? DONE : { done: false, value };
  }
}

const forgotten = new Backstop<LentRecord>((lent) => lent.lender.giveBack(lent));

/** Messages that lie in a ring. */
export class RingBatch implements BorrowedBatch {
  static {
    cannotTravel(this.prototype, "send its messages");
  }

  readonly #ring: RecordReader;
  readonly #lent: LentRecord;
  readonly #buffer: ArrayBuffer;
  #left: number;
  /** The receiver: were it collected, it would be closed, and with it what it has lent. */
  #lender: BatchLender | undefined;

  /**
   * @param ring Has found the first message.
   * @param most Messages to hand out at most.
   * @param lender Who has lent them.
   */
  constructor(ring: RecordReader, most: number, lender: BatchLender) {
    this.#ring = ring;
    this.#lent = ring.lendMany();
    this.#buffer = this.#lent.bytes.buffer;
    this.#left = most;
    this.#lender = lender;
    forgotten.watch(this, this.#lent);
  }

  [Symbol.iterator](): Iterator<Uint8Array<ArrayBuffer>, undefined> {
    return new Messages(this);
  }

  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#left <= 0) return undefined;
    try {
      const bytes = this.#ring.takeWithin(this.#lent, this.#buffer);
      if (bytes !== undefined) this.#left--;
      return bytes;
    } catch (error) {
      throw this.#lender === undefined ? error : this.#lender.judge(error);
    }
  }

  release(): void {
    if (this.#lent.returned) return; // also when the receiver was closed
    forgotten.unwatch(this);
    this.#lender = undefined;
    this.#lent.lender.giveBack(this.#lent);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** One message that did not fit into its ring. */
export class SingleBatch implements BorrowedBatch {
  static {
    cannotTravel(this.prototype, "send its message");
  }

  #bytes: Uint8Array<ArrayBuffer> | undefined;
  #buffer: ArrayBuffer | undefined;

  /** @param bytes In memory of their own. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#buffer = bytes.buffer;
  }

  [Symbol.iterator](): Iterator<Uint8Array<ArrayBuffer>, undefined> {
    return new Messages(this);
  }

  take(): Uint8Array<ArrayBuffer> | undefined {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return bytes;
  }

  release(): void {
    if (this.#buffer !== undefined && this.#buffer.byteLength > 0) this.#buffer.transfer(0);
    this.#bytes = this.#buffer = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
