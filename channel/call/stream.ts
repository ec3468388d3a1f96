// The reading end of a stream that a call returns: an async generator of the other side.
import { cannotTravel } from "../../base/pack.ts";
import { PendingWait } from "../../base/wait.ts";
import { discard } from "../message/discard.ts";

/** Items that may be on their way, or wait here, at a time; and how many are asked for in one go. */
const MOST_ITEMS = 16, REFILL = 8;

/** What a stream needs of the calling side. */
export interface StreamSource {
  /** Asks for so many more items. */
  more(count: number): void;
  /** The reader has left. */
  leave(): void;
  /** One more waits for an item, and one less. */
  hold(): void;
  letGo(): void;
}

/** What has arrived, and who waits for more. */
export class StreamState<T> {
  readonly #source: StreamSource;
  readonly #items: T[] = [];
  readonly #waits: PendingWait<IteratorResult<T>>[] = [];
  /** Items that were asked for and have not arrived, and all that have. */
  #wanted = 0;
  #count = 0;
  #end: { readonly error?: unknown } | undefined;
  #started = false;
  #reader: WeakRef<RemoteStream<T>> | undefined;
  /** The same, while somebody waits: it must not be collected then. */
  readonly #waiting = new Set<RemoteStream<T>>();

  constructor(source: StreamSource) {
    this.#source = source;
  }

  /** Whether everything has arrived, or nothing more is wanted. */
  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** What the program reads it by. */
  get reader(): RemoteStream<T> {
    let reader = this.#reader?.deref();
    if (reader === undefined) this.#reader = new WeakRef(reader = new RemoteStream(this));
    return reader;
  }

  /** The first items are asked for. */
  start(): void {
    if (this.#started || this.ended) return;
    this.#started = true;
    this.#ask(MOST_ITEMS);
  }

  #ask(count: number): void {
    this.#wanted += count;
    this.#source.more(count);
  }

  /**
   * Takes an item that has arrived.
   *
   * @returns What is wrong with it, if anything: `lost` is an item before it.
   */
  arrive(number: number, item: T): "too many" | "lost" | undefined {
    const problem = this.#wanted === 0 ? "too many" : number !== this.#count ? "lost" : undefined;
    if (problem !== undefined || this.ended) {
      discard(item);
      return this.ended ? undefined : problem;
    }
    this.#wanted--;
    this.#count++;
    const wait = this.#waits.shift();
    if (wait === undefined) {
      this.#items.push(item);
    } else {
      this.#release();
      wait.resolve({ done: false, value: item });
      this.#refill();
    }
    return undefined;
  }

  /** How many items have arrived. */
  get count(): number {
    return this.#count;
  }

  /** Nothing more comes. What has arrived is still read. */
  end(error?: { readonly error: unknown }): void {
    if (this.ended) return;
    this.#end = error ?? {};
    for (const wait of this.#waits.splice(0)) {
      this.#release();
      this.#settle(wait);
    }
  }

  #settle(wait: PendingWait<IteratorResult<T>>): void {
    const end = this.#end!;
    if ("error" in end) {
      this.#end = {}; // thrown once
      if (end.error instanceof Error) wait.rejectHere(end.error);
      else wait.reject(end.error);
    } else wait.resolve({ done: true, value: undefined });
  }

  #release(): void {
    this.#source.letGo();
    if (this.#waits.length === 0) this.#waiting.clear();
  }

  #refill(): void {
    if (!this.ended && this.#wanted + this.#items.length <= MOST_ITEMS - REFILL) this.#ask(REFILL);
  }

  /** The next item. */
  next(reader: RemoteStream<T>): Promise<IteratorResult<T>> {
    if (this.#items.length > 0) {
      const value = this.#items.shift()!;
      this.#refill();
      return Promise.resolve({ done: false, value });
    }
    this.start();
    const wait = new PendingWait<IteratorResult<T>>("receive an item of a stream", undefined, () => {});
    if (this.ended) {
      this.#settle(wait);
    } else {
      this.#waits.push(wait);
      this.#waiting.add(reader);
      this.#source.hold();
    }
    return wait.promise;
  }

  /** The reader leaves: what it has not read is dropped. */
  leave(): void {
    for (const item of this.#items.splice(0)) discard(item);
    const left = !this.ended;
    if (left) this.end();
    else this.#end = {};
    if (left) this.#source.leave();
  }
}

// A backstop: the generator of a reader that was forgotten would wait at the other side.
const forgotten = new FinalizationRegistry<StreamState<unknown>>((state) => state.leave());

/** What programs read a stream by. Leaving it ends the generator at the other side. */
export class RemoteStream<T> implements AsyncIterableIterator<T> {
  static {
    cannotTravel(this.prototype, "send its items");
  }

  readonly #state: StreamState<T>;

  constructor(state: StreamState<T>) {
    this.#state = state;
    forgotten.register(this, state as StreamState<unknown>, this);
  }

  next(): Promise<IteratorResult<T>> {
    return this.#state.next(this);
  }

  return(value?: unknown): Promise<IteratorResult<T>> {
    forgotten.unregister(this);
    this.#state.leave();
    return Promise.resolve({ done: true, value: value as undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.return().then(() => {});
  }
}
