// Every way to wait for a published message, but not the decoding: what the two kinds of subscribers are made of.
import { IpcError } from "../../base/error.ts";
import { afterOthers, giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { CALLED_OFF, iterate, type IterationOptions, NOT_NOW } from "../../base/iteration.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../../base/wait.ts";
import { ErrorBudget } from "../message/error_budget.ts";
import type { Attendance } from "./attendance.ts";
import type { TopicReader } from "./reader.ts";

/** What a getter returns for a message that was overwritten while it was read. */
export const OVERWRITTEN: unique symbol = Symbol("isthmus.overwritten");
/** What a look returns that has found no message. */
export const NOTHING: unique symbol = Symbol("isthmus.nothing");

/** Gets the message that the reader has found: a copy, or lent. */
export type Getter<R> = (reader: TopicReader) => R | typeof OVERWRITTEN;

/** Attempts in one call to read a message that is not overwritten meanwhile. */
const ATTEMPTS = 64;

const RECEIVE = "receive a message";

/** Somebody who waits for a message. */
interface Waiting {
  readonly wait: PendingWait<unknown>;
  readonly get: Getter<unknown>;
  /** The object that the program waits with: were it collected, it would be closed. */
  readonly owner: object;
  /** Milliseconds until it gives up, from when it begins to wait: not before the event loop had its turn. */
  timeout: number;
}

/** The waits of one subscriber. */
export class Subscription {
  readonly #at: Attendance;
  readonly #waits: Waiting[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether messages that are there stay there until the event loop had its turn. */
  #held = false;
  #errors: ErrorBudget | undefined;
  #sleepsSince = 0;
  readonly #onRing = () => this.#pump(true);

  constructor(at: Attendance) {
    this.#at = at;
  }

  /** The next message if it is there. */
  now<R>(get: Getter<R>): R | typeof NOTHING {
    const at = this.#at;
    for (let i = 0; i < ATTEMPTS; i++) {
      if (!at.next()) return NOTHING;
      const { reader } = at;
      let found: R | typeof OVERWRITTEN;
      try {
        found = get(reader);
      } catch (error) {
        if (this.#at.closed) throw error; // by code of the program
        if (!reader.intact) {
          reader.overtaken(); // what could not be decoded was another message, or parts of two
          continue;
        }
        reader.pass();
        throw this.#counted(error);
      }
      if (found === OVERWRITTEN) {
        reader.overtaken();
        continue;
      }
      reader.pass();
      return found as R;
    }
    return NOTHING; // publishers overwrite faster than this reads: for now
  }

  /** What is wrong with a message. Of a topic with too many of them, that is the end. */
  #counted(error: unknown): unknown {
    return (this.#errors ??= new ErrorBudget()).judge(error, () => this.close(), "subscriber");
  }

  /** Waits for the next message. */
  receive<R>(get: Getter<R>, options: WaitOptions | undefined, owner: object): Promise<R> {
    try {
      if (options !== undefined) {
        timeoutOf(options);
        options.signal?.throwIfAborted();
      }
      const at = this.#at;
      if (this.#waits.length === 0 && !this.#held) {
        if (at.next() || (options?.timeout !== 0 && at.spin(false))) {
          if (mustGiveWay()) return this.#later(get, options, owner);
          const found = this.now(get);
          if (found !== NOTHING) return Promise.resolve(found as R);
        }
        if (options?.timeout === 0) return afterOthers(Promise.reject(timeoutError(RECEIVE, 0)));
      }
      if (this.#held || options?.timeout === 0) return this.#later(get, options, owner);
      return this.#wait(get, options, owner);
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
  }

  /** The same once the event loop had its turn. Until then the message stays where it is. */
  #later<R>(get: Getter<R>, options: WaitOptions | undefined, owner: object): Promise<R> {
    if (options?.timeout === 0) return giveWay().then(() => this.#atOnce(get));
    const { promise } = this.#enqueue(get, options, owner, true);
    this.#hold();
    return promise;
  }

  #atOnce<R>(get: Getter<R>): R {
    const found = this.#waits.length > 0 ? NOTHING : this.now(get);
    if (found === NOTHING) throw timeoutError(RECEIVE, 0);
    return found as R;
  }

  #wait<R>(get: Getter<R>, options: WaitOptions | undefined, owner: object): Promise<R> {
    const { promise } = this.#enqueue(get, options, owner, false);
    this.#sleepsSince = performance.now();
    this.#pump(false);
    return promise;
  }

  #enqueue<R>(get: Getter<R>, options: WaitOptions | undefined, owner: object, later: boolean): PendingWait<R> {
    const { signal } = options ?? {};
    const wait = new PendingWait<R>(RECEIVE, later ? signal && { signal } : options, () => this.#forget(item));
    const timeout = later ? timeoutOf(options) : Infinity;
    const item: Waiting = { wait: wait as PendingWait<unknown>, get, owner, timeout };
    this.#waits.push(item);
    return wait;
  }

  #forget(item: Waiting): void {
    const at = this.#waits.indexOf(item);
    if (at >= 0) this.#waits.splice(at, 1);
    if (this.#waits.length === 0) this.#rest();
  }

  #hold(): void {
    if (this.#held) return;
    this.#held = true;
    void giveWay().then(() => {
      this.#held = false;
      for (const item of this.#waits) {
        item.wait.limit(item.timeout);
        item.timeout = Infinity;
      }
      this.#sleepsSince = performance.now();
      this.#pump(true);
    });
  }

  /**
   * Hands messages to those who wait, and sees to it that this is called again if somebody still does. What is settled here
   * may run code of the program inside any later call: nothing is assumed to be as it was before.
   *
   * @param turned Whether it is the event loop that calls.
   */
  #pump(turned: boolean): void {
    if (this.#at.closed || this.#held) return;
    for (let looks = 0; this.#waits.length > 0; looks++) {
      try {
        const found = this.now(this.#waits[0]!.get);
        if (found !== NOTHING) {
          this.#at.slept(performance.now() - this.#sleepsSince, false);
          this.#waits.shift()!.wait.resolve(found);
          if (this.#waits.length > 0 && !turned && mustGiveWay()) return this.#hold();
          continue;
        }
        if (looks === ATTEMPTS) return this.#hold(); // publishers are faster: others must have their turn
        if (!this.#mayGoOn()) return;
      } catch (error) {
        this.#waits.shift()?.wait.reject(error);
        if (this.#at.closed) return;
      }
    }
    this.#rest();
  }

  /** There is no message: goes to sleep, unless there is one by now. */
  #mayGoOn(): boolean {
    const at = this.#at;
    const rung = at.arm(this.#onRing);
    if (at.hasMessage) {
      at.disarm();
      return true;
    }
    if (at.follow()) return true;
    if (rung) at.await();
    this.#lookLater();
    return false;
  }

  /** Nobody rings for everything; and this keeps the process alive exactly as long as somebody waits. */
  #lookLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump(true);
    }, this.#at.nextLook);
  }

  /** Nobody waits: publishers need not ring, and the process may exit. */
  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#at.closed || this.#waits.length > 0) return;
    this.#at.rest();
  }

  /** Ends a wait that is pending, without a message. */
  callOff(promise: Promise<unknown>): void {
    const item = this.#waits.find(({ wait }) => wait.promise === promise);
    if (item === undefined) return;
    item.wait.reject(CALLED_OFF);
    this.#forget(item);
  }

  /** The blocking twin of {@linkcode receive}. */
  receiveSync<R>(get: Getter<R>, options: SyncWaitOptions | undefined): R {
    const timeout = timeoutOf(options), at = this.#at;
    const first = this.now(get);
    if (first !== NOTHING) return first as R;
    if (timeout === 0) throw timeoutError(RECEIVE, 0);
    const deadline = deadlineAfter(timeout);
    try {
      for (;;) {
        if (at.spin(true)) {
          const found = this.now(get);
          if (found !== NOTHING) return found as R;
        }
        at.arm();
        if (at.hasMessage) at.disarm();
        else if (!at.follow()) at.sleepSync(deadline);
        const found = this.now(get);
        if (found !== NOTHING) return found as R;
        if (performance.now() >= deadline) throw timeoutError(RECEIVE, timeout);
      }
    } finally {
      if (!at.closed) at.disarm();
      // This has taken down the sign that an asynchronous wait had put up.
      if (this.#waits.length > 0) queueMicrotask(() => this.#pump(true));
    }
  }

  /** The messages, for a loop. */
  values<R>(get: Getter<R>, options: IterationOptions | undefined, owner: object): AsyncIterableIterator<R> {
    const at = this.#at;
    return iterate<R>({
      get closed() {
        return at.closed;
      },
      now: () => {
        if (this.#waits.length > 0 || this.#held || !at.next() || mustGiveWay()) return NOT_NOW;
        const found = this.now(get);
        return found === NOTHING ? NOT_NOW : found as R;
      },
      next: () => this.receive(get, undefined, owner),
      callOff: (pending) => this.callOff(pending),
    }, options);
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waits.length;
  }

  /** Ends all waits, and leaves the topic. */
  close(): void {
    const waits = this.#waits.splice(0);
    this.#rest();
    this.#at.close();
    for (const { wait } of waits) {
      wait.reject(new IpcError("Closed", "Cannot receive: the subscriber was closed while it was awaited"));
    }
  }
}
