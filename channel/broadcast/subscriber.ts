// The public face of subscribing.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { TryRecvResult } from "../endpoint/try_recv_result.ts";
import { Attendance } from "./attendance.ts";
import type { BorrowedPublication } from "./borrowed.ts";
import { lendValue, takeValue } from "./getters.ts";
import { attend, type SubscriberOptions } from "./subscriber_options.ts";
import { type Getter, NOTHING, Subscription } from "./subscription.ts";

// A backstop for subscribers that were forgotten; `close()` is the plan.
const forgotten = new FinalizationRegistry<Subscription>((subscription) => subscription.close());

/**
 * Sees every value that is published to a topic from its start on, in the order of the publishers, or is told by
 * {@linkcode IpcSubscriber.missed} how many it has missed as it was too slow. It takes nothing away from others, and
 * cannot disturb them: it maps the topic's memory for reading alone, and a file that it may only read will do.
 *
 * A subscriber of a user who may publish sleeps until it is woken. One that may only read is not woken, and looks every
 * 1 to 16 ms while it waits.
 *
 * A topic has no end: when its last publisher has closed, or died, subscribers wait for the next one.
 *
 * @typeParam T What is published. Nobody checks it.
 *
 * @example Telling whether something was missed
 * ```ts
 * import { IpcPublisher, IpcSubscriber } from "@isthmus/ipc";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const name = `levels-${crypto.randomUUID()}`;
 * using publisher = IpcPublisher.open<number>(name, { capacity: 65536 });
 * using slow = IpcSubscriber.open<number>(name);
 * for (let n = 0; n < 10_000; n++) publisher.publish(n); // never waits
 * const next = slow.recvSync();
 * assert(slow.missed > 0);
 * assertEquals(next, slow.missed); // the messages before it
 * ```
 */
export class IpcSubscriber<out T> implements Disposable, AsyncIterable<T> {
  static {
    cannotTravel(this.prototype, "send its name, and open it there");
    printAs<IpcSubscriber<unknown>>(this.prototype, (subscriber) => ({
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
   * @typeParam T What is published; not checked.
   * @param name The name that publishers open it by.
   * @param options Where to begin, and whose topic is used.
   * @returns The subscriber.
   * @throws {IpcError} `NotFound` if its folder does not exist; `Incompatible` if the file is something else; `Permission`
   * if this user may not read it, or if another user has made it, or others may write to it, who are not trusted. Of a topic
   * that is made later, receiving fails with the last two.
   * @throws {TypeError} If the name or the options are wrong.
   */
  static open<T>(name: string, options?: SubscriberOptions): IpcSubscriber<T> {
    return new IpcSubscriber<T>(attend(name, options));
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
   * @throws {IpcError} `Timeout`; `Closed`; `Serialization` if the message cannot be decoded (it is skipped); `Corrupt` if a publisher
   * has damaged the topic, after which this goes on with what is published from then on.
   * @throws {TypeError} If the options are wrong.
   */
  recv(options?: WaitOptions): Promise<T> {
    return this.#subscription.receive(takeValue as Getter<T>, options, this);
  }

  /**
   * The blocking twin of {@linkcode IpcSubscriber.recv}.
   *
   * @param options How long to wait at most; no message is lost by it.
   * @returns The message.
   * @throws {IpcError} As {@linkcode IpcSubscriber.recv}.
   */
  recvSync(options?: SyncWaitOptions): T {
    return this.#subscription.receiveSync(takeValue as Getter<T>, options);
  }

  /**
   * Takes the next message if one is there.
   *
   * @returns The message, or `empty`. Never `disconnected`: another publisher may always come.
   * @throws {IpcError} As {@linkcode IpcSubscriber.recv}, but `Timeout`.
   */
  tryRecv(): TryRecvResult<T> {
    const value = this.#subscription.now(takeValue as Getter<T>);
    return value === NOTHING ? { state: "empty" } : { state: "message", value: value as T };
  }

  /**
   * Waits for the next message and reads it in place. It may be overwritten meanwhile: see
   * {@linkcode BorrowedPublication}.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode IpcSubscriber.recv}.
   */
  borrow(options?: WaitOptions): Promise<BorrowedPublication<T>> {
    return this.#subscription.receive(this.#lend(), options, this);
  }

  /**
   * The blocking twin of {@linkcode IpcSubscriber.borrow}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode IpcSubscriber.recv}.
   */
  borrowSync(options?: SyncWaitOptions): BorrowedPublication<T> {
    return this.#subscription.receiveSync(this.#lend(), options);
  }

  /**
   * Reads the next message in place if one is there.
   *
   * @returns The message, or `undefined` if there is none now.
   * @throws {IpcError} As {@linkcode IpcSubscriber.recv}, but `Timeout`.
   */
  tryBorrow(): BorrowedPublication<T> | undefined {
    const found = this.#subscription.now(this.#lend());
    return found === NOTHING ? undefined : found as BorrowedPublication<T>;
  }

  #lend(): Getter<BorrowedPublication<T>> {
    return (reader) => lendValue(reader, this.#at, this) as ReturnType<Getter<BorrowedPublication<T>>>;
  }

  /** Iterates over the messages until this subscriber is closed. Leaving the loop takes no message. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.values();
  }

  /**
   * Iterates over the messages, as `for await` on the subscriber itself does, until a signal ends the loop.
   *
   * @param options What ends it, beside {@linkcode IpcSubscriber.close}.
   * @returns The messages. The loop throws for a message that cannot be decoded (it is skipped), and for a
   * topic that a publisher has damaged.
   *
   * @example Until a signal says so
   * ```ts
   * import { IpcPublisher, IpcSubscriber } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * const name = `numbers-${crypto.randomUUID()}`;
   * using publisher = IpcPublisher.open<number>(name);
   * using subscriber = IpcSubscriber.open<number>(name);
   * const stop = new AbortController();
   * for (const n of [1, 2, 3]) publisher.publish(n);
   * let received = 0;
   * for await (const _ of subscriber.values({ signal: stop.signal })) if (++received === 3) stop.abort();
   * assertEquals([received, subscriber.missed], [3, 0]);
   * ```
   */
  values(options?: IterationOptions): AsyncIterableIterator<T> {
    return this.#subscription.values(takeValue as Getter<T>, options, this);
  }

  /** Closes the subscriber, and ends what it has lent. Closing twice is harmless. */
  close(): void {
    forgotten.unregister(this);
    this.#subscription.close();
  }

  /** Same as {@linkcode IpcSubscriber.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
