// Blocks of the ring lent to the program, to be filled in place.
import { integerOf } from "../../base/arguments.ts";
import { Backstop } from "../../base/backstop.ts";
import { IpcError } from "../../base/error.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import type { Reservation } from "../ring/reservation.ts";
import type { SenderPort } from "./sender_port.ts";
import { cannotTravel } from "../../base/pack.ts";

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
   * Sends the message. {@linkcode bytes} is empty afterwards.
   *
   * @param length Bytes of the message, from the beginning; all that were reserved by default.
   * @throws {RangeError} If it is longer than what was reserved.
   * @throws {IpcError} `Closed` if it was committed or given up before; `Disconnected` if the receiver is gone.
   * @throws {TypeError} If the buffer of {@linkcode bytes} was transferred, and had up to 1 KiB: nothing is sent.
   */
  commit(length?: number): void;
}

/** What is needed to end a loan, apart from the object that the program holds. */
class OpenReservation extends OpenThing {
  readonly #port: SenderPort;
  readonly #owner = {};
  readonly #reservation: Reservation;
  #isOpen = true;

  constructor(port: SenderPort, reservation: Reservation) {
    super();
    this.#port = port.retain();
    this.#reservation = reservation;
    this.opened();
  }

  /** Whether it was neither committed nor given up. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** What is to be filled. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#reservation.bytes;
  }

  override letGo(): void {
    if (!this.#end()) return;
    this.#reservation.cancel();
    this.#port.release(this.#owner);
  }

  /** Sends the first bytes. */
  commit(length: number): void {
    if (!this.#end()) return;
    try {
      this.#reservation.commit(length);
    } finally {
      this.#port.release(this.#owner);
    }
  }

  /** `false` if it has ended before. */
  #end(): boolean {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    this.ended();
    return true;
  }
}

// A backstop: a forgotten loan of a living process would hold the channel up without end.
const forgotten = new Backstop<OpenReservation>((reservation) => reservation.letGo());

class RingLoan implements Loan {
  static {
    cannotTravel(this.prototype, "send a copy of its bytes");
  }

  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #reservation: OpenReservation;
  readonly #length: number;

  constructor(reservation: OpenReservation, length: number) {
    this.#reservation = reservation;
    this.#length = length;
    this.bytes = reservation.bytes;
    forgotten.watch(this, reservation);
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
export function tryLoan(port: SenderPort, length: number): { value: Loan } | undefined {
  integerOf(length, 0, Number.MAX_SAFE_INTEGER, "Cannot reserve a length of");
  const { ring } = port;
  if (length > ring.capacity) {
    throw new IpcError(
      "TooLarge",
      `Cannot reserve ${length} bytes: the ring holds ${ring.capacity}; send it, or make the channel larger`,
    );
  }
  const reservation = ring.tryReserve(length);
  return reservation && { value: new RingLoan(new OpenReservation(port, reservation), length) };
}
