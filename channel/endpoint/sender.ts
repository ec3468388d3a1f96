// The typed sender, and the same without its type.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { asFound } from "../../base/arguments.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import { encodeMessage } from "../message/codec.ts";
import { type EncodedMessage, isEncoded } from "../message/encoded_message.ts";
import { claimSender } from "../message/sender_attachment.ts";
import { connectChannel } from "./handshake.ts";
import { SenderBase } from "./sender_base.ts";
import { type NamedChannelOptions, openRingFile } from "../named/file.ts";
import { SenderPort } from "./sender_port.ts";
import { type Attachments, type Kind, onArrival, PACK, packAs } from "../message/attachments.ts";

/**
 * Sends values through a channel to the one receiver of it. Any number of senders, in any number of processes, may send
 * through the same channel: {@linkcode IpcSender.clone} one, or put it inside a value that is sent.
 *
 * @typeParam T What is sent: anything that `structuredClone` takes, and endpoints, memory and descriptors inside it.
 *
 * @example A reply channel inside a request
 * ```ts
 * import { channel, type IpcSender } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<{ question: string; reply: IpcSender<number> }>();
 * const [reply, answers] = channel<number>();
 * await sender.send({ question: "6 × 7", reply });
 *
 * const request = await receiver.recv(); // in another process, usually
 * await request.reply.send(42);
 * assertEquals(await answers.recv(), 42);
 *
 * for (const end of [sender, receiver, reply, answers, request.reply]) end.close();
 * ```
 */
export class IpcSender<in T> extends SenderBase<T> {
  /**
   * Connects to an {@linkcode IpcOneShotServer}. Does not wait for the server to accept; messages can be sent at once.
   *
   * @typeParam T What the server receives.
   * @param serverName The server's `name`.
   * @returns A sender to the server. A server takes one client.
   * @throws {IpcError} `NotFound` if no such server waits (any more), `AlreadyExists` if it has a client already,
   * `Incompatible` if the name is that of an {@linkcode IpcServer}, or the path is some other file. An `IpcServer` at a
   * path turns the client away: sending is `Disconnected`.
   */
  static connect<T>(serverName: string): IpcSender<T> {
    return new IpcSender<T>(connectChannel(serverName));
  }

  /**
   * Attaches to a named channel, which is made if there is none. Senders and the receiver come and go in any order;
   * what is sent while no receiver runs waits for one, as far as there is room.
   *
   * A named channel carries data only, and no message larger than itself. Nobody is told of the other side's end. Its
   * file does not say what the messages are: a receiver of bytes gets the CBOR of what is sent here.
   *
   * @typeParam T What the receiver receives.
   * @param path Where the channel's file is, or is to be; best in a folder that is memory, such as `/dev/shm`.
   * @param options Whose channel is used; capacity and permission bits, for one that does not exist yet.
   * @returns A sender to it.
   * @throws {IpcError} `Incompatible` if the path is something else, `NotFound` if its folder does not exist,
   * `Permission` if another user has made it, or others may write to it, who are not trusted; `System` if there is no room.
   * @throws {TypeError} If the path is none, or the name of a server (`@name`).
   */
  static open<T>(path: string, options: NamedChannelOptions = {}): IpcSender<T> {
    return new IpcSender<T>(SenderPort.open(openRingFile(path, options)));
  }

  /**
   * Sends a value. It is taken as it is now: later changes to it are not sent.
   *
   * @param value What to send.
   * @param options How long to wait for room at most, and a signal that ends the wait; nothing was sent then.
   * @returns Resolves when the message is in the ring, which does not mean that it was received.
   * @throws {IpcError} `Disconnected` if the receiver is gone; `Timeout`; `Closed`; `Serialization` if the value cannot be encoded; `TooLarge` for a named
   * channel that cannot hold it; `Corrupt` if a peer damaged the channel; `System` if descriptors or memory run out.
   * @throws {TypeError} If the options are none.
   */
  override send(value: T, options?: WaitOptions): Promise<void> {
    return super.send(value, options);
  }

  /**
   * The blocking twin of {@linkcode send}.
   *
   * @param value What to send.
   * @param options How long to wait for room at most; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  override sendSync(value: T, options?: SyncWaitOptions): void {
    super.sendSync(value, options);
  }

  /**
   * Sends a value if there is room for it now.
   *
   * @param value What to send.
   * @returns `false` if there is none, or earlier sends are still waiting for it; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}, but `Timeout`.
   */
  override trySend(value: T): boolean {
    return super.trySend(value);
  }

  /**
   * Another sender to the same channel.
   *
   * @returns The clone; it is closed by itself.
   * @throws {IpcError} `Closed`.
   */
  clone(): IpcSender<T> {
    return new IpcSender<T>(this.share());
  }

  /**
   * This sender without its type, for collections of different ones. It moves: this object is closed.
   *
   * @returns The opaque sender.
   * @throws {IpcError} `Closed`.
   */
  toOpaque(): OpaqueIpcSender {
    const moved = this.clone();
    this.close();
    return new OpaqueIpcSender(moved as IpcSender<unknown>);
  }

  /**
   * Sends a message on that {@linkcode IpcReceiver.recvEncoded} has taken, with everything in it. It stays the caller's, to
   * be sent to others too, or closed.
   *
   * @param message The message.
   * @param options How long to wait for room at most, and a signal that ends the wait.
   * @returns Resolves when the message is in the ring.
   * @throws {IpcError} As {@linkcode send}; `Closed` if the message was closed.
   */
  sendEncoded(message: EncodedMessage, options?: WaitOptions): Promise<void> {
    return this.send(encoded(message) as T, options);
  }

  /**
   * The blocking twin of {@linkcode sendEncoded}.
   *
   * @param message The message.
   * @param options How long to wait for room at most.
   * @throws {IpcError} As {@linkcode sendEncoded}.
   */
  sendEncodedSync(message: EncodedMessage, options?: SyncWaitOptions): void {
    this.sendSync(encoded(message) as T, options);
  }

  /**
   * Sends a message on if there is room for it now.
   *
   * @param message The message.
   * @returns `false` if there is none; nothing was sent then.
   * @throws {IpcError} As {@linkcode sendEncoded}, but `Timeout`.
   */
  trySendEncoded(message: EncodedMessage): boolean {
    return this.trySend(encoded(message) as T);
  }

  /** @ignore */
  protected override encode(value: T): object | undefined {
    if (isEncoded(value)) return value.load();
    return encodeMessage(value);
  }

  /** @ignore */
  [PACK](attachments: Attachments): [Kind, ...unknown[]] {
    return ["sender", ...this.pack(attachments)];
  }
}

function encoded(message: unknown): unknown {
  if (isEncoded(message)) return message;
  throw new TypeError("Cannot send a message on: it must be one that recvEncoded() returned");
}

onArrival("sender", (attachments, first, details) => new IpcSender(claimSender(attachments, first, details)));

/**
 * A sender whose type nobody knows at the moment: for registries, and for sending on what came from elsewhere.
 *
 * @example Keeping senders of different types
 * ```ts
 * import { channel, type OpaqueIpcSender } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<number>();
 * const registry = new Map<string, OpaqueIpcSender>([["numbers", sender.toOpaque()]]);
 *
 * using numbers = registry.get("numbers")!.to<number>();
 * numbers.sendSync(7);
 * assertEquals(receiver.recvSync(), 7);
 * receiver.close();
 * ```
 */
export class OpaqueIpcSender implements Disposable {
  static {
    printAs(OpaqueIpcSender.prototype, (opaque) => ({ state: stateOf(opaque) }));
  }

  readonly #sender: IpcSender<unknown>;

  /**
   * Not for programs: use {@linkcode IpcSender.toOpaque}.
   *
   * @param sender The sender, which belongs to this object from now on.
   */
  constructor(sender: IpcSender<unknown>) {
    if (!(sender instanceof IpcSender)) {
      throw new TypeError(`Cannot make an opaque sender of ${asFound(sender)}: call toOpaque() of an IpcSender`);
    }
    this.#sender = sender;
  }

  /** Whether it was closed, or given a type. */
  get closed(): boolean {
    return this.#sender.closed;
  }

  /**
   * Another sender to the same channel, without its type too.
   *
   * @returns The clone; it is closed by itself.
   * @throws {IpcError} `Closed`.
   */
  clone(): OpaqueIpcSender {
    return new OpaqueIpcSender(this.#sender.clone());
  }

  /**
   * Gives the sender a type. It moves: this object is closed.
   *
   * @typeParam T What the receiver at the other end expects; nobody checks.
   * @returns The typed sender.
   * @throws {IpcError} `Closed`.
   */
  to<T>(): IpcSender<T> {
    const moved = this.#sender.clone();
    this.#sender.close();
    return moved as unknown as IpcSender<T>;
  }

  /** Closes the sender. Closing twice is harmless. */
  close(): void {
    this.#sender.close();
  }

  /** Same as {@linkcode OpaqueIpcSender.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @ignore */
  [PACK](attachments: Attachments): [Kind, ...unknown[]] {
    return packAs("opaque-sender", this.#sender, attachments);
  }
}

onArrival(
  "opaque-sender",
  (attachments, first, details) => new OpaqueIpcSender(new IpcSender(claimSender(attachments, first, details))),
);
