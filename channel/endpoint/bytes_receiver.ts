// The byte receiver: messages as they are, without a decoding.
import { asFound, integerOf } from "../../base/arguments.ts";
import { printAs } from "../../base/custom_inspect.ts";
import { afterOthers } from "../../base/event_loop.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import { canTravel } from "../../base/pack.ts";
import { type SyncWaitOptions, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import type { Borrowed } from "../message/borrowed.ts";
import type { BorrowedBatch } from "../message/borrowed_batch.ts";
import type { TravellerKind } from "../message/travellers.ts";
import { type NamedReceiverOptions, openNamedConsumer } from "../named/consumer.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import { BytesDecoder } from "./bytes_decoder.ts";
import { ReceiverCore } from "./receiver_core.ts";
import { claimReceiver, type ReceiverSource } from "./receiver_seat.ts";
import type { TryRecvResult } from "./try_recv_result.ts";

type BytesCore = ReceiverCore<Uint8Array<ArrayBuffer>, BytesDecoder>;

// Set by the class, as only it sees what is inside.
let make: (core: BytesCore) => IpcBytesReceiver;

/** Takes what is inside of a receiver, which counts as closed from then on. Throws `Closed` if it is that already. */
export let moveOutBytes: (receiver: IpcBytesReceiver) => BytesCore;

/** How byte receivers get into messages, and out of them. */
export let bytesReceiverKind: TravellerKind<IpcBytesReceiver>;

/**
 * Receives byte strings from {@linkcode IpcBytesSender}s.
 *
 * @example Receiving raw bytes
 * ```ts
 * import { bytesChannel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = bytesChannel();
 * sender.sendSync(new Uint8Array(100_000)); // any size; what is larger than the ring goes around it
 * assertEquals((await receiver.recv()).length, 100_000);
 * sender.close(), receiver.close();
 * ```
 */
export class IpcBytesReceiver implements Disposable, AsyncIterable<Uint8Array<ArrayBuffer>> {
  static {
    canTravel(this.prototype);
    printAs(this.prototype, (receiver) => receiver.#core.look());
    make = (core) => new IpcBytesReceiver(core);
    moveOutBytes = (receiver) => {
      const core = receiver.#core;
      receiver.#core = core.leave();
      return core;
    };
    bytesReceiverKind = {
      is: (object) => #core in object,
      pack: (receiver, attachments) => receiver.#core.pack(attachments),
      unpack: (attachments, first, details) => bytesReceiverFrom(claimReceiver(attachments, first, details)),
    };
  }

  #core: BytesCore;

  private constructor(core: object) {
    if (!(core instanceof ReceiverCore)) {
      throw new TypeError("Cannot make a receiver: receivers come from bytesChannel(), create() and messages");
    }
    this.#core = core;
  }

  /**
   * Receives from a named channel, which is made if there is none. A receiver that is started again, after it was closed
   * or killed, goes on with the next message; with `redeliver`, with the first that was borrowed and not released. Closing it removes the channel's files if everything was received and no
   * sender is attached.
   *
   * @param path Where the channel's file is, or is to be; best in a folder that is memory, such as `/dev/shm`. Two FIFOs
   * lie beside it, with `.bell` and `.room` appended.
   * @param options Whose channel is used, and what it does about borrowed messages when it ends; capacity and permission
   * bits, for one that does not exist yet.
   * @returns The receiver.
   * @throws {IpcError} `AlreadyExists` if the channel has a living receiver, `Incompatible` if the path is something
   * else, `NotFound` if its folder does not exist, `Permission` if another user has made it, or others may write to it, who
   * are not trusted; `System` if there is no room for it.
   * @throws {TypeError} If the path cannot be one, or is the name of a server (`@name`).
   * @throws {RangeError} If the capacity or the mode cannot be used.
   */
  static create(path: string, options: NamedReceiverOptions = {}): IpcBytesReceiver {
    return bytesReceiverFrom(openNamedConsumer(path, options));
  }

  /** Whether this receiver was closed, or sent away. */
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
   * Bytes of the channel that messages take which wait to be received.
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
   * Waits for the next message.
   *
   * @param options How long to wait at most, and a signal that ends the wait; no message is lost by either.
   * @returns The message.
   * @throws {IpcError} `Disconnected` once every sender is gone and all messages are received; `Timeout`; `Closed`;
   * `Serialization` if the message cannot be decoded (it is skipped); `Corrupt` if a peer damaged the channel, or if more
   * than 10,000 messages at once, or 1,000 a second, cannot be decoded: the receiver is closed then; `System` if descriptors
   * or memory run out: nothing is lost then.
   * @throws {TypeError} If the time-out is no number of milliseconds from 0.
   */
  recv(options?: WaitOptions): Promise<Uint8Array<ArrayBuffer>> {
    return this.#core.recv(options);
  }

  /**
   * Waits for the next message; blocks the thread.
   *
   * @param options How long to wait at most; no message is lost by it.
   * @returns The message.
   * @throws {IpcError} As {@linkcode recv}.
   */
  recvSync(options?: SyncWaitOptions): Uint8Array<ArrayBuffer> {
    return this.#core.recvSync(options);
  }

  /**
   * Takes the next message if one is there.
   *
   * @returns The message, or why there is none: `empty` for now, or `disconnected` for good.
   * @throws {IpcError} `Closed`, `Serialization`, `Corrupt`.
   */
  tryRecv(): TryRecvResult<Uint8Array<ArrayBuffer>> {
    return this.#core.tryRecv();
  }

  /**
   * Takes the messages that are there when it is called; never waits.
   *
   * @param max Messages to take at most; all by default.
   * @returns The messages, possibly none. At the end of the senders it is always empty: ask {@linkcode tryRecv}.
   * @throws {IpcError} `Closed`, and what is wrong with a message, after those before it were returned.
   */
  recvMany(max: number = Infinity): Uint8Array<ArrayBuffer>[] {
    return this.#core.recvMany(max);
  }

  /**
   * Waits for the next message and reads it in place: its byte strings are views on the ring. (Of a message of values of
   * up to 1 KiB they are copies, as those cost less: nothing has to be released, and nothing becomes empty.)
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrow(options?: WaitOptions): Promise<Borrowed<Uint8Array<ArrayBuffer>>> {
    return this.#core.borrow(options);
  }

  /**
   * The blocking twin of {@linkcode borrow}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrowSync(options?: SyncWaitOptions): Borrowed<Uint8Array<ArrayBuffer>> {
    return this.#core.borrowSync(options);
  }

  /**
   * Reads the next message in place if one is there.
   *
   * @returns The message, or `undefined` if there is none now.
   * @throws {IpcError} `Disconnected`, `Closed`, `Serialization`, `Corrupt`.
   */
  tryBorrow(): Borrowed<Uint8Array<ArrayBuffer>> | undefined {
    return this.#core.tryBorrow();
  }

  /**
   * Waits for a message, and reads it and those behind it in place: the fastest way to receive many small messages.
   *
   * @param max Messages to hand out at most.
   * @default all that are there.
   * @param options How long to wait at most for the first, in milliseconds, and a signal that ends the wait.
   * @returns The messages, to be released soon; those that are not taken out of it stay in the channel.
   * @throws {IpcError} As {@linkcode recv}.
   * @throws {RangeError} If `max` is not an integer from 1.
   */
  borrowMany(max: number = Infinity, options?: WaitOptions): Promise<BorrowedBatch> {
    try {
      checkMax(max);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
    return this.#core.receive((ring) => this.#lendMany(ring, max), options);
  }

  /**
   * The blocking twin of {@linkcode borrowMany}.
   *
   * @param max Messages to hand out at most.
   * @default all that are there.
   * @param options How long to wait at most for the first, in milliseconds.
   * @returns The messages, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   * @throws {RangeError} If `max` is not an integer from 1.
   */
  borrowManySync(max: number = Infinity, options?: SyncWaitOptions): BorrowedBatch {
    checkMax(max);
    if (options !== undefined) timeoutOf(options);
    const ring = this.#core.open();
    if (ring.next() && !ring.extended) return this.#lendMany(ring, max);
    return this.#core.receiveSync((ring) => this.#lendMany(ring, max), options);
  }

  /**
   * Reads the messages in place that are there.
   *
   * @param max Messages to hand out at most.
   * @default all that are there.
   * @returns The messages, or `undefined` if there is none now.
   * @throws {IpcError} As {@linkcode tryBorrow}.
   * @throws {RangeError} If `max` is not an integer from 1.
   */
  tryBorrowMany(max: number = Infinity): BorrowedBatch | undefined {
    checkMax(max);
    return this.#core.receiveNow((ring) => this.#lendMany(ring, max));
  }

  #lendMany(ring: RingConsumer, max: number): BorrowedBatch {
    try {
      return this.#core.decoder.lendMany(ring, max, this.#core);
    } catch (error) {
      throw this.#core.judge(error);
    }
  }

  /**
   * Waits for the next message and copies it into memory of the caller's: the fastest way to receive a copy of 1 KiB or
   * more, as no memory is allocated for it.
   *
   * @param target Where the message goes, at the beginning.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns Bytes of the message.
   * @throws {IpcError} As {@linkcode recv}; `TooLarge` if the message is longer than `target`: it stays the next one.
   */
  recvInto(target: Uint8Array, options?: WaitOptions): Promise<number> {
    try {
      checkTarget(target);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
    return this.#core.receive((ring) => this.#core.decoder.into(ring, target), options);
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
    checkTarget(target);
    return this.#core.receiveSync((ring) => this.#core.decoder.into(ring, target), options);
  }

  /**
   * Iterates over the messages until every sender is gone, or this receiver is closed. Leaving the loop leaves the
   * receiver open, and takes no message.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.#core.values();
  }

  /**
   * Iterates over the messages, as `for await` on the receiver itself does, until a signal ends the loop.
   *
   * @param options What ends it, beside the end of the senders and {@linkcode close}.
   * @returns The messages. The loop throws for a message that cannot be decoded (it is skipped), and for a channel that a
   * peer has damaged.
   */
  values(options?: IterationOptions): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.#core.values(options);
  }

  /**
   * The messages as a stream, which ends when every sender is gone. It takes a message only when it is asked for one,
   * so back-pressure reaches the senders. Cancelling the stream closes the receiver, and so does its end, be it for a
   * message that cannot be decoded.
   *
   * @returns The stream.
   * @throws {IpcError} `Closed`.
   */
  toReadableStream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#core.toReadableStream();
  }

  /**
   * Limits for how long a wait may look for a message before this side goes to sleep, in microseconds; 0 for not at all.
   * Unless set, a wait spins for up to 160 µs, and only while messages come in such quick succession that this pays: a
   * receiver that waits for long uses no processor time. Where peers share a processor, so that spinning does not pay, an
   * awaited wait sleeps as long at most before the event loop has its turn.
   *
   * @param microseconds Microseconds, about, from 0 to 10,000.
   * @throws {RangeError} If it is not such a number.
   * @throws {IpcError} `Closed`.
   */
  limitSpins(microseconds: number): void {
    this.#core.limitSpins(microseconds);
  }

  /**
   * Limits how large a message may be. A larger one is skipped, and the call that would have received it fails with
   * `TooLarge`. By default a message may take half of the memory that the machine has free when it arrives.
   *
   * @param bytes Bytes, an integer from 0; `Infinity` for no limit.
   * @throws {TypeError} If it is no number.
   * @throws {RangeError} If it is not such a number.
   * @throws {IpcError} `Closed`.
   */
  limitMessages(bytes: number): void {
    this.#core.limitMessages(bytes);
  }

  /** Closes the receiver: senders get `Disconnected`, unread messages are dropped. Closing twice is harmless. */
  close(): void {
    this.#core.close();
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A byte receiver of what the library has. */
export function bytesReceiverFrom(source: ReceiverSource): IpcBytesReceiver {
  return make(new ReceiverCore(source, new BytesDecoder()));
}

function checkMax(max: number): void {
  if (max !== Infinity) integerOf(max, 1, Number.MAX_SAFE_INTEGER, "Cannot borrow as many messages as");
}

function checkTarget(target: Uint8Array): void {
  if (!(target instanceof Uint8Array)) {
    throw new TypeError(`Cannot receive into ${asFound(target)}: give a Uint8Array`);
  }
}

/** Moves a receiver into another object; the one given counts as closed then. */
export function movedBytesReceiver(receiver: IpcBytesReceiver): IpcBytesReceiver {
  return make(moveOutBytes(receiver));
}
