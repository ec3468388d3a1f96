// Two channels of bytes, one each way, as one object.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { Borrowed } from "../message/borrowed.ts";
import type { BorrowedBatch } from "../message/borrowed_batch.ts";
import type { LoanBatch } from "./loan_batch.ts";
import type { Loan } from "./reservation.ts";
import { canTravel } from "../../base/pack.ts";
import type { TravellerKind } from "../message/travellers.ts";
import type { RunOptions } from "./duplex.ts";
import { answerMessages } from "./answering.ts";
import { type IpcBytesReceiver, movedBytesReceiver } from "./bytes_receiver.ts";
import type { IpcBytesSender } from "./bytes_sender.ts";
import { checkHalves, packHalves, unpackHalves } from "./bytes_halves.ts";
import type { TryRecvResult } from "./try_recv_result.ts";

/** How duplexes get into messages, and out of them: as a sender and a receiver. */
export let bytesDuplexKind: TravellerKind<IpcBytesDuplex>;

/**
 * One end of a conversation in byte strings, which go through as they are: what this end sends is what the other receives, and
 * the other way round.
 *
 * @example A question filled in place, and an answer read in place
 * ```ts
 * import { bytesDuplex } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [asking, answering] = bytesDuplex();
 * const running = answering.run((numbers) => new Uint8Array([numbers.length])); // in another process, usually
 * using loan = await asking.reserve(1000);
 * loan.bytes.fill(7);
 * loan.commit();
 * using answer = await asking.borrow();
 * assertEquals(answer.value[0], 1000 & 255);
 * asking.close();
 * await running;
 * answering.close();
 * ```
 */
export class IpcBytesDuplex implements Disposable, AsyncIterable<Uint8Array<ArrayBuffer>> {
  static {
    canTravel(this.prototype);
    bytesDuplexKind = {
      is: (object) => #sender in object,
      pack: (duplex, attachments) => packHalves(duplex.#sender, duplex.#receiver, attachments),
      unpack: (attachments, first, details) => new IpcBytesDuplex(...unpackHalves(attachments, first, details)),
    };
    printAs<IpcBytesDuplex>(this.prototype, (duplex) => ({
      state: stateOf(duplex),
      peer: duplex.peer,
      sender: duplex.#sender,
      receiver: duplex.#receiver,
    }));
  }

  readonly #sender: IpcBytesSender;
  readonly #receiver: IpcBytesReceiver;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;
  /** Who is at the other end, if it came through a server: as the kernel says when it connected. */
  readonly peer?: PeerCredentials;

  /**
   * Puts a sender and a receiver together; both belong to the duplex from now on.
   *
   * @param sender What goes out.
   * @param receiver What comes in.
   * @param peer Who is at the other end, if it is known.
   */
  constructor(sender: IpcBytesSender, receiver: IpcBytesReceiver, peer?: PeerCredentials) {
    checkHalves(sender, receiver);
    this.#sender = sender;
    this.#receiver = receiver;
    if (peer !== undefined) this.peer = peer;
  }

  /** Whether this end was closed, split or sent away. */
  get closed(): boolean {
    return this.#sender.closed && this.#receiver.closed;
  }

  /**
   * Sends a byte string, as {@linkcode IpcBytesSender.send}.
   *
   * @param value The bytes.
   * @param options How long to wait for room at most, and a signal that ends the wait.
   * @returns Resolves when the message is on its way.
   * @throws {IpcError} `Disconnected` if the other end is gone, `Timeout`, `Closed`.
   */
  send(value: Uint8Array, options?: WaitOptions): Promise<void> {
    return this.#sender.send(value, options);
  }

  /**
   * Sends a byte string; blocks the thread while there is no room.
   *
   * @param value The bytes.
   * @param options How long to wait for room at most.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendSync(value: Uint8Array, options?: SyncWaitOptions): void {
    this.#sender.sendSync(value, options);
  }

  /**
   * Sends a byte string if there is room for it now.
   *
   * @param value The bytes.
   * @returns `false` if there is none; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  trySend(value: Uint8Array): boolean {
    return this.#sender.trySend(value);
  }

  /**
   * Waits until the other end has received everything, and sends then.
   *
   * @param value The bytes.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns Resolves when the message is on its way.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmpty(value: Uint8Array, options?: WaitOptions): Promise<void> {
    return this.#sender.sendWhenEmpty(value, options);
  }

  /**
   * The blocking twin of {@linkcode sendWhenEmpty}.
   *
   * @param value The bytes.
   * @param options How long to wait at most.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmptySync(value: Uint8Array, options?: SyncWaitOptions): void {
    this.#sender.sendWhenEmptySync(value, options);
  }

  /**
   * Reserves room for a message in the ring itself, to be filled in place, as {@linkcode IpcBytesSender.reserve}.
   *
   * @param length Bytes, at most the capacity.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The room.
   * @throws {IpcError} `Disconnected`, `Timeout`, `Closed`; `TooLarge` if the ring can never hold it.
   * @throws {RangeError} If the length is not an integer from 0.
   */
  reserve(length: number, options?: WaitOptions): Promise<Loan> {
    return this.#sender.reserve(length, options);
  }

  /**
   * The blocking twin of {@linkcode reserve}.
   *
   * @param length Bytes, at most the capacity.
   * @param options How long to wait at most.
   * @returns The room.
   * @throws {IpcError} As {@linkcode reserve}.
   */
  reserveSync(length: number, options?: SyncWaitOptions): Loan {
    return this.#sender.reserveSync(length, options);
  }

  /**
   * Reserves room for a message if there is some now.
   *
   * @param length Bytes, at most the capacity.
   * @returns The room, or `undefined` if there is none now.
   * @throws {IpcError} `Disconnected`, `Closed`; `TooLarge` if the ring can never hold it.
   */
  tryReserve(length: number): Loan | undefined {
    return this.#sender.tryReserve(length);
  }

  /**
   * Reserves room for several messages, as {@linkcode IpcBytesSender.reserveMany}.
   *
   * @param count Messages, from 1.
   * @param length Bytes of each at most.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The room.
   * @throws {IpcError} As {@linkcode IpcBytesSender.reserveMany}.
   */
  reserveMany(count: number, length: number, options?: WaitOptions): Promise<LoanBatch> {
    return this.#sender.reserveMany(count, length, options);
  }

  /**
   * The blocking twin of {@linkcode reserveMany}.
   *
   * @param count Messages, from 1.
   * @param length Bytes of each at most.
   * @param options How long to wait at most.
   * @returns The room.
   * @throws {IpcError} As {@linkcode reserveMany}.
   */
  reserveManySync(count: number, length: number, options?: SyncWaitOptions): LoanBatch {
    return this.#sender.reserveManySync(count, length, options);
  }

  /**
   * Reserves room for several messages if there is some now.
   *
   * @param count Messages, from 1.
   * @param length Bytes of each at most.
   * @returns The room, or `undefined` if there is not enough now.
   * @throws {IpcError} As {@linkcode reserveMany}.
   */
  tryReserveMany(count: number, length: number): LoanBatch | undefined {
    return this.#sender.tryReserveMany(count, length);
  }

  /**
   * Waits for the next message, as {@linkcode IpcBytesReceiver.recv}.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message.
   * @throws {IpcError} `Disconnected` once the other end is gone and all is received; `Timeout`; `Closed`;
   * `Serialization`; `Corrupt`.
   */
  recv(options?: WaitOptions): Promise<Uint8Array<ArrayBuffer>> {
    return this.#receiver.recv(options);
  }

  /**
   * Waits for the next message; blocks the thread.
   *
   * @param options How long to wait at most.
   * @returns The message.
   * @throws {IpcError} As {@linkcode recv}.
   */
  recvSync(options?: SyncWaitOptions): Uint8Array<ArrayBuffer> {
    return this.#receiver.recvSync(options);
  }

  /**
   * Takes the next message if one is there.
   *
   * @returns The message, or why there is none: `empty` for now, or `disconnected` for good.
   * @throws {IpcError} `Closed`, `Serialization`, `Corrupt`.
   */
  tryRecv(): TryRecvResult<Uint8Array<ArrayBuffer>> {
    return this.#receiver.tryRecv();
  }

  /**
   * Takes all messages that are there; never waits.
   *
   * @param max Messages to take at most; all by default.
   * @returns The messages, possibly none.
   * @throws {IpcError} As {@linkcode tryRecv}.
   */
  recvMany(max?: number): Uint8Array<ArrayBuffer>[] {
    return this.#receiver.recvMany(max);
  }

  /**
   * Waits for the next message and copies it into memory of the caller's, as {@linkcode IpcBytesReceiver.recvInto}.
   *
   * @param target Where the message goes, at the beginning.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns Bytes of the message.
   * @throws {IpcError} As {@linkcode recv}; `TooLarge` if the message is longer than `target`: it stays the next one.
   */
  recvInto(target: Uint8Array, options?: WaitOptions): Promise<number> {
    return this.#receiver.recvInto(target, options);
  }

  /**
   * The blocking twin of {@linkcode recvInto}.
   *
   * @param target Where the message goes, at the beginning.
   * @param options How long to wait at most.
   * @returns Bytes of the message.
   * @throws {IpcError} As {@linkcode recvInto}.
   */
  recvIntoSync(target: Uint8Array, options?: SyncWaitOptions): number {
    return this.#receiver.recvIntoSync(target, options);
  }

  /**
   * Waits for the next message and reads it in place, as {@linkcode IpcBytesReceiver.borrow}.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrow(options?: WaitOptions): Promise<Borrowed<Uint8Array<ArrayBuffer>>> {
    return this.#receiver.borrow(options);
  }

  /**
   * The blocking twin of {@linkcode borrow}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrowSync(options?: SyncWaitOptions): Borrowed<Uint8Array<ArrayBuffer>> {
    return this.#receiver.borrowSync(options);
  }

  /**
   * Reads the next message in place if one is there.
   *
   * @returns The message, or `undefined` if there is none now.
   * @throws {IpcError} `Disconnected`, `Closed`, `Serialization`, `Corrupt`.
   */
  tryBorrow(): Borrowed<Uint8Array<ArrayBuffer>> | undefined {
    return this.#receiver.tryBorrow();
  }

  /**
   * Reads the next messages in place, as {@linkcode IpcBytesReceiver.borrowMany}.
   *
   * @param max Messages to hand out at most; all that are there by default.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The messages, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrowMany(max?: number, options?: WaitOptions): Promise<BorrowedBatch> {
    return this.#receiver.borrowMany(max, options);
  }

  /**
   * The blocking twin of {@linkcode borrowMany}.
   *
   * @param max Messages to hand out at most; all that are there by default.
   * @param options How long to wait at most.
   * @returns The messages, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrowManySync(max?: number, options?: SyncWaitOptions): BorrowedBatch {
    return this.#receiver.borrowManySync(max, options);
  }

  /**
   * Reads the messages in place that are there.
   *
   * @param max Messages to hand out at most; all that are there by default.
   * @returns The messages, or `undefined` if there is none now.
   * @throws {IpcError} As {@linkcode tryBorrow}.
   */
  tryBorrowMany(max?: number): BorrowedBatch | undefined {
    return this.#receiver.tryBorrowMany(max);
  }

  /**
   * What comes in, as a stream: see {@linkcode IpcBytesReceiver.toReadableStream}. Its end, or cancelling it, closes this
   * direction alone. The same stream every time.
   *
   * @throws {IpcError} `Closed`.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= this.#receiver.toReadableStream();
  }

  /**
   * What goes out, as a stream: see {@linkcode IpcBytesSender.toWritableStream}. Closing it closes this direction alone: the
   * other end has received everything then. The same stream every time.
   */
  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= this.#sender.toWritableStream();
  }

  /**
   * Says for how long a wait of this end may look for a message before it sleeps; see {@linkcode IpcBytesReceiver.limitSpins}.
   *
   * @param microseconds Microseconds at most, 0 to 10,000; 0 turns looking off.
   * @throws {IpcError} `Closed`.
   * @throws {RangeError} If it is not such a number.
   */
  limitSpins(microseconds: number): void {
    this.#receiver.limitSpins(microseconds);
  }

  /**
   * Limits how large a message may be that this end receives; see {@linkcode IpcBytesReceiver.limitMessages}.
   *
   * @param bytes Bytes, an integer from 0; `Infinity` for no limit.
   * @throws {IpcError} `Closed`.
   * @throws {TypeError} If it is no number.
   * @throws {RangeError} If it is not such a number.
   */
  limitMessages(bytes: number): void {
    this.#receiver.limitMessages(bytes);
  }

  /** Iterates over the messages until the other end is gone, or this one is closed. Leaving the loop takes no message. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.#receiver.values();
  }

  /**
   * Iterates over the messages until a signal ends the loop, as {@linkcode IpcBytesReceiver.values}.
   *
   * @param options What ends it.
   * @returns The messages.
   */
  values(options?: IterationOptions): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.#receiver.values(options);
  }

  /**
   * Answers messages, one after another, until the other end is gone, this end is closed, or the signal says so.
   *
   * @param handler Called with each message. What it returns, or resolves with, is sent back; `undefined` is not.
   * @param options How to end it.
   * @returns Resolves at the end; rejects with what a handler throws.
   * @throws {IpcError} `Closed` if this end was closed before; `Serialization`; `Corrupt`.
   */
  async run(
    handler: (message: Uint8Array<ArrayBuffer>) => Uint8Array | void | Promise<Uint8Array | void>,
    options: RunOptions = {},
  ): Promise<void> {
    await answerMessages(this, handler, options);
  }

  /**
   * Takes the duplex apart. Its halves move: this object counts as closed.
   *
   * @returns The sender and the receiver.
   * @throws {IpcError} `Closed` if it was closed; what is still open of it stays with it.
   */
  split(): [IpcBytesSender, IpcBytesReceiver] {
    const sender = this.#sender.clone();
    try {
      const receiver = movedBytesReceiver(this.#receiver);
      this.#sender.close();
      return [sender, receiver];
    } catch (error) {
      sender.close();
      throw error;
    }
  }

  /** Closes both directions. Closing twice is harmless; what was sent still arrives. */
  close(): void {
    this.#sender.close();
    this.#receiver.close();
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
