// The byte subscriber: messages as they are, without a decoding.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { TryRecvResult } from "../endpoint/try_recv_result.ts";
import { Attendance } from "./attendance.ts";
import type { BorrowedPublication } from "./borrowed.ts";
import { lendBytes, takeBytes } from "./getters.ts";
import { attend, type SubscriberOptions } from "./subscriber_options.ts";
import { type Getter, NOTHING, Subscription } from "./subscription.ts";

// A backstop for subscribers that were forgotten; `close()` is the plan.
const forgotten = new FinalizationRegistry<Subscription>((subscription) => subscription.close());

/**
 * Sees every byte string that is published to a topic: as {@linkcode IpcSubscriber}, without a decoding.
 *
 * @example Receiving raw bytes
 * ```ts
 * import { IpcBytesPublisher, IpcBytesSubscriber } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `samples-${crypto.randomUUID()}`;
 * using publisher = IpcBytesPublisher.open(name);
 * using subscriber = IpcBytesSubscriber.open(name); // in another process, usually
 * publisher.publish(new Uint8Array([1, 2, 3]));
 * assertEquals(subscriber.recvSync(), new Uint8Array([1, 2, 3]));
 * ```
 */
export class IpcBytesSubscriber implements Disposable, AsyncIterable<Uint8Array<ArrayBuffer>> {
  static {
    cannotTravel(this.prototype, "send its name, and open it there");
    printAs<IpcBytesSubscriber>(this.prototype, (subscriber) => ({
      name: subscriber.name,
      state: stateOf(subscriber),
      missed: subscriber.missed,
      waiting: subscriber.#subscription.waiting,
    }));
  }

  readonly #at: Attendance;
  readonly #subscription: Subscription;

  private constructor(at: Attendance) {
    if (!(at instanceof Attendance)) throw new TypeError("Cannot construct a subscriber: use open()");
    this.#at = at;
    this.#subscription = new Subscription(at);
    forgotten.register(this, this.#subscription, this);
  }

  /**
   * Subscribes to a topic. One that no publisher has made yet is gone to when it is made, and read from its first message on;
   * where nothing can be made beside its path, and with other users trusted, it is looked for every 16 ms.
   *
   * @param name The name that publishers open it by.
   * @param options Where to begin, and whose topic is used.
   * @returns The subscriber.
   * @throws {IpcError} `NotFound` if its folder does not exist; `Incompatible` if the file is something else; `Permission`
   * if this user may not read it, or if another user has made it, or others may write to it, who are not trusted. Of a topic
   * that is made later, receiving fails with the last two.
   * @throws {TypeError} If the name or the options are wrong.
   */
  static open(name: string, options?: SubscriberOptions): IpcBytesSubscriber {
    return new IpcBytesSubscriber(attend(name, options));
  }

  /** The name that it was opened by. */
  get name(): string {
    return this.#at.name;
  }

  /** The path of the topic's file. */
  get path(): string {
    return this.#at.path;
  }

  /**
   * Messages that were overwritten before this subscriber had read them, in all. Counted when the next one after them is
   * received.
   */
  get missed(): number {
    return this.#at.missed;
  }

  /**
   * Bytes of messages that the topic keeps, at least.
   *
   * @throws {IpcError} `Closed`; `NotFound` if no publisher has made the topic yet.
   */
  get capacity(): number {
    return this.#at.capacity;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#at.closed;
  }

  /**
   * Waits for the next message. Of a topic without publishers too: one may come.
   *
   * @param options How long to wait at most, and a signal that ends the wait; no message is lost by either.
   * @returns The message.
   * @throws {IpcError} `Timeout`; `Closed`; `Corrupt` if a publisher
   * has damaged the topic, after which this goes on with what is published from then on.
   * @throws {TypeError} If the options are wrong.
   */
  recv(options?: WaitOptions): Promise<Uint8Array<ArrayBuffer>> {
    return this.#subscription.receive(takeBytes, options, this);
  }

  /**
   * The blocking twin of {@linkcode IpcBytesSubscriber.recv}.
   *
   * @param options How long to wait at most; no message is lost by it.
   * @returns The message.
   * @throws {IpcError} As {@linkcode IpcBytesSubscriber.recv}.
   */
  recvSync(options?: SyncWaitOptions): Uint8Array<ArrayBuffer> {
    return this.#subscription.receiveSync(takeBytes, options);
  }

  /**
   * Takes the next message if one is there.
   *
   * @returns The message, or `empty`. Never `disconnected`: another publisher may always come.
   * @throws {IpcError} As {@linkcode IpcBytesSubscriber.recv}, but `Timeout`.
   */
  tryRecv(): TryRecvResult<Uint8Array<ArrayBuffer>> {
    const value = this.#subscription.now(takeBytes);
    return value === NOTHING ? { state: "empty" } : { state: "message", value: value as Uint8Array<ArrayBuffer> };
  }

  /**
   * Waits for the next message and reads it in place. It may be overwritten meanwhile: see
   * {@linkcode BorrowedPublication}.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode IpcBytesSubscriber.recv}.
   */
  borrow(options?: WaitOptions): Promise<BorrowedPublication<Uint8Array<ArrayBuffer>>> {
    return this.#subscription.receive(this.#lend(), options, this);
  }

  /**
   * The blocking twin of {@linkcode IpcBytesSubscriber.borrow}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode IpcBytesSubscriber.recv}.
   */
  borrowSync(options?: SyncWaitOptions): BorrowedPublication<Uint8Array<ArrayBuffer>> {
    return this.#subscription.receiveSync(this.#lend(), options);
  }

  /**
   * Reads the next message in place if one is there.
   *
   * @returns The message, or `undefined` if there is none now.
   * @throws {IpcError} As {@linkcode IpcBytesSubscriber.recv}, but `Timeout`.
   */
  tryBorrow(): BorrowedPublication<Uint8Array<ArrayBuffer>> | undefined {
    const found = this.#subscription.now(this.#lend());
    return found === NOTHING ? undefined : found as BorrowedPublication<Uint8Array<ArrayBuffer>>;
  }

  #lend(): Getter<BorrowedPublication<Uint8Array<ArrayBuffer>>> {
    return (reader) => lendBytes(reader, this.#at, this);
  }

  /** Iterates over the messages until this subscriber is closed. Leaving the loop takes no message. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.values();
  }

  /**
   * Iterates over the messages, as `for await` on the subscriber itself does, until a signal ends the loop.
   *
   * @param options What ends it, beside {@linkcode IpcBytesSubscriber.close}.
   * @returns The messages. The loop throws for a topic that a publisher has damaged.
   *
   * @example Until a signal says so
   * ```ts
   * import { IpcBytesPublisher, IpcBytesSubscriber } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * const name = `frames-${crypto.randomUUID()}`;
   * using publisher = IpcBytesPublisher.open(name);
   * using subscriber = IpcBytesSubscriber.open(name);
   * const stop = new AbortController();
   * for (const n of [1, 2, 3]) publisher.publish(new Uint8Array([n]));
   * let received = 0;
   * for await (const _ of subscriber.values({ signal: stop.signal })) if (++received === 3) stop.abort();
   * assertEquals([received, subscriber.missed], [3, 0]);
   * ```
   */
  values(options?: IterationOptions): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.#subscription.values(takeBytes, options, this);
  }

  /** Closes the subscriber, and ends what it has lent. Closing twice is harmless. */
  close(): void {
    forgotten.unregister(this);
    this.#subscription.close();
  }

  /** Same as {@linkcode IpcBytesSubscriber.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
