// Blocks of the ring lent to the program, to be filled in place.
import { integerOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { blocksFor, paddingWord } from "../ring/layout.ts";
import { FULL } from "../ring/producer.ts";
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
  /** The ring's own memory, to be filled. What it holds at first is left over from earlier messages. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /**
   * Sends the message. {@linkcode bytes} is empty afterwards.
   *
   * @param length Bytes of the message, from the beginning; all that were reserved unless told.
   * @throws {RangeError} If it is longer than what was reserved.
   * @throws {IpcError} `Closed` if it was committed or given up before.
   */
  commit(length?: number): void;
}

/** What is needed to end a loan, apart from the object that the program holds. */
class Claim extends OpenThing {
  readonly #port: SenderPort;
  readonly #owner = {};
  readonly #slot: number;
  readonly #index: number;
  readonly #blocks: number;
  readonly window: ArrayBuffer;
  #isOpen = true;

  constructor(port: SenderPort, slot: number, index: number, blocks: number) {
    super();
    this.#port = port.retain();
    this.#slot = slot;
    this.#index = index;
    this.#blocks = blocks;
    this.window = port.ring.window(index, blocks);
    this.opened();
  }

  /** Whether it was neither committed nor given up. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  override letGo(): void {
    this.end(paddingWord(this.#blocks), this.#blocks);
  }

  /** The view goes first, so that a stale one cannot change what is sent; then the word, which sends it. */
  end(word: number, blocks: number): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.ended();
    const { ring } = this.#port;
    ring.endWindow(this.window);
    // What was reserved and not used becomes padding, before the word that makes the receiver look there.
    if (blocks < this.#blocks) ring.pad(this.#index + blocks, this.#blocks - blocks);
    ring.commit(this.#index, word);
    ring.returnSlot(this.#slot);
    this.#port.release(this.#owner);
  }
}

// A backstop: a forgotten loan of a living process would hold the channel up without end.
const forgotten = new FinalizationRegistry<Claim>((claim) => claim.letGo());

class RingLoan implements Loan {
  static {
    cannotTravel(this.prototype, "send a copy of its bytes");
  }

  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #claim: Claim;
  readonly #length: number;

  constructor(claim: Claim, length: number) {
    this.#claim = claim;
    this.#length = length;
    this.bytes = new Uint8Array(claim.window, 0, length);
    forgotten.register(this, claim, this);
  }

  commit(length: number = this.#length): void {
    if (!this.#claim.isOpen) throw new IpcError("Closed", "Cannot commit: this loan was committed or given up before");
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      integerOf(length, 0, this.#length, `Cannot commit, of ${this.#length} bytes that were reserved,`);
    }
    forgotten.unregister(this);
    this.#claim.end(length + 1, blocksFor(length));
  }

  [Symbol.dispose](): void {
    forgotten.unregister(this);
    this.#claim.letGo();
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
  const blocks = blocksFor(length);
  const slot = ring.borrowSlot();
  let index: number = FULL;
  try {
    index = ring.tryClaim(blocks, slot);
  } finally {
    if (index === FULL) ring.returnSlot(slot);
  }
  if (index === FULL) return undefined;
  return { value: new RingLoan(new Claim(port, slot, index, blocks), length) };
}
