// What typed and byte senders have in common: everything but the encoding.
import { printAs } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { afterOthers } from "../../base/event_loop.ts";
import { type SyncWaitOptions, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import { closeSenderHandle, isSenderClosed, isSenderHandle, type SenderHandle } from "../ring/sender_handle.ts";
import { packHandle } from "../message/sender_attachment.ts";
import { outgoing } from "../message/outgoing.ts";
import { SenderPort } from "./sender_port.ts";
import type { Attachments } from "../message/attachments.ts";
import { LazyChannel } from "./lazy_channel.ts";

// A backstop for senders that were forgotten: without it the receiver would never see the end of them.
const forgotten = new FinalizationRegistry<SenderSeat>((seat) => seat.leave(seat));

/**
 * The connection of one sender object to its channel, apart from the object, so that it can be let go of when the
 * object is collected. A sender that came in a message is attached to the ring when it is first used.
 */
class SenderSeat extends OpenThing {
  #port: SenderPort | undefined;
  #lazy: LazyChannel | undefined;
  #handle: SenderHandle | undefined;
  #left = false;

  constructor(from: unknown) {
    super();
    if (from instanceof LazyChannel) this.#lazy = from;
    else if (from instanceof SenderPort) this.#port = from;
    else if (isSenderHandle(from)) this.#handle = from;
    else {throw new TypeError(
        "Cannot make a sender: senders come from channel(), connect(), open(), clone() and messages",
      );}
    if (this.#lazy === undefined) this.opened(); // there is nothing to let go of yet
  }

  override letGo(): void {
    this.leave(this);
  }

  get left(): boolean {
    return this.#left;
  }

  /** The port; attaches at first use. */
  port(): SenderPort {
    if (this.#port !== undefined) return this.#port;
    if (this.#left) throw new IpcError("Closed", "Cannot send: this sender was closed");
    if (this.#lazy !== undefined) {
      this.#port = this.#lazy.takeSender();
      this.opened();
      this.#lazy = undefined;
      return this.#port;
    }
    const handle = this.#handle!;
    try {
      this.#port = SenderPort.attach(handle);
    } catch (error) {
      if (!isSenderClosed(handle)) throw error; // there is no memory for it now
      this.#handle = undefined;
      this.#left = true;
      this.ended();
      throw error;
    }
    this.#handle = undefined;
    return this.#port;
  }

  /** What it looks like, without attaching. */
  look(): Record<string, unknown> {
    const ring = (this.#port ?? this.#lazy?.sender)?.ring;
    return {
      path: ring?.path,
      state: this.#left ? "closed" : "open",
      backlog: this.#left ? undefined : ring?.used ?? 0,
    };
  }

  /** The descriptors, without attaching. */
  handle(): SenderHandle {
    return this.#handle ?? this.port().ring.handle;
  }

  /** @param owner Whose waiting sends are rejected. */
  leave(owner: object): void {
    if (this.#left) return;
    this.#left = true;
    this.ended();
    this.#lazy?.closeSender();
    this.#port?.release(owner);
    if (this.#handle !== undefined) closeSenderHandle(this.#handle);
    this.#lazy = this.#port = this.#handle = undefined;
  }
}

/**
 * What {@linkcode IpcSender} and {@linkcode IpcBytesSender} have in common. Not constructed by programs.
 *
 * @typeParam T What is sent.
 *
 * @example Either kind of sender
 * ```ts
 * import { bytesChannel, channel, type SenderBase } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const sendAll = <T>(sender: SenderBase<T>, values: T[]) => values.every((value) => sender.trySend(value));
 * const [words, receiver] = channel<string>();
 * const [packets, byteReceiver] = bytesChannel();
 * assertEquals([sendAll(words, ["a", "b"]), sendAll(packets, [new Uint8Array(2)])], [true, true]);
 * for (const end of [words, receiver, packets, byteReceiver]) end.close();
 * ```
 */
export abstract class SenderBase<in T> implements Disposable {
  readonly #seat: SenderSeat;

  static {
    printAs<SenderBase<unknown>>(SenderBase.prototype, (sender) => sender.#seat.look());
  }

  /**
   * Not for programs: senders come from `channel()`, `connect()`, `clone()` and messages.
   *
   * @param from What the sender sends through.
   */
  constructor(from: unknown) {
    this.#seat = new SenderSeat(from);
    forgotten.register(this, this.#seat, this);
  }

  /** Whether this sender was closed. Its clones may still be open. */
  get closed(): boolean {
    return this.#seat.left;
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
  send(value: T, options?: WaitOptions): Promise<void> {
    return this.#send(value, options, false);
  }

  /**
   * Waits until all earlier messages were received, and sends then.
   *
   * @param value The value.
   * @param options How long to wait at most, and a signal that ends the wait; nothing was sent then.
   * @returns Resolves when the message is in the ring.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmpty(value: T, options?: WaitOptions): Promise<void> {
    return this.#send(value, options, true);
  }

  #send(value: T, options: WaitOptions | undefined, whenEmpty: boolean): Promise<void> {
    let attachments: Attachments | undefined;
    try {
      if (options !== undefined) {
        timeoutOf(options);
        options.signal?.throwIfAborted();
      }
      const port = this.#seat.port();
      attachments = this.encode(value) as Attachments | undefined;
      // Not the seat: a sender must not be collected, and closed by that, while a message of it waits.
      return port.send(this, outgoing, attachments, options, whenEmpty);
    } catch (error) {
      attachments?.kept();
      return afterOthers(Promise.reject(error));
    } finally {
      outgoing.forget();
    }
  }

  /**
   * Sends a value; blocks the thread while the ring is full.
   *
   * @param value The value.
   * @param options How long to wait for room at most; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendSync(value: T, options?: SyncWaitOptions): void {
    this.#sendSync(value, options, false);
  }

  /**
   * The blocking twin of {@linkcode sendWhenEmpty}.
   *
   * @param value The value.
   * @param options How long to wait at most; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmptySync(value: T, options?: SyncWaitOptions): void {
    this.#sendSync(value, options, true);
  }

  #sendSync(value: T, options: SyncWaitOptions | undefined, whenEmpty: boolean): void {
    if (options !== undefined) timeoutOf(options);
    const port = this.#seat.port();
    const attachments = this.encode(value) as Attachments | undefined;
    try {
      port.sendSync(outgoing, attachments, options, whenEmpty);
    } catch (error) {
      attachments?.kept();
      throw error;
    } finally {
      outgoing.forget();
    }
    attachments?.sent();
  }

  /**
   * Sends a value if there is room for it now.
   *
   * @param value The value.
   * @returns `false` if the ring is full, or earlier sends are still waiting for room; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}, but `Timeout`.
   */
  trySend(value: T): boolean {
    const port = this.#seat.port();
    const attachments = this.encode(value) as Attachments | undefined;
    let sent = false;
    try {
      return sent = port.trySend(outgoing, attachments);
    } finally {
      outgoing.forget();
      if (sent) attachments?.sent();
      else attachments?.kept();
    }
  }

  /**
   * Bytes that can wait in the channel.
   *
   * @throws {IpcError} `Closed`; `System` if there are no descriptors or no memory for a new channel.
   */
  get capacity(): number {
    return this.#seat.port().ring.capacity;
  }

  /**
   * Bytes of the channel that are taken: by messages that wait to be received, of this sender and of others.
   *
   * @throws {IpcError} As {@linkcode capacity}.
   */
  get backlog(): number {
    return this.#seat.port().ring.used;
  }

  /**
   * The path of a named channel; `undefined` for others.
   *
   * @throws {IpcError} As {@linkcode capacity}.
   */
  get path(): string | undefined {
    return this.#seat.port().ring.path;
  }

  /**
   * A stream that sends what is written to it. While the ring is full it waits, so back-pressure reaches the writer.
   * Closing or aborting the stream closes the sender, and so does a value that cannot be sent.
   *
   * @returns The stream.
   *
   * @example
   * ```ts
   * import { channel } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * const [sender, receiver] = channel<string>();
   * const piping = ReadableStream.from(["a", "b"]).pipeTo(sender.toWritableStream());
   * assertEquals(await Array.fromAsync(receiver), ["a", "b"]);
   * await piping;
   * receiver.close();
   * ```
   */
  toWritableStream(): WritableStream<T> {
    return new WritableStream<T>({
      write: async (value, { signal }) => {
        try {
          await this.send(value, { signal });
        } catch (error) {
          this.close(); // the stream has failed, and takes no other
          throw error;
        }
      },
      close: () => this.close(),
      abort: () => this.close(),
    });
  }

  /** Closes this sender. Closing twice is harmless; messages that were sent still arrive. */
  close(): void {
    forgotten.unregister(this);
    this.#seat.leave(this);
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Leaves the message in `outgoing`, and returns the `Attachments` that travels with it, if any.
   *
   * @ignore
   */
  protected abstract encode(value: T): object | undefined;

  /** Where another endpoint for the same channel starts from. @ignore */
  protected share(): unknown {
    return this.#seat.port().retain();
  }

  /** The port, for subclasses that do more than send. @ignore */
  protected port(): unknown {
    return this.#seat.port();
  }

  /** Whose waits end when this sender is closed. @ignore */
  protected seat(): object {
    return this;
  }

  /** Puts a clone into the `Attachments` of a message, and returns what the other side must know. @ignore */
  protected pack(attachments: object): unknown[] {
    return packHandle(this.#seat.handle(), attachments as Attachments);
  }
}
