// What receivers of values and of bytes are made of: every way to wait for a message, with a decoder for what is found.
import { asFound, integerOf } from "../../base/arguments.ts";
import { Backstop } from "../../base/backstop.ts";
import { afterOthers, mustGiveWay } from "../../base/event_loop.ts";
import { iterate, type IterationOptions, NOT_NOW } from "../../base/iteration.ts";
import { deadlineAfter, type SyncWaitOptions, timeoutError, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import type { Attachments } from "../message/attachments.ts";
import { type Borrowed, BorrowedRecord } from "../message/borrowed.ts";
import { ErrorBudget } from "../message/error_budget.ts";
import { UNFINISHED } from "../message/record.ts";
import type { RingConsumer } from "../ring/consumer.ts";
import { RinglessReceiver } from "../ring/ringless_receiver.ts";
import type { Decoder } from "./decoder.ts";
import { ReceiverSeat, type ReceiverSource } from "./receiver_seat.ts";
import { disconnected, type Get, inTurns, RECEIVE, ReceiverWaits, type Source } from "./receiver_waits.ts";
import type { TryRecvResult } from "./try_recv_result.ts";

const EMPTY = { state: "empty" } as const;
const DISCONNECTED = { state: "disconnected" } as const;

// A backstop for receivers that were forgotten: without it senders would go on filling the ring.
const forgotten = new Backstop<ReceiverSeat>((seat) => seat.leave(), 128);

/** A receiver without its face. What the methods are for the program is said where it finds them, at `IpcReceiver`. */
export class ReceiverCore<out T, out D extends Decoder<T> = Decoder<T>> {
  readonly #seat: ReceiverSeat;
  readonly #waits: ReceiverWaits;
  /** What it does with a message. */
  readonly decoder: D;
  /** What is still to be thrown: see {@linkcode recvMany}. */
  #deferred: unknown;
  #errors: ErrorBudget | undefined;
  // For waits, which hold a function.
  /** The one that gets messages out of what comes before a ring, too. */
  readonly #take: Get<T> = (ring: Source) => this.#takeFrom(ring);
  readonly #lend: Get<Borrowed<T>> = (ring) => this.#lendFrom(ring);

  constructor(from: ReceiverSource | undefined, decoder: D) {
    this.#seat = new ReceiverSeat(from);
    this.#waits = new ReceiverWaits(this.#seat, this);
    this.decoder = decoder;
    forgotten.watch(this, this.#seat);
  }

  /** How it is printed: its state, without attaching. */
  look(): Record<string, unknown> {
    return this.#seat.look();
  }

  get closed(): boolean {
    return this.#seat.state === "closed";
  }

  /**
   * What a message can be got out of, attached; throws what is still to be thrown.
   *
   * @param get Gets it.
   */
  open(): RingConsumer;
  open<R>(get: Get<R>): Source;
  open<R>(get?: Get<R>): Source {
    if (this.#deferred !== undefined) {
      const error = this.#deferred;
      this.#deferred = undefined;
      throw error;
    }
    return this.source(get);
  }

  /** The same, but for that. */
  source<R>(get: Get<R> | undefined): Source {
    return get === this.#take as unknown ? this.#seat.source() : this.#seat.ring();
  }

  get capacity(): number {
    return this.#seat.ring().capacity;
  }

  get backlog(): number {
    return this.#seat.ring().waiting;
  }

  get path(): string | undefined {
    return this.#seat.ring().path;
  }

  limitSpins(microseconds: number): void {
    if (!(microseconds >= 0 && microseconds <= 10_000)) {
      throw new RangeError(`Cannot spin for ${asFound(microseconds)} µs: it must be a number from 0 to 10000`);
    }
    this.open().wait.limitSpins(microseconds);
  }

  limitMessages(bytes: number): void {
    messageLimitOf(bytes);
    if (this.#seat.state !== "open") this.open();
    this.#seat.limitMessages(bytes);
  }

  #takeFrom(ring: Source): T {
    if (!(ring instanceof RinglessReceiver)) return this.take(ring);
    try {
      return this.decoder.decode(ring.take());
    } catch (error) {
      throw this.judge(error);
    }
  }

  /** Decodes and releases the message that the ring has found. */
  take(ring: RingConsumer): T {
    try {
      return this.decoder.take(ring);
    } catch (error) {
      throw this.judge(error);
    }
  }

  #lendFrom(ring: RingConsumer): Borrowed<T> {
    try {
      const borrowed = this.decoder.lend(ring);
      if (borrowed instanceof BorrowedRecord) borrowed.lender = this;
      return borrowed;
    } catch (error) {
      throw this.judge(error);
    }
  }

  /** What is wrong with a message. Of a channel with too many of them, that is the end. */
  judge(error: unknown): unknown {
    return (this.#errors ??= new ErrorBudget()).judge(error, () => this.close(), "receiver");
  }

  /** The next message of a channel that was not made. */
  #takeKept(): T {
    try {
      return this.decoder.decode(this.#seat.takeKept().bytes);
    } catch (error) {
      throw this.judge(error);
    }
  }

  recv(options: WaitOptions | undefined): Promise<T> {
    // With options, or if the event loop must have its turn first, as all others wait.
    if (this.#seat.keeps && options === undefined && !mustGiveWay()) {
      try {
        return Promise.resolve(this.#takeKept());
      } catch (error) {
        return Promise.reject(error);
      }
    }
    return this.receive(this.#take, options);
  }

  recvSync(options: SyncWaitOptions | undefined): T {
    if (options !== undefined) timeoutOf(options);
    if (this.#seat.keeps) return this.#takeKept();
    const ring = this.open(this.#take);
    if (ring.next() && !ring.extended) return this.#takeFrom(ring);
    return this.receiveSync(this.#take, options);
  }

  tryRecv(): TryRecvResult<T> {
    if (this.#seat.keeps) return { state: "message", value: this.#takeKept() };
    return this.tryReceive(this.#take);
  }

  recvMany(max: number): T[] {
    if (max !== Infinity) integerOf(max, 0, Number.MAX_SAFE_INTEGER, "Cannot receive as many messages as");
    const ring = this.open();
    const messages: T[] = [];
    const until = ring.claimedUntil; // a sender may send as fast as this receives
    try {
      while (messages.length < max && (ring.next() || (messages.length === 0 && ring.wait.poll() === "message"))) {
        if (messages.length > 0 && ((until - ring.position) | 0) <= 0) break;
        messages.push(this.take(ring));
      }
    } catch (error) {
      if (messages.length === 0) throw error;
      this.#deferred = error; // or the messages before it would be lost
    }
    return messages;
  }

  borrow(options: WaitOptions | undefined): Promise<Borrowed<T>> {
    return this.receive(this.#lend, options);
  }

  borrowSync(options: SyncWaitOptions | undefined): Borrowed<T> {
    if (options !== undefined) timeoutOf(options);
    const ring = this.open();
    if (ring.next() && !ring.extended) return this.#lendFrom(ring);
    return this.receiveSync(this.#lend, options);
  }

  tryBorrow(): Borrowed<T> | undefined {
    return this.receiveNow(this.#lend);
  }

  /** The next message, got out of the ring by `get`. */
  receive<R>(get: Get<R>, options: WaitOptions | undefined): Promise<R> {
    try {
      if (options !== undefined) {
        timeoutOf(options);
        options.signal?.throwIfAborted();
      }
      if (!this.#waits.any) {
        const ring = this.open(get);
        if (ring.next() || (options?.timeout !== 0 && ring.wait.spinForNext())) {
          if (mustGiveWay()) return this.#waits.later(get, options);
          const value = ring.extended && options?.timeout !== 0 ? inTurns(get, ring) : get(ring as RingConsumer);
          return value === UNFINISHED ? this.#waits.later(get, options) : Promise.resolve(value as R);
        }
      }
      return this.#waits.begin(get, options);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
  }

  /** The same, blocking. The time is also that of reading a large message. */
  receiveSync<R>(get: Get<R>, options: SyncWaitOptions | undefined): R {
    const timeout = timeoutOf(options), deadline = deadlineAfter(timeout);
    let ring = this.open(get);
    while (!ring.next() && !this.#waitSync(ring, timeout, deadline)) ring = this.source(get);
    // Without a time, and with none at all, a large message is read to its end.
    if (!ring.extended || timeout === Infinity || timeout === 0) return get(ring as RingConsumer);
    ring.readUntil = deadline;
    try {
      return get(ring as RingConsumer);
    } catch (error) {
      throw error === UNFINISHED ? timeoutError(RECEIVE, timeout) : error;
    } finally {
      ring.readUntil = Infinity;
    }
  }

  /** The same if a message is there. */
  tryReceive<R>(get: Get<R>): TryRecvResult<R> {
    let ring = this.open(get);
    let state = ring.next() ? "message" : ring.wait.poll();
    for (; state === "over"; state = ring.wait.poll()) ring = this.source(get);
    if (state === "message") return { state, value: get(ring as RingConsumer) };
    return state === "empty" ? EMPTY : DISCONNECTED;
  }

  /** The same; `undefined` if there is none now. */
  receiveNow<R>(get: Get<R>): R | undefined {
    const result = this.tryReceive(get);
    if (result.state === "disconnected") throw disconnected();
    return result.state === "message" ? result.value : undefined;
  }

  /** Blocks until the ring has found a message; `false` if another one is to be asked. */
  #waitSync(ring: Source, timeout: number, deadline: number): boolean {
    const state = timeout === 0 ? ring.wait.poll() : ring.wait.sync(deadline);
    if (this.#waits.any) this.#waits.rearm(ring);
    if (state === "message") return true;
    if (state === "over") return false;
    throw state === "disconnected" ? disconnected() : timeoutError(RECEIVE, timeout);
  }

  values(options?: IterationOptions): AsyncIterableIterator<T> {
    const closed = () => this.closed;
    return iterate<T>({
      get closed() {
        return closed();
      },
      now: () => {
        if (this.#waits.any) return NOT_NOW;
        const ring = this.open(this.#take);
        return ring.next() && !ring.extended && !mustGiveWay() ? this.#takeFrom(ring) : NOT_NOW;
      },
      next: () => this.receive(this.#take, undefined),
      callOff: (pending) => this.#waits.cancel(pending),
    }, options);
  }

  toReadableStream(): ReadableStream<T> {
    if (this.#seat.state !== "open") this.#seat.ring(); // throws
    const messages = this.values();
    return new ReadableStream<T>({
      pull: async (controller) => {
        try {
          const { done, value } = await messages.next();
          if (!done) return controller.enqueue(value);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
        this.close(); // nobody will ask it for more
      },
      cancel: async () => {
        await messages.return?.();
        this.close();
      },
    }, { highWaterMark: 0 });
  }

  close(): void {
    forgotten.unwatch(this);
    this.#waits.end("Cannot receive: the receiver was closed while it was awaited");
    this.#seat.leave();
  }

  /**
   * It goes on in another object: those that waited for it here wait no more.
   *
   * @returns What stays behind: a receiver that is closed.
   * @throws {IpcError} `Closed`.
   */
  leave(): ReceiverCore<T, D> {
    this.open();
    this.#waits.end("Cannot receive: the receiver was given another type while it was awaited");
    this.#seat.attached?.bell.stop(); // its next owner listens anew
    return new ReceiverCore(undefined, this.decoder);
  }

  /** Puts the receiver into a message, with which it moves; returns what the other side must know. */
  pack(attachments: Attachments): unknown[] {
    return this.#seat.pack(attachments, () => {
      forgotten.unwatch(this);
      this.#waits.end("Cannot receive: the receiver was sent away while it was awaited");
    }, () => {
      // What came meanwhile was not announced, and the flag of these waits was taken down.
      if (this.#waits.any) this.#waits.lookSoon();
    });
  }
}

/** Checks how many bytes a message may have; `undefined` is the default. */
export function messageLimitOf(bytes: number | undefined): number | undefined {
  if (bytes === undefined || bytes === Infinity) return bytes;
  return integerOf(bytes, 0, Number.MAX_SAFE_INTEGER, "Cannot limit messages to the length");
}
