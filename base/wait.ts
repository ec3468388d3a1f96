// Options of everything that waits, and the arithmetic of deadlines.
import { asFound, optionsOf } from "./arguments.ts";
import { IpcError } from "./error.ts";

/**
 * How long a waiting call may take, and a signal that ends the wait.
 *
 * @example Giving up
 * ```ts
 * import { channel, IpcError, type WaitOptions } from "@isthmus/ipc";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const [sender, receiver] = channel<string>();
 * const inTime: WaitOptions = { timeout: 5 };
 * const error = await assertRejects(() => receiver.recv(inTime), IpcError);
 * assertEquals(error.code, "Timeout");
 *
 * const stop = new AbortController();
 * const waiting = receiver.recv({ signal: stop.signal });
 * stop.abort(new Error("not needed any more"));
 * await assertRejects(() => waiting, Error, "not needed any more");
 * sender.close(), receiver.close();
 * ```
 */
export interface WaitOptions {
  /** Milliseconds to wait at most; 0 does not wait. Running out is an {@linkcode IpcError} with code `Timeout`. */
  timeout?: number;
  /** Ends the wait: the promise rejects with `signal.reason`. */
  signal?: AbortSignal;
}

/**
 * How long a call that blocks the thread may take.
 *
 * @example Waiting no longer than half a second
 * ```ts
 * import { channel, type SyncWaitOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const patience: SyncWaitOptions = { timeout: 500 };
 * const [sender, receiver] = channel<string>();
 * sender.sendSync("hello", patience);
 * assertEquals(receiver.recvSync(patience), "hello");
 * sender.close(), receiver.close();
 * ```
 */
export interface SyncWaitOptions {
  /** Milliseconds to wait at most; 0 does not wait. Running out is an {@linkcode IpcError} with code `Timeout`. */
  timeout?: number;
}

/**
 * The wait in milliseconds that options ask for; `Infinity` without one.
 *
 * @throws {TypeError} If they are no options: the time-out no number of milliseconds from 0, the signal no `AbortSignal`.
 */
export function timeoutOf(options: WaitOptions | undefined): number {
  if (options === undefined) return Infinity;
  const { timeout, signal } = optionsOf(options, "Cannot wait");
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot wait with the signal ${asFound(signal)}: it must be an AbortSignal`);
  }
  if (timeout === undefined) return Infinity;
  if (typeof timeout !== "number" || !(timeout >= 0)) {
    throw new TypeError(
      `Cannot wait with the timeout ${asFound(timeout)}: it must be a number of milliseconds, from 0`,
    );
  }
  return timeout;
}

/** A time-out for a message: what is left of a deadline has digits behind the point that say nothing. */
export function millisecondsText(milliseconds: number): string {
  return `${milliseconds < 1 ? milliseconds : Math.round(milliseconds)} ms`;
}

/** The error for a wait whose time ran out; `what` is what was waited for ("receive a message"). */
export function timeoutError(what: string, timeout: number): IpcError {
  return new IpcError("Timeout", `Cannot ${what}: timed out after ${millisecondsText(timeout)}`);
}

/** The moment, on the clock of `performance.now()`, when a wait that starts now runs out. */
export function deadlineAfter(timeout: number): number {
  return timeout === Infinity ? Infinity : performance.now() + timeout;
}

/**
 * A promise that rejects with an error that was made by the event loop, where nobody called: in the next microtasks, when
 * it is known who awaits, so that the stack of the error says so. Costs nothing unless a wait fails.
 */
async function withCallers(error: Error): Promise<never> {
  await undefined; // until the promise that is resolved with this one listens to it …
  await undefined; // … and the engine can follow both to the callers
  Error.captureStackTrace(error);
  throw error;
}

/**
 * Settles one pending promise at most once, and removes its timer and its listener on the signal when it does.
 * What the async waits of this package are made of.
 */
export class PendingWait<T> {
  /** What the caller awaits. */
  readonly promise: Promise<T>;
  #resolve!: (value: T | PromiseLike<T>) => void;
  #reject!: (reason: unknown) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;
  #settled = false;
  readonly #expired: (timeout: number) => IpcError;
  readonly #onGivenUp: (wait: PendingWait<T>) => void;

  /**
   * @param what What is waited for, for the message of the `Timeout` error.
   * @param options The caller's.
   * @param onGivenUp Called when the timer or the signal ended the wait, so that its owner forgets it.
   * @param expired The `Timeout` error, where more can be said.
   */
  constructor(
    what: string,
    options: WaitOptions | undefined,
    onGivenUp: (wait: PendingWait<T>) => void,
    expired: (timeout: number) => IpcError = (timeout) => timeoutError(what, timeout),
  ) {
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#expired = expired;
    this.#onGivenUp = onGivenUp;
    this.limit(timeoutOf(options));
    const signal = options?.signal;
    if (signal !== undefined) {
      this.#signal = signal;
      this.#onAbort = () => {
        this.#onAbort = undefined; // it is off the signal: not to be looked for among those of thousands of waits
        if (this.#settle()) onGivenUp(this), this.#reject(signal.reason);
      };
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  /** Starts the timer, of a wait that was begun without one. */
  limit(timeout: number): void {
    if (timeout === Infinity || this.#settled) return;
    const deadline = performance.now() + timeout;
    const expire = () => {
      const left = deadline - performance.now();
      // Timers count at most 2^31 ms, and may fire a little early.
      if (left > 0) this.#timer = setTimeout(expire, Math.min(Math.ceil(left), 0x7fff_ffff));
      else if (this.#settle()) this.#onGivenUp(this), this.#fail(this.#expired(timeout));
    };
    this.#timer = setTimeout(expire, Math.min(timeout, 0x7fff_ffff));
  }

  /** Whether the promise is settled. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Fulfils the promise; `false` if it was settled before. */
  resolve(value: T): boolean {
    if (!this.#settle()) return false;
    this.#resolve(value);
    return true;
  }

  /** Rejects the promise; `false` if it was settled before. */
  reject(reason: unknown): boolean {
    if (!this.#settle()) return false;
    this.#fail(reason);
    return true;
  }

  /** Rejects the promise with an error whose stack is to be that of the one who waits; `false` if it was settled before. */
  rejectHere(error: Error): boolean {
    if (!this.#settle()) return false;
    this.#resolve(withCallers(error));
    return true;
  }

  /** Errors of this package say who waited; others are the caller's own. */
  #fail(reason: unknown): void {
    if (reason instanceof IpcError) this.#resolve(withCallers(reason));
    else this.#reject(reason);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    if (this.#onAbort !== undefined) this.#signal!.removeEventListener("abort", this.#onAbort);
    return true;
  }
}
