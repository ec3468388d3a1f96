// Blocks of the ring lent to the program, to be filled in place.
import { integerOf } from "../../base/arguments.ts";
import { Backstop } from "../../base/backstop.ts";
import { IpcError } from "../../base/error.ts";
import type { Reservation } from "../ring/reservation.ts";
import type { SenderPort } from "./sender_port.ts";
import { cannotTravel } from "../../base/pack.ts";

/**
 * Where a loan is: see {@linkcode Loan.receipt}. Plain numbers, to be kept in a file, say.
 *
 * @example Finding out after a restart whether a message was sent
 * ```ts
 * import { IpcBytesReceiver, IpcBytesSender, type LoanReceipt } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `/dev/shm/jobs-${crypto.randomUUID()}`;
 * const receiver = IpcBytesReceiver.create(path), sender = IpcBytesSender.open(path);
 * const loan = sender.reserveSync(100);
 * const kept = JSON.stringify(loan.receipt); // in a file, before it is sent
 * loan.commit();
 * receiver.recvSync();
 *
 * // In the next process, if this one was killed before it noted that it has sent it:
 * const receipt: LoanReceipt = JSON.parse(kept);
 * assertEquals(sender.outcome(receipt), "sent");
 * sender.close(), receiver.close();
 * ```
 */
export interface LoanReceipt {
  /** Where it lies in the ring, in blocks of 64 bytes from 0 up to 2^32, where it begins again. */
  readonly position: number;
  /** How many claims of killed senders had been stepped over, a number that wraps around as well. */
  readonly gaps: number;
}

/**
 * What became of a loan: the message is in the channel, or was received; it never will be; or it is too long ago.
 *
 * @example Sending again only what did not arrive
 * ```ts
 * import { bytesChannel, type LoanOutcome } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel();
 * const outcomes: LoanOutcome[] = [];
 * using loan = sender.reserveSync(8);
 * const { receipt } = loan;
 * outcomes.push(sender.outcome(receipt));
 * loan.commit();
 * outcomes.push(sender.outcome(receipt));
 * assertEquals(outcomes, ["not sent", "sent"]);
 * sender.close(), receiver.close();
 * ```
 */
export type LoanOutcome = "sent" | "not sent" | "unknown";

/**
 * Room in the ring for one message, to be written in place. {@linkcode Loan.commit} sends it; leaving the scope of a
 * `using` without that sends nothing.
 *
 * Messages are received in the order in which their room was reserved: until a loan is committed or given up, nothing
 * that was sent after its reservation arrives. If the process dies with a loan out, the receiver steps over it.
 *
 * @example Filling a message in place
 * ```ts
 * import { bytesChannel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel();
 * {
 *   using loan = sender.reserveSync(1024);
 *   const { written } = new TextEncoder().encodeInto("shorter than reserved", loan.bytes);
 *   loan.commit(written);
 * }
 * assertEquals(new TextDecoder().decode(receiver.recvSync()), "shorter than reserved");
 * sender.close(), receiver.close();
 * ```
 */
export interface Loan extends Disposable {
  /**
   * What is to be filled: the ring's own memory, with what is left over from earlier messages; of up to 1 KiB memory that
   * is copied to the ring, zeros at first.
   */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /**
   * Where it is, for {@linkcode IpcBytesSender.outcome}: take it before {@linkcode commit}, and keep it where it outlives
   * this process.
   *
   * @throws {IpcError} `Closed` if it was committed or given up before.
   */
  readonly receipt: LoanReceipt;
  /**
   * Sends the message. {@linkcode bytes} is empty afterwards.
   *
   * @param length Bytes of the message, from the beginning; all that were reserved by default.
   * @throws {RangeError} If it is longer than what was reserved.
   * @throws {IpcError} `Closed` if it was committed or given up before; `Disconnected` if the receiver is gone.
   * @throws {TypeError} If the buffer of {@linkcode bytes} was transferred, and had up to 1 KiB: nothing is sent.
   */
  commit(length?: number): void;
}

// A backstop: a forgotten loan of a living process would hold the channel up without end.
const forgotten = new Backstop<Reservation>((reservation) => reservation.letGo());

class RingLoan implements Loan {
  static {
    cannotTravel(this.prototype, "send a copy of its bytes");
  }

  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #reservation: Reservation;
  readonly #length: number;

  constructor(reservation: Reservation, length: number) {
    this.#reservation = reservation;
    this.#length = length;
    this.bytes = reservation.bytes;
    forgotten.watch(this, reservation);
  }

  get receipt(): LoanReceipt {
    const reservation = this.#reservation;
    if (reservation.isOpen) return { position: reservation.position >>> 0, gaps: reservation.gaps >>> 0 };
    throw new IpcError(
      "Closed",
      "Cannot say where a loan is: it was committed or given up before; ask while it is open",
    );
  }

  commit(length: number = this.#length): void {
    if (!this.#reservation.isOpen) {
      throw new IpcError("Closed", "Cannot commit: this loan was committed or given up before");
    }
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      integerOf(length, 0, this.#length, `Cannot commit, of ${this.#length} bytes that were reserved,`);
    }
    forgotten.unwatch(this);
    this.#reservation.commit(length);
  }

  [Symbol.dispose](): void {
    forgotten.unwatch(this);
    this.#reservation.letGo();
  }
}

/**
 * Claims room for a message of `length` bytes if there is some.
 *
 * @throws {IpcError} `TooLarge` if the ring can never hold it.
 */
export function tryLoan(port: SenderPort, length: number): Loan | undefined {
  if (!Number.isSafeInteger(length) || length < 0) {
    integerOf(length, 0, Number.MAX_SAFE_INTEGER, "Cannot reserve a length of");
  }
  const { ring } = port;
  if (length > ring.capacity) {
    throw new IpcError(
      "TooLarge",
      `Cannot reserve ${length} bytes: the ring holds ${ring.capacity}; send it, or make the channel larger`,
    );
  }
  const reservation = ring.tryReserve(length, port);
  return reservation && new RingLoan(reservation, length);
}
