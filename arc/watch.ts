// Following the value of a cell.
import { giveWay, mustGiveWay } from "../base/event_loop.ts";
import type { Attachment } from "./cell.ts";
import type { PodLayout } from "./layout/layout.ts";
import { decodeValue } from "./value_codec.ts";

/** The changes of a cell from the moment it is made: the iterator behind `IpcArc.watch`. */
export class Watch<T> implements AsyncIterableIterator<T> {
  readonly #attachment: Attachment;
  readonly #layout: PodLayout<T> | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #onEnd: (watch: Watch<T>) => void;
  readonly #pending: PromiseWithResolvers<IteratorResult<T>>[] = [];
  readonly #wake = () => this.#look();
  readonly #abort = () => this.end();
  #counter: number;
  /** The bytes last given out, by which a change is told from a value that was written again. */
  #last: Uint8Array;
  #watching = false;
  #ended = false;

  constructor(
    attachment: Attachment,
    layout: PodLayout<T> | undefined,
    signal: AbortSignal | undefined,
    onEnd: (watch: Watch<T>) => void,
  ) {
    this.#attachment = attachment;
    this.#layout = layout;
    this.#signal = signal;
    this.#onEnd = onEnd;
    const { store } = attachment.cell;
    this.#counter = store.counter; // before the bytes: a change in between is seen as one
    this.#last = store.copy().slice();
    if (signal?.aborted) this.end();
    else signal?.addEventListener("abort", this.#abort, { once: true });
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    const pending = Promise.withResolvers<IteratorResult<T>>();
    this.#pending.push(pending);
    if (mustGiveWay()) void giveWay().then(() => this.#look()); // a loop that changes what it watches always finds a change
    else this.#look();
    return pending.promise;
  }

  /** Gives the value to the caller that awaits the next one, if it has changed. */
  #look(): void {
    if (this.#pending.length === 0) return;
    const { cell } = this.#attachment;
    // The bell first, then the value: a change after the look rings.
    if (this.#watching) cell.rearm();
    else cell.watch(this.#wake);
    this.#watching = true;
    try {
      const { store } = cell;
      const counter = store.counter;
      if (counter !== this.#counter) {
        const bytes = store.copy();
        this.#counter = counter;
        if (!equal(bytes, this.#last)) {
          this.#last = bytes.slice();
          const value = decodeValue(bytes, this.#layout);
          this.#pending.shift()!.resolve({ done: false, value });
        }
      }
    } catch (error) {
      this.#pending.shift()!.reject(error);
    }
    // Nobody awaits a change: no bell, no timer, and the process may exit.
    if (this.#pending.length === 0) this.#unwatch();
  }

  #unwatch(): void {
    if (!this.#watching) return;
    this.#watching = false;
    this.#attachment.cell.unwatch(this.#wake);
  }

  /** Ends the iteration, also for those who await the next value. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unwatch();
    this.#signal?.removeEventListener("abort", this.#abort);
    for (const pending of this.#pending.splice(0)) pending.resolve({ done: true, value: undefined });
    this.#onEnd(this);
  }

  return(): Promise<IteratorResult<T>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
