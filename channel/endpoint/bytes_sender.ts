// The byte sender: messages as they are, without an encoding.
import { integerOf, optionsOf } from "../../base/arguments.ts";
import { printAs } from "../../base/custom_inspect.ts";
import { afterOthers } from "../../base/event_loop.ts";
import { canTravel } from "../../base/pack.ts";
import { type SyncWaitOptions, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import type { TravellerKind } from "../message/travellers.ts";
import { type NamedChannelOptions, openRingFile } from "../named/file.ts";
import { BYTES } from "./encoder.ts";
import { type LoanBatch, tryLoanMany } from "./loan_batch.ts";
import { type Loan, type LoanOutcome, type LoanReceipt, tryLoan } from "./reservation.ts";
import { SenderCore } from "./sender_core.ts";
import { claimSender } from "../message/sender_attachment.ts";
import { SenderPort } from "./sender_port.ts";
import type { SenderSource } from "./sender_seat.ts";

// Set by the class, as only it sees what is inside.
let make: (core: SenderCore<Uint8Array>) => IpcBytesSender;

/** How byte senders get into messages, and out of them. */
export let bytesSenderKind: TravellerKind<IpcBytesSender>;

/**
 * Sends byte strings, without an encoding: the fastest way through a channel.
 *
 * @example Sending raw bytes
 * ```ts
 * import { bytesChannel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel();
 * sender.sendSync(new Uint8Array([1, 2, 3]));
 * assertEquals(receiver.recvSync(), new Uint8Array([1, 2, 3]));
 * sender.close(), receiver.close();
 * ```
 */
export class IpcBytesSender implements Disposable {
  static {
    canTravel(this.prototype);
    printAs(this.prototype, (sender) => sender.#core.look());
    make = (core) => new IpcBytesSender(core);
    bytesSenderKind = {
      is: (object) => #core in object,
      pack: (sender, attachments) => sender.#core.pack(attachments),
      unpack: (attachments, first, details) => bytesSenderFrom(claimSender(attachments, first, details)),
    };
  }

  readonly #core: SenderCore<Uint8Array>;

  private constructor(core: object) {
    if (!(core instanceof SenderCore)) {
      throw new TypeError("Cannot make a sender: senders come from bytesChannel(), open(), clone() and messages");
    }
    this.#core = core;
  }

  /**
   * Attaches to a named channel, which is made if there is none. Senders and the receiver come and go in any order;
   * what is sent while no receiver runs waits for one, as far as there is room.
   *
   * A named channel carries data only, and no message larger than itself. Neither side detects the other's exit. Its
   * file does not say what the messages are: for a receiver of values, bytes that are no CBOR are `Serialization`.
   *
   * @param path Where the channel's file is, or is to be; best in a folder that is memory, such as `/dev/shm`.
   * @param options Whose channel is used; capacity and permission bits, for one that does not exist yet.
   * @returns A sender to it.
   * @throws {IpcError} `Incompatible` if the path is something else, `NotFound` if its folder does not exist,
   * `Permission` if another user has made it, or others may write to it, who are not trusted; `System` if there is no room.
   * @throws {TypeError} If the path cannot be one, or is the name of a server (`@name`).
   */
  static open(path: string, options: NamedChannelOptions = {}): IpcBytesSender {
    return bytesSenderFrom(SenderPort.open(openRingFile(path, options)));
  }

  /** Whether this sender was closed. Its clones may still be open. */
  get closed(): boolean {
    return this.#core.closed;
  }

  /**
   * Bytes that can wait in the channel.
   *
   * @throws {IpcError} `Closed`; `System` if there are no descriptors or no memory for a new channel.
   */
  get capacity(): number {
    return this.#core.capacity;
  }

  /**
   * Bytes of the channel that are taken: by messages that wait to be received, of this sender and of others.
   *
   * @throws {IpcError} As {@linkcode capacity}.
   */
  get backlog(): number {
    return this.#core.backlog;
  }

  /**
   * The path of a named channel; `undefined` for others.
   *
   * @throws {IpcError} As {@linkcode capacity}.
   */
  get path(): string | undefined {
    return this.#core.path;
  }

  /**
   * Sends a value. It is encoded before this returns, so later changes to it are not sent.
   *
   * @param value The value.
   * @param options How long to wait for room at most, and a signal that ends the wait; nothing was sent then.
   * @returns Resolves when the message is in the ring, which does not mean that it was received.
   * @throws {IpcError} `Disconnected` if the receiver is gone; `Timeout`; `Serialization` if the value cannot be encoded
   * (the message says what in it), or a named channel cannot carry it; `TooLarge` for a named channel that cannot hold it;
   * `Closed`; `Corrupt` if a peer damaged the channel; `System` if descriptors or memory run out, or 1024 threads send
   * through this channel already. Nothing was sent then, and every endpoint in the value still belongs to the caller.
   * @throws {TypeError} If the time-out is no number of milliseconds from 0, or a bytes channel is to send anything else.
   */
  send(value: Uint8Array, options?: WaitOptions): Promise<void> {
    return this.#core.send(value, options, false);
  }

  /**
   * Sends a value; blocks the thread while the ring is full.
   *
   * @param value The value.
   * @param options How long to wait for room at most; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendSync(value: Uint8Array, options?: SyncWaitOptions): void {
    this.#core.sendSync(value, options, false);
  }

  /**
   * Sends a value if there is room for it now.
   *
   * @param value The value.
   * @returns `false` if the ring is full, or earlier sends are still waiting for room; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}, but `Timeout`.
   */
  trySend(value: Uint8Array): boolean {
    return this.#core.trySend(value);
  }

  /**
   * Waits until all earlier messages were received, and sends then.
   *
   * @param value The value.
   * @param options How long to wait at most, and a signal that ends the wait; nothing was sent then.
   * @returns Resolves when the message is in the ring.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmpty(value: Uint8Array, options?: WaitOptions): Promise<void> {
    return this.#core.send(value, options, true);
  }

  /**
   * The blocking twin of {@linkcode sendWhenEmpty}.
   *
   * @param value The value.
   * @param options How long to wait at most; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmptySync(value: Uint8Array, options?: SyncWaitOptions): void {
    this.#core.sendSync(value, options, true);
  }

  /**
   * Another sender to the same channel.
   *
   * @returns The clone; it is closed by itself.
   * @throws {IpcError} `Closed`.
   */
  clone(): IpcBytesSender {
    return new IpcBytesSender(this.#core.clone());
  }

  /**
   * Reserves room for a message in the ring itself, to be filled in place; waits until there is some.
   *
   * @param length Bytes, at most the channel's capacity.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The room.
   * @throws {IpcError} `Disconnected`, `Timeout`, `Closed`; `TooLarge` if the ring can never hold it.
   * @throws {RangeError} If the length is not an integer from 0.
   */
  reserve(length: number, options?: WaitOptions): Promise<Loan> {
    return this.#whenRoom((port) => tryLoan(port, length), options);
  }

  /**
   * The blocking twin of {@linkcode reserve}.
   *
   * @param length Bytes, at most the channel's capacity.
   * @param options How long to wait at most.
   * @returns The room.
   * @throws {IpcError} As {@linkcode reserve}.
   */
  reserveSync(length: number, options?: SyncWaitOptions): Loan {
    if (options !== undefined) timeoutOf(options);
    const port = this.#core.port();
    const loan = port.idle ? tryLoan(port, length) : undefined;
    return loan ?? port.whenRoomSync(() => tryLoan(port, length), options);
  }

  /**
   * Reserves room for a message if there is some now.
   *
   * @param length Bytes, at most the channel's capacity.
   * @returns The room, or `undefined` if there is none now.
   * @throws {IpcError} `Disconnected`, `Closed`; `TooLarge` if the ring can never hold it.
   */
  tryReserve(length: number): Loan | undefined {
    const port = this.#core.port();
    return port.ifRoom(() => tryLoan(port, length));
  }

  /**
   * What became of a loan whose process was killed: whether it was committed before. Exact for all that happened while
   * killed senders have left up to 15 gaps and less than 128 GiB went through the channel; from then on "unknown". A loan
   * that was given up, and not by a death, may count as sent.
   *
   * @param receipt What {@linkcode Loan.receipt} of a loan of this channel said, in this process or an earlier one.
   * @returns The outcome, as of now: "not sent" also of a loan that is still open.
   * @throws {IpcError} `Closed`.
   * @throws {TypeError} If it is no receipt.
   * @throws {RangeError} If its numbers are not those of one.
   */
  outcome(receipt: LoanReceipt): LoanOutcome {
    const { position, gaps } = optionsOf(receipt, "Cannot look up a loan");
    for (const number of [position, gaps]) integerOf(number, 0, 0xffff_ffff, "Cannot look up a loan by the number");
    return this.#core.port().ring.outcomeOf(position | 0, gaps | 0);
  }

  /**
   * Reserves room for several messages in the ring itself, to be filled in place and sent together: the fastest way to
   * write many small messages in place. Waits until there is room for all of them.
   *
   * @param count Messages, from 1.
   * @param length Bytes of each at most. In the ring each takes a multiple of 64; all of them, at most the capacity.
   * @param options How long to wait at most, in milliseconds, and a signal that ends the wait.
   * @returns The room.
   * @throws {IpcError} `Disconnected`, `Timeout`, `Closed`; `TooLarge` if the ring can never hold them.
   * @throws {RangeError} If `count` is not an integer from 1, or `length` not one from 0.
   */
  reserveMany(count: number, length: number, options?: WaitOptions): Promise<LoanBatch> {
    return this.#whenRoom((port) => tryLoanMany(port, count, length), options);
  }

  /**
   * The blocking twin of {@linkcode reserveMany}.
   *
   * @param count Messages, from 1.
   * @param length Bytes of each at most.
   * @param options How long to wait at most, in milliseconds.
   * @returns The room.
   * @throws {IpcError} As {@linkcode reserveMany}.
   * @throws {RangeError} As {@linkcode reserveMany}.
   */
  reserveManySync(count: number, length: number, options?: SyncWaitOptions): LoanBatch {
    if (options !== undefined) timeoutOf(options);
    const port = this.#core.port();
    return port.whenRoomSync(() => tryLoanMany(port, count, length), options);
  }

  /**
   * Reserves room for several messages if there is some now.
   *
   * @param count Messages, from 1.
   * @param length Bytes of each at most.
   * @returns The room, or `undefined` if there is not enough now.
   * @throws {IpcError} `Disconnected`, `Closed`; `TooLarge` if the ring can never hold them.
   * @throws {RangeError} As {@linkcode reserveMany}.
   */
  tryReserveMany(count: number, length: number): LoanBatch | undefined {
    const port = this.#core.port();
    return port.ifRoom(() => tryLoanMany(port, count, length));
  }

  #whenRoom<L extends object>(
    attempt: (port: SenderPort) => L | undefined,
    options: WaitOptions | undefined,
  ): Promise<L> {
    try {
      if (options !== undefined) {
        timeoutOf(options);
        options.signal?.throwIfAborted();
      }
      const port = this.#core.port();
      return port.whenRoom(this.#core, () => attempt(port), options);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
  }

  /**
   * A stream that sends what is written to it. While the ring is full it waits, so back-pressure reaches the writer.
   * Closing or aborting the stream closes the sender, and so does a value that cannot be sent.
   *
   * @returns The stream.
   */
  toWritableStream(): WritableStream<Uint8Array> {
    return this.#core.toWritableStream();
  }

  /** Closes this sender. Closing twice is harmless; messages that were sent still arrive. */
  close(): void {
    this.#core.close();
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A byte sender of what the library has. */
export function bytesSenderFrom(source: SenderSource): IpcBytesSender {
  return make(new SenderCore(source, BYTES));
}
