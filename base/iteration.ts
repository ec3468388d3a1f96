// One rule for all that can be iterated over. The loop ends quietly when no more can come, when this side closes what it
// iterates over, be it in its body or while it waits, and when a signal says so; as with Deno's listeners. Leaving it takes
// nothing: a wait that ends early has left what it waited for where it is.
import { IpcError } from "./error.ts";
import { afterOthers } from "./event_loop.ts";

/** What a loop takes its items from. */
export interface IterationSource<T> {
  /** Whether this side has closed it. */
  readonly closed: boolean;
  /** The next item if it is there, and may be taken without a turn of the event loop; else {@linkcode NOT_NOW}. */
  now?(): T | typeof NOT_NOW;
  /** Waits for the next item; rejects with `Disconnected` if none can come any more. */
  next(): Promise<T>;
  /** Rejects what {@linkcode next} returned with {@linkcode CALLED_OFF}, if it is pending; it takes no item then. */
  callOff(pending: Promise<T>): void;
}

/** What {@linkcode IterationSource.now} returns if there is nothing. */
export const NOT_NOW: unique symbol = Symbol("isthmus.notNow");

/** What a wait that ended early rejects with. */
export const CALLED_OFF: unique symbol = Symbol("isthmus.calledOff");

/**
 * Options of a loop.
 *
 * @example Ending a loop from outside
 * ```ts
 * import { channel, type IterationOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<number>();
 * const options: IterationOptions = { signal: AbortSignal.timeout(20) };
 * let received = 0;
 * sender.sendSync(1);
 * for await (const _ of receiver.values(options)) received++;
 * assertEquals(received, 1);
 * sender.close(), receiver.close();
 * ```
 */
export interface IterationOptions {
  /** Ends the loop, which stops waiting at once; nothing is lost. */
  signal?: AbortSignal;
}

/** Iterates over a source. */
export function iterate<T>(source: IterationSource<T>, options?: IterationOptions): AsyncIterableIterator<T> {
  return new Iteration(source, options?.signal);
}

class Iteration<T> implements AsyncIterableIterator<T> {
  readonly #source: IterationSource<T>;
  readonly #signal: AbortSignal | undefined;
  /** More than one if the program asks for several items at a time. */
  readonly #pending: Promise<T>[] = [];
  readonly #abort = () => this.#end();
  #ended = false;

  constructor(source: IterationSource<T>, signal: AbortSignal | undefined) {
    this.#source = source;
    this.#signal = signal;
    if (signal?.aborted) this.#ended = true;
    else signal?.addEventListener("abort", this.#abort, { once: true });
  }

  next(): Promise<IteratorResult<T>> {
    const source = this.#source;
    if (this.#ended || source.closed) return Promise.resolve(this.#end());
    try {
      const value = source.now === undefined ? NOT_NOW : source.now();
      if (value !== NOT_NOW) return Promise.resolve({ done: false, value: value as T });
    } catch (error) {
      return afterOthers(Promise.reject(error));
    }
    return this.#wait();
  }

  async #wait(): Promise<IteratorResult<T>> {
    const pending = this.#source.next();
    this.#pending.push(pending);
    try {
      return { done: false, value: await pending };
    } catch (error) {
      if (error === CALLED_OFF || this.#isTheEnd(error)) return this.#end();
      throw error;
    } finally {
      this.#pending.splice(this.#pending.indexOf(pending), 1);
    }
  }

  #isTheEnd(error: unknown): boolean {
    if (!(error instanceof IpcError)) return false;
    return error.code === "Disconnected" || (error.code === "Closed" && this.#source.closed);
  }

  #end(): IteratorReturnResult<undefined> {
    this.#ended = true;
    this.#signal?.removeEventListener("abort", this.#abort);
    for (const pending of this.#pending) this.#source.callOff(pending);
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<T>> {
    return Promise.resolve(this.#end());
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
