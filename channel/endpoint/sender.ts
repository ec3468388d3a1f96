// The typed sender, and the same without its type.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { canTravel } from "../../base/pack.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import { type EncodedMessage, isEncoded } from "../message/encoded_message.ts";
import type { TravellerKind } from "../message/travellers.ts";
import { type NamedChannelOptions, openRingFile } from "../named/file.ts";
import type { RingProducer } from "../ring/producer.ts";
import { VALUES } from "./encoder.ts";
import { connectChannel } from "./handshake.ts";
import { SenderCore } from "./sender_core.ts";
import { claimSender } from "../message/sender_attachment.ts";
import { SenderPort } from "./sender_port.ts";
import type { SenderSource } from "./sender_seat.ts";

// Set by the classes, as only they see what is inside.
let makeSender: <T>(core: SenderCore<T>) => IpcSender<T>;
let makeOpaque: (core: SenderCore<unknown>) => OpaqueIpcSender;

/** The ring that a sender sends through, attached. */
export let ringOfSender: (sender: IpcSender<never>) => RingProducer;

/** How senders get into messages, and out of them. */
export let senderKind: TravellerKind<IpcSender<unknown>>;
/** The same without a type. */
export let opaqueSenderKind: TravellerKind<OpaqueIpcSender>;

/**
 * Sends values through a channel to the one receiver of it. Any number of senders, in any number of processes, may send
 * through the same channel: {@linkcode IpcSender.clone} one, or put it inside a value that is sent. That costs
 * least for a new channel whose ends were not used yet, such as one for a reply.
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
export class IpcSender<in T> implements Disposable {
  static {
    canTravel(this.prototype);
    printAs<IpcSender<unknown>>(this.prototype, (sender) => sender.#core.look());
    makeSender = (core) => new IpcSender(core);
    ringOfSender = (sender) => sender.#core.port().ring;
    senderKind = {
      is: (object) => #core in object,
      pack: (sender, attachments) => sender.#core.pack(attachments),
      unpack: (attachments, first, details) => senderFrom(claimSender(attachments, first, details)),
    };
  }

  readonly #core: SenderCore<T>;

  private constructor(core: object) {
    if (!(core instanceof SenderCore)) {
      throw new TypeError("Cannot make a sender: senders come from channel(), connect(), open(), clone() and messages");
    }
    this.#core = core;
  }

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
    return senderFrom(connectChannel(serverName));
  }

  /**
   * Attaches to a named channel, which is made if there is none. Senders and the receiver come and go in any order;
   * what is sent while no receiver runs waits for one, as far as there is room.
   *
   * A named channel carries data only, and no message larger than itself. Neither side detects the other's exit. Its
   * file does not say what the messages are: a receiver of bytes gets the CBOR of what is sent here.
   *
   * @typeParam T What the receiver receives.
   * @param path Where the channel's file is, or is to be; best in a folder that is memory, such as `/dev/shm`.
   * @param options Whose channel is used; capacity and permission bits, for one that does not exist yet.
   * @returns A sender to it.
   * @throws {IpcError} `Incompatible` if the path is something else, `NotFound` if its folder does not exist,
   * `Permission` if another user has made it, or others may write to it, who are not trusted; `System` if there is no room.
   * @throws {TypeError} If the path cannot be one, or is the name of a server (`@name`).
   */
  static open<T>(path: string, options: NamedChannelOptions = {}): IpcSender<T> {
    return senderFrom(SenderPort.open(openRingFile(path, options)));
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
  send(value: T, options?: WaitOptions): Promise<void> {
    return this.#core.send(value, options, false);
  }

  /**
   * Sends a value; blocks the thread while the ring is full.
   *
   * @param value The value.
   * @param options How long to wait for room at most; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendSync(value: T, options?: SyncWaitOptions): void {
    this.#core.sendSync(value, options, false);
  }

  /**
   * Sends a value if there is room for it now.
   *
   * @param value The value.
   * @returns `false` if the ring is full, or earlier sends are still waiting for room; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}, but `Timeout`.
   */
  trySend(value: T): boolean {
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
  sendWhenEmpty(value: T, options?: WaitOptions): Promise<void> {
    return this.#core.send(value, options, true);
  }

  /**
   * The blocking twin of {@linkcode sendWhenEmpty}.
   *
   * @param value The value.
   * @param options How long to wait at most; nothing was sent then.
   * @throws {IpcError} As {@linkcode send}.
   */
  sendWhenEmptySync(value: T, options?: SyncWaitOptions): void {
    this.#core.sendSync(value, options, true);
  }

  /**
   * Another sender to the same channel.
   *
   * @returns The clone; it is closed by itself.
   * @throws {IpcError} `Closed`.
   */
  clone(): IpcSender<T> {
    return new IpcSender(this.#core.clone());
  }

  /**
   * This sender without its type, for collections of different ones. It moves: this object is closed.
   *
   * @returns The opaque sender.
   * @throws {IpcError} `Closed`.
   */
  toOpaque(): OpaqueIpcSender {
    return makeOpaque(this.#core.move() as SenderCore<unknown>);
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

function encoded(message: unknown): unknown {
  if (isEncoded(message)) return message;
  throw new TypeError("Cannot send a message on: it must be one that recvEncoded() returned");
}

/**
 * A sender whose type is not known here: for registries, and for sending on what came from elsewhere.
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
    canTravel(this.prototype);
    printAs(this.prototype, (opaque) => ({ state: stateOf(opaque) }));
    makeOpaque = (core) => new OpaqueIpcSender(core);
    opaqueSenderKind = {
      is: (object) => #core in object,
      pack: (opaque, attachments) => opaque.#core.pack(attachments),
      unpack: (attachments, first, details) =>
        makeOpaque(new SenderCore(claimSender(attachments, first, details), VALUES)),
    };
  }

  readonly #core: SenderCore<unknown>;

  private constructor(core: object) {
    if (!(core instanceof SenderCore)) {
      throw new TypeError("Cannot make an opaque sender: call toOpaque() of an IpcSender");
    }
    this.#core = core;
  }

  /** Whether it was closed, or given a type. */
  get closed(): boolean {
    return this.#core.closed;
  }

  /**
   * Another sender to the same channel, without its type too.
   *
   * @returns The clone; it is closed by itself.
   * @throws {IpcError} `Closed`.
   */
  clone(): OpaqueIpcSender {
    return new OpaqueIpcSender(this.#core.clone());
  }

  /**
   * Gives the sender a type. It moves: this object is closed.
   *
   * @typeParam T What the receiver at the other end expects; not checked.
   * @returns The typed sender.
   * @throws {IpcError} `Closed`.
   */
  to<T>(): IpcSender<T> {
    return makeSender(this.#core.move());
  }

  /** Closes the sender. Closing twice is harmless. */
  close(): void {
    this.#core.close();
  }

  /** Same as {@linkcode OpaqueIpcSender.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** A sender of what the library has. */
export function senderFrom<T>(source: SenderSource): IpcSender<T> {
  return makeSender(new SenderCore<T>(source, VALUES));
}
