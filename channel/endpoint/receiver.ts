// The typed receiver, and the same without its type.
import { optionsOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import { canTravel } from "../../base/pack.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { Borrowed } from "../message/borrowed.ts";
import { type EncodedMessage, takeEncoded } from "../message/encoded_message.ts";
import type { TravellerKind } from "../message/travellers.ts";
import { type NamedReceiverOptions, openNamedConsumer } from "../named/consumer.ts";
import { removeRingFile } from "../named/file.ts";
import { valueDecoder } from "./decoder.ts";
import { ReceiverCore } from "./receiver_core.ts";
import { claimReceiver, type ReceiverSource } from "./receiver_seat.ts";
import type { TryRecvResult } from "./try_recv_result.ts";

// Set by the classes, as only they see what is inside.
let makeReceiver: <T>(core: ReceiverCore<T>) => IpcReceiver<T>;
let makeOpaque: <T>(core: ReceiverCore<T>) => OpaqueIpcReceiver;

/** Takes what is inside of a receiver, which counts as closed from then on. Throws `Closed` if it is that already. */
export let moveOut: <T>(receiver: IpcReceiver<T>) => ReceiverCore<T>;
/** The same, of one without a type. */
export let moveOutOpaque: (receiver: OpaqueIpcReceiver) => ReceiverCore<unknown>;

/** How receivers get into messages, and out of them. */
export let receiverKind: TravellerKind<IpcReceiver<unknown>>;
/** The same without a type. */
export let opaqueReceiverKind: TravellerKind<OpaqueIpcReceiver>;

/**
 * Receives the values that senders put into a channel, each sender's in order, each exactly once. A channel has one
 * receiver at a time; put inside a value that is sent, it moves to the receiver of that.
 *
 * @typeParam T What is received. Nobody checks it: it is what the senders send.
 *
 * @example Receiving until every sender is gone
 * ```ts
 * import { channel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<string>();
 * sender.sendSync("one");
 * sender.sendSync("two");
 * sender.close();
 *
 * const received: string[] = [];
 * for await (const text of receiver) received.push(text);
 * assertEquals(received, ["one", "two"]);
 * receiver.close();
 * ```
 */
export class IpcReceiver<out T> implements Disposable, AsyncIterable<T> {
  static {
    canTravel(this.prototype);
    printAs<IpcReceiver<unknown>>(this.prototype, (receiver) => receiver.#core.look());
    makeReceiver = (core) => new IpcReceiver(core);
    moveOut = (receiver) => {
      const core = receiver.#core;
      receiver.#core = core.leave();
      return core;
    };
    receiverKind = {
      is: (object) => #core in object,
      pack: (receiver, attachments) => receiver.#core.pack(attachments),
      unpack: (attachments, first, details) => receiverFrom(claimReceiver(attachments, first, details)),
    };
  }

  #core: ReceiverCore<T>;

  private constructor(core: object) {
    if (!(core instanceof ReceiverCore)) {
      throw new TypeError("Cannot make a receiver: receivers come from channel(), create(), servers and messages");
    }
    this.#core = core;
  }

  /**
   * Receives from a named channel, which is made if there is none. A receiver that is started again, after it was closed
   * or killed, goes on with the next message; with `redeliver`, with the first that was borrowed and not released. Closing it removes the channel's files if everything was received and no
   * sender is attached.
   *
   * @typeParam T What is received.
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
  static create<T>(path: string, options: NamedReceiverOptions = {}): IpcReceiver<T> {
    return receiverFrom<T>(openNamedConsumer(path, options));
  }

  /**
   * Removes a named channel: its files, and with them what was not received.
   *
   * @param path Where the channel's file is.
   * @param options With `force`, also if a process is attached; they go on with each other, without a name.
   * @returns Whether it was removed: `false` if it is not there, or, without `force`, if a process is attached.
   * @throws {IpcError} `Incompatible` if the path is something else, which stays; `Permission`.
   */
  static remove(path: string, options: { force?: boolean } = {}): boolean {
    return removeRingFile(path, optionsOf(options, "Cannot remove a channel").force === true);
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
  recv(options?: WaitOptions): Promise<T> {
    return this.#core.recv(options);
  }

  /**
   * Waits for the next message; blocks the thread.
   *
   * @param options How long to wait at most; no message is lost by it.
   * @returns The message.
   * @throws {IpcError} As {@linkcode recv}.
   */
  recvSync(options?: SyncWaitOptions): T {
    return this.#core.recvSync(options);
  }

  /**
   * Takes the next message if one is there.
   *
   * @returns The message, or why there is none: `empty` for now, or `disconnected` for good.
   * @throws {IpcError} `Closed`, `Serialization`, `Corrupt`.
   */
  tryRecv(): TryRecvResult<T> {
    return this.#core.tryRecv();
  }

  /**
   * Takes the messages that are there when it is called; never waits.
   *
   * @param max Messages to take at most; all by default.
   * @returns The messages, possibly none. At the end of the senders it is always empty: ask {@linkcode tryRecv}.
   * @throws {IpcError} `Closed`; and for a message that cannot be decoded, after those before it were returned.
   */
  recvMany(max: number = Infinity): T[] {
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
  borrow(options?: WaitOptions): Promise<Borrowed<T>> {
    return this.#core.borrow(options);
  }

  /**
   * The blocking twin of {@linkcode borrow}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrowSync(options?: SyncWaitOptions): Borrowed<T> {
    return this.#core.borrowSync(options);
  }

  /**
   * Reads the next message in place if one is there.
   *
   * @returns The message, or `undefined` if there is none now.
   * @throws {IpcError} `Disconnected`, `Closed`, `Serialization`, `Corrupt`.
   */
  tryBorrow(): Borrowed<T> | undefined {
    return this.#core.tryBorrow();
  }

  /**
   * This receiver without its type, for sets of different ones. It moves: this object is closed.
   *
   * @returns The opaque receiver.
   * @throws {IpcError} `Closed`.
   */
  toOpaque(): OpaqueIpcReceiver {
    return makeOpaque(moveOut(this));
  }

  /**
   * Waits for the next message and takes it as it is, for passing it on by {@linkcode IpcSender.sendEncoded}: nothing in it
   * is decoded, and endpoints in it are not attached.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message, to be closed.
   * @throws {IpcError} As {@linkcode recv}, but `Serialization`.
   */
  recvEncoded(options?: WaitOptions): Promise<EncodedMessage> {
    return this.#core.receive(takeEncoded, options);
  }

  /**
   * The blocking twin of {@linkcode recvEncoded}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be closed.
   * @throws {IpcError} As {@linkcode recvEncoded}.
   */
  recvEncodedSync(options?: SyncWaitOptions): EncodedMessage {
    return this.#core.receiveSync(takeEncoded, options);
  }

  /**
   * Takes the next message as it is, if one is there.
   *
   * @returns The message, to be closed; or why there is none: `empty` for now, or `disconnected` for good.
   * @throws {IpcError} `Closed`, `Corrupt`.
   */
  tryRecvEncoded(): TryRecvResult<EncodedMessage> {
    return this.#core.tryReceive(takeEncoded);
  }

  /**
   * Iterates over the messages until every sender is gone, or this receiver is closed. Leaving the loop leaves the
   * receiver open, and takes no message.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.#core.values();
  }

  /**
   * Iterates over the messages, as `for await` on the receiver itself does, until a signal ends the loop.
   *
   * @param options What ends it, beside the end of the senders and {@linkcode close}.
   * @returns The messages. The loop throws for a message that cannot be decoded (it is skipped), and for a channel that a
   * peer has damaged.
   *
   * @example
   * ```ts
   * import { channel } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * const [sender, receiver] = channel<string>();
   * const stop = new AbortController();
   * sender.sendSync("one");
   * sender.sendSync("last");
   * const received: string[] = [];
   * for await (const text of receiver.values({ signal: stop.signal })) {
   *   if (received.push(text) === 2) stop.abort();
   * }
   * assertEquals(received, ["one", "last"]);
   * sender.close(), receiver.close();
   * ```
   */
  values(options?: IterationOptions): AsyncIterableIterator<T> {
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
  toReadableStream(): ReadableStream<T> {
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
   *
   * @example Small messages only
   * ```ts
   * import { channel, IpcError } from "@isthmus/ipc";
   * import { assertEquals, assertThrows } from "@std/assert";
   *
   * const [sender, receiver] = channel<string>();
   * receiver.limitMessages(1024);
   * sender.sendSync("x".repeat(2000));
   * sender.sendSync("short");
   * assertEquals(assertThrows(() => receiver.recvSync(), IpcError).code, "TooLarge");
   * assertEquals(receiver.recvSync(), "short");
   * sender.close(), receiver.close();
   * ```
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

/**
 * A receiver whose type is not known here.
 *
 * @example Giving the type back
 * ```ts
 * import { channel } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<number>();
 * const opaque = receiver.toOpaque();
 * sender.sendSync(7);
 * using numbers = opaque.to<number>();
 * assertEquals(numbers.recvSync(), 7);
 * sender.close();
 * ```
 */
export class OpaqueIpcReceiver implements Disposable {
  static {
    canTravel(this.prototype);
    printAs(this.prototype, (opaque) => ({ state: stateOf(opaque) }));
    makeOpaque = (core) => new OpaqueIpcReceiver(core);
    moveOutOpaque = (opaque) => {
      const core = opaque.#core;
      opaque.#core = core.leave();
      return core;
    };
    opaqueReceiverKind = {
      is: (object) => #core in object,
      pack: (opaque, attachments) => opaque.#core.pack(attachments),
      unpack: (attachments, first, details) =>
        makeOpaque(new ReceiverCore(claimReceiver(attachments, first, details), valueDecoder())),
    };
  }

  #core: ReceiverCore<unknown>;

  private constructor(core: object) {
    if (!(core instanceof ReceiverCore)) {
      throw new TypeError("Cannot make an opaque receiver: call toOpaque() of an IpcReceiver");
    }
    this.#core = core;
  }

  /** Whether it was closed, sent away, or given a type. */
  get closed(): boolean {
    return this.#core.closed;
  }

  /**
   * Gives the receiver a type. It moves: this object is closed.
   *
   * @typeParam T What the senders send; not checked.
   * @returns The typed receiver.
   * @throws {IpcError} `Closed`.
   */
  to<T>(): IpcReceiver<T> {
    return makeReceiver(moveOutOpaque(this) as ReceiverCore<T>);
  }

  /** Closes the receiver. Closing twice is harmless. */
  close(): void {
    this.#core.close();
  }

  /** Same as {@linkcode OpaqueIpcReceiver.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A receiver of what the library has. */
export function receiverFrom<T>(source: ReceiverSource): IpcReceiver<T> {
  return makeReceiver(new ReceiverCore(source, valueDecoder<T>()));
}

/** Moves a receiver into another object. */
export function movedReceiver<T>(receiver: IpcReceiver<T>): IpcReceiver<T> {
  return makeReceiver(moveOut(receiver));
}
