// Two channels, one each way, as one object.
import { asFound } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { Borrowed } from "../message/borrowed.ts";
import { canTravel } from "../../base/pack.ts";
import type { ReceivedAttachments } from "../message/attachments.ts";
import type { EncodedMessage } from "../message/encoded_message.ts";
import type { TravellerKind } from "../message/travellers.ts";
import type { RingProducer } from "../ring/producer.ts";
import { answerMessages } from "./answering.ts";
import { IpcReceiver, movedReceiver, receiverFrom, receiverKind } from "./receiver.ts";
import { claimReceiver } from "./receiver_seat.ts";
import { IpcSender, ringOfSender, senderFrom, senderKind } from "./sender.ts";
import { claimSender, senderShape } from "../message/sender_attachment.ts";
import type { TryRecvResult } from "./try_recv_result.ts";

/** The ring that a duplex sends through, attached. */
export let ringOfDuplex: (duplex: IpcDuplex<never, unknown>) => RingProducer;

/** How duplexes get into messages, and out of them: as a sender and a receiver. */
export let duplexKind: TravellerKind<IpcDuplex<unknown, unknown>>;

/**
 * Options of {@linkcode IpcDuplex.run}.
 *
 * @example Answering until told to stop
 * ```ts
 * import { duplex, type RunOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [asking, answering] = duplex<string, number>();
 * const stop = new AbortController();
 * const options: RunOptions = { signal: stop.signal };
 * const running = answering.run((question) => question.length, options);
 * await asking.send("how long?");
 * assertEquals(await asking.recv(), 9);
 *
 * stop.abort();
 * await running; // the other end is still there
 * asking.close(), answering.close();
 * ```
 */
export interface RunOptions {
  /**
   * Ends the loop, after the handler that is at work; an answer that waits for room is not sent any more. The promise
   * resolves.
   */
  signal?: AbortSignal;
}

/**
 * One end of a conversation: what this end sends is what the other receives, and the other way round.
 *
 * @typeParam Out What this end sends.
 * @typeParam In What this end receives.
 *
 * @example Questions and answers
 * ```ts
 * import { duplex } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [asking, answering] = duplex<string, number>();
 * const running = answering.run((question) => question.length); // in another process, usually
 *
 * await asking.send("how long?");
 * assertEquals(await asking.recv(), 9);
 * asking.close();
 * await running;
 * answering.close();
 * ```
 */
export class IpcDuplex<in Out, out In> implements Disposable, AsyncIterable<In> {
  static {
    canTravel(this.prototype);
    ringOfDuplex = (duplex) => ringOfSender(duplex.#sender);
    duplexKind = {
      is: (object) => #sender in object,
      pack(duplex, attachments) {
        const ofSender = senderKind.pack(duplex.#sender, attachments);
        const ofReceiver = receiverKind.pack(duplex.#receiver, attachments);
        attachments.moves(() => duplex.#sender.close(), () => {});
        return [...ofSender, ...ofReceiver];
      },
      unpack,
    };
  }

  static {
    printAs<IpcDuplex<unknown, unknown>>(IpcDuplex.prototype, (duplex) => ({
      state: stateOf(duplex),
      peer: duplex.peer,
      sender: duplex.#sender,
      receiver: duplex.#receiver,
    }));
  }

  readonly #sender: IpcSender<Out>;
  readonly #receiver: IpcReceiver<In>;
  #readable: ReadableStream<In> | undefined;
  #writable: WritableStream<Out> | undefined;
  /** Who is at the other end, if it came through a server: as the kernel says when it connected. */
  readonly peer?: PeerCredentials;

  /**
   * Puts a sender and a receiver together; both belong to the duplex from now on.
   *
   * @param sender What goes out.
   * @param receiver What comes in.
   * @param peer Who is at the other end, if it is known.
   */
  constructor(sender: IpcSender<Out>, receiver: IpcReceiver<In>, peer?: PeerCredentials) {
    if (!(sender instanceof IpcSender) || !(receiver instanceof IpcReceiver)) {
      throw new TypeError(
        `Cannot make a duplex of ${asFound(sender)} and ${asFound(receiver)}: give an IpcSender and an IpcReceiver`,
      );
    }
    this.#sender = sender;
    this.#receiver = receiver;
    if (peer !== undefined) this.peer = peer;
  }

  /** Whether this end was closed, split or sent away. */
  get closed(): boolean {
    return this.#sender.closed && this.#receiver.closed;
  }

  /**
   * Sends a value, as {@linkcode IpcSender.send}.
   *
   * @param value The value.
   * @param options How long to wait for room at most, and a signal that ends the wait.
   * @returns Resolves when the message is on its way.
   * @throws {IpcError} `Disconnected` if the other end is gone, `Timeout`, `Serialization`, `Closed`.
   */
  send(value: Out, options?: WaitOptions): Promise<void> {
    return this.#sender.send(value, options);
  }

  /**
   * Sends a value; blocks the thread while there is no room.
   *
   * @param value The value.
   * @param options How long to wait for room at most.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendSync(value: Out, options?: SyncWaitOptions): void {
    this.#sender.sendSync(value, options);
  }

  /**
   * Sends a value if there is room for it now.
   *
   * @param value The value.
   * @returns `false` if there is none; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  trySend(value: Out): boolean {
    return this.#sender.trySend(value);
  }

  /**
   * Waits until the other end has received everything, and sends then.
   *
   * @param value The value.
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns Resolves when the message is on its way.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmpty(value: Out, options?: WaitOptions): Promise<void> {
    return this.#sender.sendWhenEmpty(value, options);
  }

  /**
   * The blocking twin of {@linkcode sendWhenEmpty}.
   *
   * @param value The value.
   * @param options How long to wait at most.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmptySync(value: Out, options?: SyncWaitOptions): void {
    this.#sender.sendWhenEmptySync(value, options);
  }

  /**
   * Sends a message on, as {@linkcode IpcSender.sendEncoded}.
   *
   * @param message The message; it stays the caller's.
   * @param options How long to wait for room at most, and a signal that ends the wait.
   * @returns Resolves when the message is on its way.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendEncoded(message: EncodedMessage, options?: WaitOptions): Promise<void> {
    return this.#sender.sendEncoded(message, options);
  }

  /**
   * Waits for the next message and takes it as it is, as {@linkcode IpcReceiver.recvEncoded}.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message, to be closed.
   * @throws {IpcError} As {@linkcode recv}, but `Serialization`.
   */
  recvEncoded(options?: WaitOptions): Promise<EncodedMessage> {
    return this.#receiver.recvEncoded(options);
  }

  /**
   * Waits for the next message, as {@linkcode IpcReceiver.recv}.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message.
   * @throws {IpcError} `Disconnected` once the other end is gone and all is received; `Timeout`; `Closed`;
   * `Serialization`; `Corrupt`.
   */
  recv(options?: WaitOptions): Promise<In> {
    return this.#receiver.recv(options);
  }

  /**
   * Waits for the next message; blocks the thread.
   *
   * @param options How long to wait at most.
   * @returns The message.
   * @throws {IpcError} As {@linkcode recv}.
   */
  recvSync(options?: SyncWaitOptions): In {
    return this.#receiver.recvSync(options);
  }

  /**
   * Takes the next message if one is there.
   *
   * @returns The message, or why there is none: `empty` for now, or `disconnected` for good.
   * @throws {IpcError} `Closed`, `Serialization`, `Corrupt`.
   */
  tryRecv(): TryRecvResult<In> {
    return this.#receiver.tryRecv();
  }

  /**
   * Takes all messages that are there; never waits.
   *
   * @param max Messages to take at most; all by default.
   * @returns The messages, possibly none.
   * @throws {IpcError} As {@linkcode tryRecv}.
   */
  recvMany(max?: number): In[] {
    return this.#receiver.recvMany(max);
  }

  /**
   * Waits for the next message and reads it in place, as {@linkcode IpcReceiver.borrow}.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrow(options?: WaitOptions): Promise<Borrowed<In>> {
    return this.#receiver.borrow(options);
  }

  /**
   * The blocking twin of {@linkcode borrow}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrowSync(options?: SyncWaitOptions): Borrowed<In> {
    return this.#receiver.borrowSync(options);
  }

  /**
   * Reads the next message in place if one is there.
   *
   * @returns The message, or `undefined` if there is none now.
   * @throws {IpcError} `Disconnected`, `Closed`, `Serialization`, `Corrupt`.
   */
  tryBorrow(): Borrowed<In> | undefined {
    return this.#receiver.tryBorrow();
  }

  /**
   * What comes in, as a stream: see {@linkcode IpcReceiver.toReadableStream}. Its end, or cancelling it, closes this
   * direction alone. The same stream every time.
   *
   * @throws {IpcError} `Closed`.
   */
  get readable(): ReadableStream<In> {
    return this.#readable ??= this.#receiver.toReadableStream();
  }

  /**
   * What goes out, as a stream: see {@linkcode IpcSender.toWritableStream}. Closing it closes this direction alone: the
   * other end has received everything then. The same stream every time.
   */
  get writable(): WritableStream<Out> {
    return this.#writable ??= this.#sender.toWritableStream();
  }

  /**
   * Says for how long a wait of this end may look for a message before it sleeps; see {@linkcode IpcReceiver.limitSpins}.
   *
   * @param microseconds Microseconds at most, 0 to 10,000; 0 turns looking off.
   * @throws {IpcError} `Closed`.
   * @throws {RangeError} If it is not such a number.
   */
  limitSpins(microseconds: number): void {
    this.#receiver.limitSpins(microseconds);
  }

  /**
   * Limits how large a message may be that this end receives; see {@linkcode IpcReceiver.limitMessages}.
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
  [Symbol.asyncIterator](): AsyncIterableIterator<In> {
    return this.#receiver.values();
  }

  /**
   * Iterates over the messages until a signal ends the loop, as {@linkcode IpcReceiver.values}.
   *
   * @param options What ends it.
   * @returns The messages.
   */
  values(options?: IterationOptions): AsyncIterableIterator<In> {
    return this.#receiver.values(options);
  }

  /**
   * Answers messages, one after another, until the other end is gone, this end is closed, or the signal says so.
   *
   * @param handler Called with each message. What it returns, or resolves with, is sent back; `undefined` is not.
   * @param options How to end it.
   * @returns Resolves at the end; rejects with what a handler throws.
   * @throws {IpcError} `Closed` if this end was closed before; `Serialization` for a message that cannot be decoded, or an
   * answer that cannot be encoded; `Corrupt`.
   */
  async run(handler: (message: In) => Out | void | Promise<Out | void>, options: RunOptions = {}): Promise<void> {
    await answerMessages(this, handler, options);
  }

  /**
   * Takes the duplex apart. Its halves move: this object counts as closed.
   *
   * @returns The sender and the receiver.
   * @throws {IpcError} `Closed` if it was closed; what is still open of it stays with it.
   */
  split(): [IpcSender<Out>, IpcReceiver<In>] {
    const sender = this.#sender.clone();
    try {
      const receiver = movedReceiver(this.#receiver);
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

function unpack(attachments: ReceivedAttachments, first: unknown, details: readonly unknown[]): Disposable {
  const sender = senderFrom<unknown>(claimSender(attachments, first, details));
  const shape = senderShape(details);
  try {
    const arrival = claimReceiver(attachments, (first as number) + shape.fds, details.slice(shape.details));
    return new IpcDuplex(sender, receiverFrom<unknown>(arrival));
  } catch (error) {
    sender.close();
    throw error;
  }
}
