// A published message whose bytes still lie in the memory of the topic, where publishers may overwrite it at any time.
import { printAs } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { Borrowed } from "../message/borrowed.ts";
import type { TopicReader } from "./reader.ts";

/**
 * A published message read in place: its byte strings are views on the topic's memory. Publishers never wait, so a
 * message that is borrowed for too long is overwritten: ask {@linkcode BorrowedPublication.isIntact} **after** the views
 * were read, and before what was read is relied on. After the release the views are empty. What a program writes to a
 * view is private, and gone with the release.
 *
 * (Messages of up to 1 KiB are copied, as copying so little costs less: they stay whole, and do not become empty.)
 *
 * @typeParam T The type of the message.
 *
 * @example Summing up a frame without copying it
 * ```ts
 * import { IpcBytesPublisher, IpcBytesSubscriber } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `frames-${crypto.randomUUID()}`;
 * using publisher = IpcBytesPublisher.open(name);
 * using subscriber = IpcBytesSubscriber.open(name);
 * publisher.publish(new Uint8Array(100_000).fill(1));
 * {
 *   using frame = subscriber.borrowSync();
 *   const sum = frame.value.reduce((sum, byte) => sum + byte, 0);
 *   assertEquals(frame.isIntact(), true); // so the sum is that of one frame
 *   assertEquals(sum, 100_000);
 * } // throws if it was overwritten and isIntact() was not asked
 * ```
 */
export interface BorrowedPublication<T> extends Borrowed<T> {
  /**
   * Whether all that was read so far was the message: `false` once publishers have begun to overwrite it. One that was
   * read as a copy stays whole. After the release it is what it was then.
   *
   * @returns Whether the message is whole.
   */
  isIntact(): boolean;
  /**
   * Takes the views back. Twice is harmless.
   *
   * @throws {IpcError} `Corrupt` if the message was overwritten meanwhile, and {@linkcode BorrowedPublication.isIntact} was
   * never asked: then what was read of it may be part of other messages.
   */
  release(): void;
}

/** What is lent, apart from the object that the program has. */
export class LentPublication {
  readonly #reader: TopicReader;
  readonly #position: number;
  readonly #takeBack: () => void;
  readonly #onEnd: (lent: LentPublication) => void;
  /** What is known of it once it has ended. */
  #ended: boolean | undefined;
  /** Whether the program has asked, or was told: then it knows what to think of what it has read. */
  asked = false;

  constructor(reader: TopicReader, takeBack: () => void, onEnd: (lent: LentPublication) => void) {
    this.#reader = reader;
    this.#position = reader.position;
    this.#takeBack = takeBack;
    this.#onEnd = onEnd;
  }

  get intact(): boolean {
    return this.#ended ?? this.#reader.isIntact(this.#position);
  }

  /** Takes it back; also when the subscriber closes, as its memory goes then. */
  end(): void {
    if (this.#ended !== undefined) return;
    this.#ended = this.intact;
    this.#takeBack();
    this.#onEnd(this);
  }
}

// A backstop: what was lent keeps addresses taken.
const forgotten = new FinalizationRegistry<LentPublication>((lent) => lent.end());

/** What the program has of a message that is lent. */
export class BorrowedInPlace<T> implements BorrowedPublication<T> {
  static {
    cannotTravel(this.prototype, "send its value");
    printAs<BorrowedInPlace<unknown>>(this.prototype, (borrowed) => ({ intact: borrowed.#lent.intact }));
  }

  readonly value: T;
  readonly #lent: LentPublication;
  /** The subscriber: were it collected, it would be closed, and what it has lent would end. */
  #lender: object | undefined;

  constructor(value: T, lent: LentPublication, lender: object) {
    this.value = value;
    this.#lent = lent;
    this.#lender = lender;
    forgotten.register(this, lent, this);
  }

  isIntact(): boolean {
    this.#lent.asked = true;
    return this.#lent.intact;
  }

  release(): void {
    forgotten.unregister(this);
    this.#lender = undefined;
    void this.#lender;
    this.#lent.end();
    if (this.#lent.intact || this.#lent.asked) return;
    this.#lent.asked = true;
    throw new IpcError(
      "Corrupt",
      "Cannot rely on a borrowed message: publishers have overwritten it meanwhile, so what was read of it may be part of " +
        "others; release it sooner, ask isIntact(), receive a copy, or make the topic with a larger capacity",
    );
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** A message that was copied, as it is small or could not be lent. */
export class BorrowedAsCopy<T> implements BorrowedPublication<T> {
  static {
    cannotTravel(this.prototype, "send its value");
  }

  readonly value: T;
  readonly #bytes: Uint8Array<ArrayBuffer> | undefined;

  /** @param bytes What becomes empty with the release, where the value is a view on it alone. */
  constructor(value: T, bytes?: Uint8Array<ArrayBuffer>) {
    this.value = value;
    this.#bytes = bytes;
  }

  isIntact(): boolean {
    return true;
  }

  release(): void {
    const buffer = this.#bytes?.buffer;
    if (buffer !== undefined && buffer.byteLength > 0) buffer.transfer(0);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
