// What typed and byte receivers have in common: every way to wait for a message, but not the decoding.
import { asFound, integerOf } from "../../base/arguments.ts";
import { printAs } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { afterOthers, giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { closeAllForeign } from "../../ffi/file/foreign_fd.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { CALLED_OFF, iterate, type IterationOptions, NOT_NOW } from "../../base/iteration.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../../base/wait.ts";
import { type Borrowed, BorrowedMessage } from "../message/borrowed.ts";
import { type Arrived, MAX_DESCRIPTORS } from "../ring/carrier.ts";
import { ErrorBudget } from "../message/error_budget.ts";
import { closeHandle, type Handle, HANDLE_FDS, handleFds, handleFrom, isHandle } from "../ring/handle.ts";
import { UNFINISHED } from "../message/record.ts";
import { RingConsumer } from "../ring/consumer.ts";
import type { Attachments, ReceivedAttachments } from "../message/attachments.ts";
import { LazyChannel } from "./lazy_channel.ts";

/**
 * What {@linkcode IpcReceiver.tryRecv} found: a message, nothing yet, or nothing ever again as every sender is gone.
 *
 * @typeParam T The type of the messages.
 *
 * @example Telling nothing yet from nothing ever again
 * ```ts
 * import { channel, type TryRecvResult } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<number>();
 * const text = (result: TryRecvResult<number>) => result.state === "message" ? `got ${result.value}` : result.state;
 *
 * const seen = [text(receiver.tryRecv())];
 * sender.sendSync(7);
 * seen.push(text(receiver.tryRecv()));
 * sender.close();
 * seen.push(text(receiver.tryRecv()));
 * assertEquals(seen, ["empty", "got 7", "disconnected"]);
 * receiver.close();
 * ```
 */
export type TryRecvResult<T> =
  | { state: "message"; value: T }
  | { state: "empty" }
  | { state: "disconnected" };

/** Milliseconds that an asynchronous call reads the body of a large message before other work gets its turn. */
const BODY_TURN = 10;

/** Takes a receiver apart for a receiver set. */
export const MEMBER: unique symbol = Symbol("isthmus.member");
/** Moves a receiver into another object, which closes this one. */
export const MOVE_OUT: unique symbol = Symbol("isthmus.moveOut");

/** A receiver as a receiver set uses it. */
export interface SetMember {
  readonly ring: RingConsumer;
  /** Decodes and releases the message that the ring has found. */
  take(): unknown;
  close(): void;
}

const EMPTY = { state: "empty" } as const;
const DISCONNECTED = { state: "disconnected" } as const;

// A backstop for receivers that were forgotten: without it senders would go on filling the ring.
const forgotten = new FinalizationRegistry<ReceiverSeat>((seat) => seat.leave());

/** Somebody who waits for a message, and how it is got out of the ring for them. */
interface Waiting {
  readonly wait: PendingWait<unknown>;
  readonly get: (ring: RingConsumer) => unknown;
  /** Milliseconds until it gives up, from when it begins to wait: not before the event loop had its turn. */
  timeout: number;
}

/** The connection of a receiver object to its channel, apart from the object; attached at first use. */
class ReceiverSeat extends OpenThing {
  #ring: RingConsumer | undefined;
  #lazy: LazyChannel | undefined;
  #handle: Handle | undefined;
  #early: EarlyDescriptors = [];
  #mostBytes: number | undefined;
  /** Why it cannot be used, if so. */
  state: "open" | "in transit" | "closed" = "open";

  constructor(from: RingConsumer | LazyChannel | Handle, early: EarlyDescriptors) {
    super();
    if (from instanceof LazyChannel) this.#lazy = from;
    else if (from instanceof RingConsumer) this.#ring = from;
    else this.#handle = from;
    this.#early = early;
    if (this.#lazy === undefined) this.opened(); // there is nothing to let go of yet
  }

  override letGo(): void {
    this.leave();
  }

  /** It is elsewhere, or could not be used. */
  gone(): void {
    this.state = "closed";
    this.ended();
  }

  ring(): RingConsumer {
    if (this.#ring !== undefined && this.state === "open") return this.#ring;
    if (this.state !== "open") {
      throw new IpcError(
        "Closed",
        this.state === "closed"
          ? "Cannot receive: this receiver was closed or sent away"
          : "Cannot receive: this receiver is on its way in a message that waits for room",
      );
    }
    if (this.#lazy !== undefined) {
      this.#ring = this.#lazy.takeReceiver();
      this.opened();
      this.#lazy = undefined;
      return this.#limited(this.#ring);
    }
    const handle = this.#handle!;
    try {
      this.#ring = RingConsumer.attach(handle);
    } catch (error) {
      if (!handle.memory.closed) throw error; // there is no memory for it now
      this.#handle = undefined;
      this.gone();
      for (const { fds } of this.#early) closeAllForeign(fds);
      throw error;
    }
    this.#handle = undefined;
    this.#ring.descriptors.adopt(this.#early);
    this.#early = [];
    return this.#limited(this.#ring);
  }

  #limited(ring: RingConsumer): RingConsumer {
    if (this.#mostBytes !== undefined) ring.limitMessages(this.#mostBytes);
    return ring;
  }

  limitMessages(bytes: number): void {
    this.#mostBytes = bytes;
    if (this.#ring !== undefined) this.#limited(this.#ring);
  }

  /** The ring, if it was ever used. */
  get attached(): RingConsumer | undefined {
    return this.#ring;
  }

  /** What it looks like, without attaching. */
  look(): Record<string, unknown> {
    const ring = this.#ring ?? this.#lazy?.receiver;
    return { path: ring?.path, state: this.state, backlog: this.state === "open" ? ring?.waiting ?? 0 : undefined };
  }

  leave(): void {
    if (this.state === "closed") return;
    const inTransit = this.state === "in transit";
    this.gone();
    if (!inTransit) this.#closeAll(); // else it is closed when it is known whether the message was sent
  }

  #closeAll(): void {
    this.#lazy?.closeReceiver();
    this.#lazy = undefined;
    this.#ring?.close();
    if (this.#handle !== undefined) closeHandle(this.#handle);
    for (const { fds } of this.#early) closeAllForeign(fds);
  }

  /** Puts the receiving end into a message: it moves, once the message is sent. */
  pack(attachments: Attachments, sent: () => void, kept: () => void): unknown[] {
    if (this.state !== "open" || this.#lazy !== undefined) this.ring(); // throws, or makes the channel
    const ring = this.#ring;
    if (ring?.named) {
      throw new IpcError(
        "Serialization",
        "Cannot send the receiver of a named channel: close it, and create it there by its path",
      );
    }
    if (ring?.hasLoans) {
      throw new IpcError("Serialization", "Cannot send a receiver with borrowed messages: release them first");
    }
    const handle = this.#handle ??
      { memory: ring!.memory.fd, bell: ring!.bell.fd, descriptors: ring!.descriptors.socket };
    attachments.add(handleFds(handle));
    // Descriptors that were read ahead of their messages go along, behind the handle.
    const early = ring === undefined ? this.#early : ring.descriptors.surrender();
    for (const { fds } of early) attachments.add(fds);
    ring?.detach();
    this.state = "in transit";
    attachments.moves(
      () => {
        this.gone();
        ring?.finishDetach();
        if (this.#handle !== undefined) closeHandle(this.#handle);
        for (const { fds } of early) closeAllForeign(fds);
        sent();
      },
      () => {
        ring?.undoDetach();
        ring?.descriptors.adopt(early);
        if (this.state === "closed") {
          this.#closeAll();
        } else {
          this.state = "open";
          kept();
        }
      },
    );
    return early.map(({ slot, counter, fds, bundled }) => {
      const item = [slot, counter, fds.length];
      if (bundled !== undefined) item.push(bundled);
      return item;
    });
  }
}

/** Descriptors that a receiver had read ahead of their messages when it was sent. */
type EarlyDescriptors = readonly Arrived[];

/** Where a receiver that came in a message starts from: its handle, and what was read ahead. */
export interface ReceiverArrival {
  readonly handle: Handle;
  readonly early: EarlyDescriptors;
}

/** Takes a receiver's descriptors out of a message. */
export function claimReceiver(
  attachments: ReceivedAttachments,
  first: unknown,
  details: readonly unknown[],
): ReceiverArrival {
  const handle = handleFrom(attachments.claim(first, HANDLE_FDS));
  const early: Arrived[] = [];
  let at = (first as number) + HANDLE_FDS;
  try {
    for (const item of details) {
      if (!Array.isArray(item) || item.length < 3 || item.length > 4 || !item.every(Number.isInteger)) break;
      const [slot, counter, count, bundled] = item as [number, number, number, number?];
      if (bundled !== undefined && (bundled < count || bundled > MAX_DESCRIPTORS)) break;
      early.push({ slot, counter, fds: attachments.claim(at, count), bundled });
      at += count;
    }
  } catch (error) {
    closeHandle(handle);
    for (const { fds } of early) closeAllForeign(fds);
    throw error;
  }
  return { handle, early };
}

/**
 * What {@linkcode IpcReceiver} and {@linkcode IpcBytesReceiver} have in common. Not constructed by programs.
 *
 * @typeParam T What is received.
 *
 * @example Either kind of receiver
 * ```ts
 * import { channel, type ReceiverBase } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const takeAll = <T>(receiver: ReceiverBase<T>): T[] => receiver.recvMany();
 * const [sender, receiver] = channel<string>();
 * sender.sendSync("a");
 * sender.sendSync("b");
 * assertEquals(takeAll(receiver), ["a", "b"]);
 * sender.close(), receiver.close();
 * ```
 */
export abstract class ReceiverBase<out T> implements Disposable, AsyncIterable<T> {
  static {
    printAs<ReceiverBase<unknown>>(ReceiverBase.prototype, (receiver) => receiver.#seat.look());
  }

  #seat: ReceiverSeat;
  readonly #waits: Waiting[] = [];
  #gapTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether messages that are there stay there until the event loop had its turn. */
  #held = false;
  /** What is still to be thrown: see {@linkcode recvMany}. */
  #deferred: unknown;
  readonly #onRing = () => this.#pump(true);
  #errors: ErrorBudget | undefined;
  readonly #take = (ring: RingConsumer) => {
    try {
      return this.take(ring);
    } catch (error) {
      throw this.#counted(error);
    }
  };
  readonly #lend = (ring: RingConsumer) => {
    try {
      const borrowed = this.lend(ring);
      if (borrowed instanceof BorrowedMessage) borrowed.lender = this;
      return borrowed;
    } catch (error) {
      throw this.#counted(error);
    }
  };

  /**
   * Not for programs: receivers come from `channel()`, servers and messages.
   *
   * @param from What the receiver receives from.
   */
  constructor(from: unknown) {
    if (from instanceof ReceiverSeat) this.#seat = from;
    else if (from instanceof RingConsumer || from instanceof LazyChannel) this.#seat = new ReceiverSeat(from, []);
    else if (isHandle((from as ReceiverArrival | undefined)?.handle)) {
      const { handle, early } = from as ReceiverArrival;
      this.#seat = new ReceiverSeat(handle, early);
    } else throw new TypeError("Cannot make a receiver: receivers come from channel(), create(), servers and messages");
    forgotten.register(this, this.#seat, this);
  }

  /** Whether this receiver was closed, or sent away. */
  get closed(): boolean {
    return this.#seat.state === "closed";
  }

  /**
   * Bytes that can wait in the channel.
   *
   * @throws {IpcError} `Closed`; `System` if there are no descriptors or no memory for a new channel.
   */
  get capacity(): number {
    return this.#seat.ring().capacity;
  }

  /**
   * Bytes of the channel that messages take which wait to be received.
   *
   * @throws {IpcError} As {@linkcode capacity}.
   */
  get backlog(): number {
    return this.#seat.ring().waiting;
  }

  /**
   * The path of a named channel; `undefined` for others.
   *
   * @throws {IpcError} As {@linkcode capacity}.
   */
  get path(): string | undefined {
    return this.#seat.ring().path;
  }

  /**
   * Limits for how long a wait may look for a message before this side goes to sleep, in microseconds; 0 for not at all.
   * Unless set, a blocking wait spins for up to 160 µs and an awaited one for up to 40 µs, and only while messages come
   * in such quick succession that this pays: a receiver that waits for long uses no processor time either way.
   *
   * @param microseconds Microseconds, about, from 0 to 10,000.
   * @throws {RangeError} If it is not such a number.
   * @throws {IpcError} `Closed`.
   *
   * @example Leaving the processor to others
   * ```ts
   * import { channel } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * const [sender, receiver] = channel<string>();
   * receiver.limitSpins(0);
   * sender.sendSync("no hurry");
   * assertEquals(await receiver.recv(), "no hurry");
   * sender.close(), receiver.close();
   * ```
   */
  limitSpins(microseconds: number): void {
    if (!(microseconds >= 0 && microseconds <= 10_000)) {
      throw new RangeError(`Cannot spin for ${asFound(microseconds)} µs: it must be a number from 0 to 10000`);
    }
    this.#open().limitSpins(microseconds);
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
    messageLimitOf(bytes);
    if (this.#seat.state !== "open") this.#open();
    this.#seat.limitMessages(bytes);
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
    return this.#receive(this.#take, options);
  }

  /** The next message, got out of the ring by `get`. */
  #receive<R>(get: (ring: RingConsumer) => R, options: WaitOptions | undefined): Promise<R> {
    try {
      if (options !== undefined) {
        timeoutOf(options);
        options.signal?.throwIfAborted();
      }
      if (this.#waits.length === 0) {
        const ring = this.#open();
        if (ring.next() || (options?.timeout !== 0 && ring.spinForNext())) {
          if (mustGiveWay()) return this.#later(get, options);
          const value = ring.extended && options?.timeout !== 0 ? inTurns(get, ring) : get(ring);
          return value === UNFINISHED ? this.#later(get, options) : Promise.resolve(value as R);
        }
      }
      return this.#held ? this.#later(get, options) : this.#wait(get, options);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
  }

  /** What is wrong with a message. Of a channel with too many of them, that is the end. */
  #counted(error: unknown): unknown {
    const itsFault = error instanceof IpcError && (error.code === "Serialization" || error.code === "Corrupt");
    if (!itsFault || (this.#errors ??= new ErrorBudget()).spend()) return error;
    this.close();
    return new IpcError(
      "Corrupt",
      "Cannot receive: thousands of messages cannot be decoded; this receiver was closed",
      {
        cause: error,
      },
    );
  }

  /**
   * The same once the event loop had its turn. Until then the message stays where it is, so that a caller who does not want it
   * any more by then has not lost it.
   */
  #later<R>(get: (ring: RingConsumer) => R, options: WaitOptions | undefined): Promise<R> {
    if (options?.timeout === 0) return giveWay().then(() => this.#now(get));
    const { promise } = this.#enqueue(get, options, true);
    this.#hold();
    return promise;
  }

  /** The outcome without a wait. */
  #now<R>(get: (ring: RingConsumer) => R): R {
    const ring = this.#open();
    const state = ring.poll();
    if (state === "message") return get(ring);
    throw state === "empty" ? timeoutError(RECEIVE, 0) : disconnected();
  }

  #wait<R>(get: (ring: RingConsumer) => R, options: WaitOptions | undefined): Promise<R> {
    const ring = this.#seat.ring();
    if (options?.timeout === 0) return afterOthers(Promise.resolve(this.#now(get)));
    ring.bell.listen(this.#onRing); // may find no room for a descriptor: nobody waits then
    const { promise } = this.#enqueue(get, options, false);
    ring.waitBegins();
    ring.bell.awaited = true;
    this.#pump(false);
    return promise;
  }

  #enqueue<R>(
    get: (ring: RingConsumer) => R,
    options: WaitOptions | undefined,
    later: boolean,
  ): PendingWait<R> {
    const { signal } = options ?? {};
    const wait = new PendingWait<R>(RECEIVE, later ? signal && { signal } : options, () => this.#forget(item));
    const item: Waiting = { wait: wait as PendingWait<unknown>, get, timeout: later ? timeoutOf(options) : Infinity };
    this.#waits.push(item);
    return wait;
  }

  #forget(item: Waiting): void {
    const at = this.#waits.indexOf(item);
    if (at >= 0) this.#waits.splice(at, 1);
    if (this.#waits.length === 0) this.#rest();
  }

  /** Ends a wait that is pending, without a message. */
  #callOff(promise: Promise<unknown>): void {
    const item = this.#waits.find(({ wait }) => wait.promise === promise);
    if (item === undefined) return;
    item.wait.reject(CALLED_OFF);
    this.#forget(item);
  }

  #hold(): void {
    if (this.#held) return;
    this.#held = true;
    void giveWay().then(() => this.#release());
  }

  /** The event loop had its turn: hands out what is there; who gets nothing begins to wait. */
  #release(): void {
    this.#held = false;
    const ring = this.#seat.attached;
    if (ring === undefined || this.#seat.state !== "open") return;
    // Without a bell as long as that will do: it takes a descriptor.
    while (this.#waits.length > 0 && !this.#held && this.#handOut(ring));
    if (this.#held) return this.#limitWaits();
    if (this.#waits.length === 0) return this.#rest();
    try {
      ring.bell.listen(this.#onRing);
    } catch (error) {
      for (const { wait } of this.#waits.splice(0)) wait.reject(error);
      return;
    }
    this.#limitWaits();
    ring.waitBegins();
    ring.bell.awaited = true;
    this.#pump(true);
  }

  /** Starts the timers of those who waited for the event loop's turn first. */
  #limitWaits(): void {
    for (const item of this.#waits) {
      item.wait.limit(item.timeout);
      item.timeout = Infinity;
    }
  }

  /** Hands a message, or what is wrong with it, to the one who has waited longest; `false` if there is none. */
  #handOut(ring: RingConsumer): boolean {
    try {
      if (!ring.next()) return false;
    } catch (error) {
      this.#waits.shift()?.wait.reject(error);
      return true;
    }
    const item = this.#waits.shift();
    if (item === undefined || handOver(item, ring)) return true;
    this.#waits.unshift(item); // more of its message is to be read
    this.#hold();
    return true;
  }

  /**
   * Hands messages to those who wait, and arms the bell if somebody still does.
   *
   * Called by the event loop, so the continuations of a promise that is settled here may run inside any later call into
   * Deno, before this returns: nothing is assumed to be as it was before.
   *
   * @param turned Whether it is the event loop that calls.
   */
  #pump(turned: boolean): void {
    if (this.#seat.state !== "open" || this.#held) return;
    const ring = this.#seat.attached;
    if (ring === undefined) return;
    while (this.#waits.length > 0) {
      try {
        const state = ring.poll();
        if (state === "disconnected") {
          for (const { wait } of this.#waits.splice(0)) wait.reject(disconnected());
          continue;
        }
        if (state === "empty") {
          const gapLook = ring.arm();
          // A message that came between the look and the flag was not announced.
          if (!ring.next()) {
            this.#lookAtGapIn(gapLook);
            return;
          }
          ring.disarm();
        }
        ring.waitEnded();
        if (!turned && mustGiveWay()) return this.#hold();
        const item = this.#waits.shift();
        if (item === undefined || handOver(item, ring)) continue;
        this.#waits.unshift(item); // more of its message is to be read
        return this.#hold();
      } catch (error) {
        this.#waits.shift()?.wait.reject(error);
      }
    }
    this.#rest();
  }

  /** A sender that died between claim and commit will not ring. */
  #lookAtGapIn(milliseconds: number): void {
    if (milliseconds === 0 || this.#gapTimer !== undefined) return;
    this.#gapTimer = setTimeout(() => {
      this.#gapTimer = undefined;
      this.#pump(true);
    }, milliseconds);
  }

  /** Nobody waits: senders need not ring, and the process may exit. */
  #rest(): void {
    clearTimeout(this.#gapTimer);
    this.#gapTimer = undefined;
    const ring = this.#seat.attached;
    if (ring === undefined || this.#seat.state !== "open" || this.#waits.length > 0) return;
    ring.disarm();
    ring.bell.awaited = false;
    ring.bell.rest(); // which would keep this object alive, also when nobody has it any more
  }

  /**
   * Waits for the next message; blocks the thread.
   *
   * @param options How long to wait at most; no message is lost by it.
   * @returns The message.
   * @throws {IpcError} As {@linkcode recv}.
   */
  recvSync(options?: SyncWaitOptions): T {
    if (options !== undefined) timeoutOf(options);
    const ring = this.#open();
    if (ring.next() && !ring.extended) return this.#take(ring);
    return this.#getSync(this.#take, options);
  }

  /** The next message, got out of the ring by `get`, within the time, which is also that of reading a large one. */
  #getSync<R>(get: (ring: RingConsumer) => R, options: SyncWaitOptions | undefined): R {
    if (options !== undefined) timeoutOf(options);
    const ring = this.#open();
    if (options === undefined || options.timeout === undefined || options.timeout === 0) {
      if (!ring.next()) this.#waitSync(ring, options);
      return get(ring);
    }
    const { timeout } = options, deadline = deadlineAfter(timeoutOf(options));
    if (!ring.next()) this.#waitSync(ring, options);
    if (!ring.extended) return get(ring);
    ring.readUntil = deadline;
    try {
      return get(ring);
    } catch (error) {
      throw error === UNFINISHED ? timeoutError(RECEIVE, timeout) : error;
    } finally {
      ring.readUntil = Infinity;
    }
  }

  /** Blocks until the ring has found a message. */
  #waitSync(ring: RingConsumer, options: SyncWaitOptions | undefined): void {
    const timeout = timeoutOf(options), deadline = deadlineAfter(timeout);
    const state = timeout === 0 ? ring.poll() : ring.waitSync(deadline);
    if (this.#waits.length > 0) this.#rearm(ring);
    if (state === "message") return;
    throw state === "disconnected" ? disconnected() : timeoutError(RECEIVE, timeout);
  }

  /** A blocking wait has taken the flag down that an asynchronous one had put up. */
  #rearm(ring: RingConsumer): void {
    ring.arm();
    queueMicrotask(this.#onRing);
  }

  /**
   * Takes the next message if one is there.
   *
   * @returns The message, or why there is none: `empty` for now, or `disconnected` for good.
   * @throws {IpcError} `Closed`, `Serialization`, `Corrupt`.
   */
  tryRecv(): TryRecvResult<T> {
    const ring = this.#open();
    if (ring.next()) return { state: "message", value: this.#take(ring) };
    const state = ring.poll();
    if (state === "message") return { state, value: this.#take(ring) };
    return state === "empty" ? EMPTY : DISCONNECTED;
  }

  /**
   * Takes the messages that are there when it is called; never waits.
   *
   * @param max Messages to take at most; all by default.
   * @returns The messages, possibly none. At the end of the senders it is always empty: ask {@linkcode tryRecv}.
   * @throws {IpcError} `Closed`; and for a message that cannot be decoded, after those before it were returned.
   */
  recvMany(max: number = Infinity): T[] {
    if (max !== Infinity) integerOf(max, 0, Number.MAX_SAFE_INTEGER, "Cannot receive as many messages as");
    const ring = this.#open();
    const messages: T[] = [];
    const until = ring.claimedUntil; // a sender may send as fast as this receives
    try {
      while (messages.length < max && (ring.next() || (messages.length === 0 && ring.poll() === "message"))) {
        if (messages.length > 0 && ((until - ring.position) | 0) <= 0) break;
        messages.push(this.#take(ring));
      }
    } catch (error) {
      if (messages.length === 0) throw error;
      this.#deferred = error; // or the messages before it would be lost
    }
    return messages;
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
    return this.#receive(this.#lend, options);
  }

  /**
   * The blocking twin of {@linkcode borrow}.
   *
   * @param options How long to wait at most.
   * @returns The message, to be released soon.
   * @throws {IpcError} As {@linkcode recv}.
   */
  borrowSync(options?: SyncWaitOptions): Borrowed<T> {
    return this.#getSync(this.#lend, options);
  }

  /**
   * Reads the next message in place if one is there.
   *
   * @returns The message, or `undefined` if there is none now.
   * @throws {IpcError} `Disconnected`, `Closed`, `Serialization`, `Corrupt`.
   */
  tryBorrow(): Borrowed<T> | undefined {
    const ring = this.#open();
    if (ring.next()) return this.#lend(ring);
    const state = ring.poll();
    if (state === "disconnected") throw disconnected();
    return state === "message" ? this.#lend(ring) : undefined;
  }

  /**
   * Iterates over the messages until every sender is gone, or this receiver is closed. Leaving the loop leaves the
   * receiver open, and takes no message.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.values();
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
    const closed = () => this.closed;
    return iterate<T>({
      get closed() {
        return closed();
      },
      now: () => {
        if (this.#waits.length > 0) return NOT_NOW;
        const ring = this.#open();
        return ring.next() && !ring.extended && !mustGiveWay() ? this.#take(ring) : NOT_NOW;
      },
      next: () => this.#receive(this.#take, undefined),
      callOff: (pending) => this.#callOff(pending),
    }, options);
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

  /** Closes the receiver: senders get `Disconnected`, unread messages are dropped. Closing twice is harmless. */
  close(): void {
    forgotten.unregister(this);
    this.#end("Cannot receive: the receiver was closed while it was awaited");
    this.#seat.leave();
  }

  #end(why: string): void {
    const waits = this.#waits.splice(0);
    this.#rest();
    // An error costs 5 µs: only where somebody gets it.
    for (const { wait } of waits) wait.reject(new IpcError("Closed", why));
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Decodes and releases the message that the `RingConsumer` has found. @ignore */
  protected abstract take(ring: unknown): T;

  /** The next message, got out of the `RingConsumer` by `get`. @ignore */
  protected receive<R>(get: (ring: unknown) => R, options: WaitOptions | undefined): Promise<R> {
    return this.#receive(get, options);
  }

  /** The blocking twin of {@linkcode receive}. @ignore */
  protected receiveSync<R>(get: (ring: unknown) => R, options: SyncWaitOptions | undefined): R {
    return this.#getSync(get, options);
  }

  /** Decodes the message that the `RingConsumer` has found, in place. @ignore */
  protected abstract lend(ring: unknown): Borrowed<T>;

  /** The `RingConsumer`, attached. @ignore */
  protected ring(): unknown {
    return this.#open();
  }

  #open(): RingConsumer {
    if (this.#deferred !== undefined) {
      const error = this.#deferred;
      this.#deferred = undefined;
      throw error;
    }
    return this.#seat.ring();
  }

  /**
   * For what receives from several channels at once.
   *
   * @ignore
   */
  [MEMBER](): SetMember {
    const ring = this.#open();
    return {
      ring,
      take: () => this.#take(ring),
      close: () => this.close(),
    };
  }

  /** Where another object for the same receiver starts from; this one is closed. @ignore */
  [MOVE_OUT](): unknown {
    this.#open();
    const seat = this.#seat;
    forgotten.unregister(this);
    this.#end("Cannot receive: the receiver was given another type while it was awaited");
    seat.attached?.bell.stop(); // its next owner listens anew
    this.#seat = new ReceiverSeat(seat.attached!, []);
    this.#seat.gone();
    return seat;
  }

  /** Puts this receiver into the `Attachments` of a message, and returns what the other side must know. @ignore */
  protected pack(attachments: object): unknown[] {
    return this.#seat.pack(attachments as Attachments, () => {
      forgotten.unregister(this);
      const reason = new IpcError("Closed", "Cannot receive: the receiver was sent away while it was awaited");
      for (const { wait } of this.#waits.splice(0)) wait.reject(reason);
      clearTimeout(this.#gapTimer);
    }, () => {
      // What came meanwhile was not announced, and the flag of these waits was taken down.
      if (this.#waits.length > 0) queueMicrotask(this.#onRing);
    });
  }
}

/** Gives somebody who waits the message that the ring has found. `false` if more of its body is to be read. */
function handOver(item: Waiting, ring: RingConsumer): boolean {
  try {
    const value = ring.extended ? inTurns(item.get, ring) : item.get(ring);
    if (value === UNFINISHED) return false;
    item.wait.resolve(value);
  } catch (error) {
    item.wait.reject(error);
  }
  return true;
}

/** What `get` returns for the message that the ring has found, or `UNFINISHED` if its body takes longer to read. */
function inTurns<R>(get: (ring: RingConsumer) => R, ring: RingConsumer): R | Error {
  ring.readUntil = performance.now() + BODY_TURN;
  try {
    return get(ring);
  } catch (error) {
    if (error === UNFINISHED) return UNFINISHED;
    throw error;
  } finally {
    ring.readUntil = Infinity;
  }
}

const RECEIVE = "receive a message";

/** Checks how many bytes a message may have; `undefined` is the default. */
export function messageLimitOf(bytes: number | undefined): number | undefined {
  if (bytes === undefined || bytes === Infinity) return bytes;
  return integerOf(bytes, 0, Number.MAX_SAFE_INTEGER, "Cannot limit messages to the length");
}

/** The error of a receiver whose senders are all gone. */
export function disconnected(): IpcError {
  return new IpcError("Disconnected", "Cannot receive: every sender is gone, and all messages were received");
}
