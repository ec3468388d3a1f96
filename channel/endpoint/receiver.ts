// The typed receiver, and the same without its type.
import { asFound, optionsOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { Borrowed } from "../message/borrowed.ts";
import { borrowMessage, decodeMessage } from "../message/codec.ts";
import { type EncodedMessage, takeEncoded } from "../message/encoded_message.ts";
import { claimReceiver, MOVE_OUT, ReceiverBase, type TryRecvResult } from "./receiver_base.ts";
import { type NamedChannelOptions, openRingFile, removeRingFile } from "../named/file.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { type Attachments, type Kind, onArrival, PACK, packAs } from "../message/attachments.ts";

/**
 * Receives the values that senders put into a channel, each sender's in order, each exactly once. A channel has one
 * receiver at a time; put inside a value that is sent, it moves to whoever receives that.
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
export class IpcReceiver<out T> extends ReceiverBase<T> {
  /**
   * Receives from a named channel, which is made if there is none. A receiver that is started again, after it was closed
   * or killed, goes on with the next message. Closing it removes the channel's files if everything was received and no
   * sender is attached.
   *
   * @typeParam T What is received.
   * @param path Where the channel's file is, or is to be; best in a folder that is memory, such as `/dev/shm`. Two FIFOs
   * lie beside it, with `.bell` and `.room` appended.
   * @param options Whose channel is used; capacity and permission bits, for one that does not exist yet.
   * @returns The receiver.
   * @throws {IpcError} `AlreadyExists` if the channel has a living receiver, `Incompatible` if the path is something
   * else, `NotFound` if its folder does not exist, `Permission` if another user has made it, or others may write to it, who
   * are not trusted; `System` if there is no room for it.
   * @throws {TypeError} If the path is none, or the name of a server (`@name`).
   * @throws {RangeError} If the capacity or the mode cannot be used.
   */
  static create<T>(path: string, options: NamedChannelOptions = {}): IpcReceiver<T> {
    return new IpcReceiver<T>(RingConsumer.open(openRingFile(path, options)));
  }

  /**
   * Removes a named channel: its files, and with them what was not received.
   *
   * @param path Where the channel's file is.
   * @param options With `force`, also if somebody is attached; they go on with each other, without a name.
   * @returns Whether it was removed: `false` if it is not there, or, without `force`, if somebody is attached.
   * @throws {IpcError} `Incompatible` if the path is something else, which stays; `Permission`.
   */
  static remove(path: string, options: { force?: boolean } = {}): boolean {
    return removeRingFile(path, optionsOf(options, "Cannot remove a channel").force === true);
  }

  /**
   * Waits for the next message.
   *
   * @param options How long to wait at most, and a signal that ends the wait; no message is lost by either.
   * @returns The message.
   * @throws {IpcError} `Disconnected` once every sender is gone and all messages are received; `Timeout`; `Closed`;
   * `Serialization` if the message cannot be decoded (it is skipped); `Corrupt` if a peer damaged the channel; `System` if
   * descriptors or memory run out: nothing is lost then.
   * @throws {TypeError} If the options are none.
   */
  override recv(options?: WaitOptions): Promise<T> {
    return super.recv(options);
  }

  /**
   * The blocking twin of {@linkcode recv}.
   *
   * @param options How long to wait at most; no message is lost by it.
   * @returns The message.
   * @throws {IpcError} As {@linkcode recv}.
   */
  override recvSync(options?: SyncWaitOptions): T {
    return super.recvSync(options);
  }

  /**
   * Takes the next message if one is there.
   *
   * @returns The message, or why there is none: `empty` for now, or `disconnected` for good.
   * @throws {IpcError} As {@linkcode recv}, but `Timeout` and `Disconnected`.
   */
  override tryRecv(): TryRecvResult<T> {
    return super.tryRecv();
  }

  /**
   * This receiver without its type, for sets of different ones. It moves: this object is closed.
   *
   * @returns The opaque receiver.
   * @throws {IpcError} `Closed`.
   */
  toOpaque(): OpaqueIpcReceiver {
    return new OpaqueIpcReceiver(new IpcReceiver<unknown>(this[MOVE_OUT]()));
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
    return this.receive((ring) => takeEncoded(ring as RingConsumer), options);
  }

  /**
   * The blocking twin of {@linkcode recvEncoded}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be closed.
   * @throws {IpcError} As {@linkcode recvEncoded}.
   */
  recvEncodedSync(options?: SyncWaitOptions): EncodedMessage {
    return this.receiveSync((ring) => takeEncoded(ring as RingConsumer), options);
  }

  /**
   * Takes the next message as it is, if one is there.
   *
   * @returns The message, to be closed; or why there is none: `empty` for now, or `disconnected` for good.
   * @throws {IpcError} `Closed`, `Corrupt`.
   */
  tryRecvEncoded(): TryRecvResult<EncodedMessage> {
    try {
      return { state: "message", value: this.recvEncodedSync({ timeout: 0 }) };
    } catch (error) {
      if (error instanceof IpcError && error.code === "Timeout") return { state: "empty" };
      if (error instanceof IpcError && error.code === "Disconnected") return { state: "disconnected" };
      throw error;
    }
  }

  /** @ignore */
  protected override take(ring: unknown): T {
    return decodeMessage(ring as RingConsumer) as T;
  }

  /** @ignore */
  protected override lend(ring: unknown): Borrowed<T> {
    return borrowMessage(ring as RingConsumer) as Borrowed<T>;
  }

  /** @ignore */
  [PACK](attachments: Attachments): [Kind, ...unknown[]] {
    return ["receiver", ...this.pack(attachments)];
  }

  /** @ignore */
  retyped<U>(): IpcReceiver<U> {
    return new IpcReceiver<U>(this[MOVE_OUT]());
  }
}

/**
 * A receiver whose type nobody knows at the moment.
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
    printAs(OpaqueIpcReceiver.prototype, (opaque) => ({ state: stateOf(opaque) }));
  }

  readonly #receiver: IpcReceiver<unknown>;

  /**
   * Not for programs: use {@linkcode IpcReceiver.toOpaque}.
   *
   * @param receiver The receiver, which belongs to this object from now on.
   */
  constructor(receiver: IpcReceiver<unknown>) {
    if (!(receiver instanceof IpcReceiver)) {
      throw new TypeError(`Cannot make an opaque receiver of ${asFound(receiver)}: call toOpaque() of an IpcReceiver`);
    }
    this.#receiver = receiver;
  }

  /** Whether it was closed, sent away, or given a type. */
  get closed(): boolean {
    return this.#receiver.closed;
  }

  /**
   * Gives the receiver a type. It moves: this object is closed.
   *
   * @typeParam T What the senders send; nobody checks.
   * @returns The typed receiver.
   * @throws {IpcError} `Closed`.
   */
  to<T>(): IpcReceiver<T> {
    return this.#receiver.retyped<T>();
  }

  /** Closes the receiver. Closing twice is harmless. */
  close(): void {
    this.#receiver.close();
  }

  /** Same as {@linkcode OpaqueIpcReceiver.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @ignore */
  [PACK](attachments: Attachments): [Kind, ...unknown[]] {
    return packAs("opaque-receiver", this.#receiver, attachments);
  }
}

onArrival(
  "receiver",
  (attachments, first, details) => new IpcReceiver(claimReceiver(attachments, first, details)),
);
onArrival(
  "opaque-receiver",
  (attachments, first, details) => new OpaqueIpcReceiver(new IpcReceiver(claimReceiver(attachments, first, details))),
);
