// Waits for messages of many channels at once.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { IpcBytesReceiver } from "./bytes_receiver.ts";
import type { IpcReceiver, OpaqueIpcReceiver } from "./receiver.ts";
import type { SelectEvent } from "./select_event.ts";
import { SetCore } from "./set_core.ts";

/**
 * What a set takes in.
 *
 * @example Receivers of every kind
 * ```ts
 * import { bytesChannel, channel, IpcReceiverSet, type SetReceiver } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [words, wordReceiver] = channel<string>();
 * const [packets, packetReceiver] = bytesChannel();
 * const [hidden, hiddenReceiver] = channel<boolean>();
 * const receivers: SetReceiver[] = [wordReceiver, packetReceiver, hiddenReceiver.toOpaque()];
 *
 * using set = new IpcReceiverSet();
 * const ids = receivers.map((receiver) => set.add(receiver));
 * assertEquals(new Set(ids).size, 3);
 * for (const sender of [words, packets, hidden]) sender.close();
 * ```
 */
export type SetReceiver = IpcReceiver<unknown> | IpcBytesReceiver | OpaqueIpcReceiver;

/**
 * Receives from many channels at once. A receiver that is added moves into the set. The set is fair: one channel that
 * is always full does not keep the others waiting.
 *
 * @example
 * ```ts
 * import { channel, IpcReceiverSet } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [first, firstReceiver] = channel<string>();
 * const [second, secondReceiver] = channel<number>();
 * using set = new IpcReceiverSet();
 * set.add(firstReceiver);
 * const numbers = set.add(secondReceiver);
 *
 * second.sendSync(42);
 * assertEquals(await set.select(), [{ id: numbers, type: "message", value: 42 }]);
 *
 * second.close();
 * assertEquals(await set.select(), [{ id: numbers, type: "closed" }]);
 * first.close();
 * ```
 */
export class IpcReceiverSet implements Disposable, AsyncIterable<SelectEvent> {
  static {
    cannotTravel(this.prototype, "send the receivers");
  }

  static {
    printAs(IpcReceiverSet.prototype, (set) => ({ state: stateOf(set), size: set.size }));
  }

  readonly #core = new SetCore();

  /** The number of receivers in the set. */
  get size(): number {
    return this.#core.size;
  }

  /** Whether the set was closed. */
  get closed(): boolean {
    return this.#core.closed;
  }

  /**
   * Takes a receiver in. It moves: the object that is passed is closed. A pending {@linkcode select} hears it as well; it
   * rejects if this process has no descriptor left for that.
   *
   * @param receiver The receiver.
   * @returns Its number, which the events carry.
   * @throws {IpcError} `Closed` if the receiver or the set is closed.
   * @throws {TypeError} If it is no receiver.
   */
  add(receiver: SetReceiver): number {
    return this.#core.add(receiver);
  }

  /**
   * Takes a receiver out and closes it. Nothing of it is reported any more, also of what the set had taken already. A
   * pending {@linkcode select} goes on with the others; if there are none it rejects with `Disconnected`, and a loop ends.
   *
   * @param id Its number.
   * @returns Whether it was in the set: `false` if no receiver of it has this number.
   */
  remove(id: number): boolean {
    return this.#core.remove(id);
  }

  /**
   * Waits until any member has something.
   *
   * @param options How long to wait at most, and a signal that ends the wait; no event is lost by either.
   * @returns At least one event; several messages of a member in their order. What is wrong with a member is an event of
   * it, and does not keep the others back.
   * @throws {IpcError} `Timeout`; `Closed`; `Disconnected` if the set is empty; `System` if this process has no descriptor
   * left to wait by.
   */
  select(options?: WaitOptions): Promise<SelectEvent[]> {
    return this.#core.select(options);
  }

  /**
   * The blocking twin of {@linkcode select}.
   *
   * @param options How long to wait at most.
   * @returns At least one event.
   * @throws {IpcError} As {@linkcode select}.
   */
  selectSync(options?: SyncWaitOptions): SelectEvent[] {
    return this.#core.selectSync(options);
  }

  /**
   * Takes what is there now.
   *
   * @returns The events, possibly none.
   * @throws {IpcError} `Closed`.
   */
  trySelect(): SelectEvent[] {
    return this.#core.trySelect();
  }

  /**
   * Iterates over the events until the set is empty, as members close or are removed, or closed. What a loop that is left
   * had not got to is there for the next {@linkcode select}.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<SelectEvent> {
    return this.#core.values();
  }

  /**
   * Iterates over the events, as `for await` on the set itself does, until a signal ends the loop.
   *
   * @param options What ends it.
   * @returns The events.
   */
  values(options?: IterationOptions): AsyncIterableIterator<SelectEvent> {
    return this.#core.values(options);
  }

  /** Closes the set and every receiver in it. A pending select rejects with `Closed`, a loop ends. */
  close(): void {
    this.#core.close();
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
