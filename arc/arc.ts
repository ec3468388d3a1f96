// The public face of a cell.
import { optionsOf } from "../base/arguments.ts";
import { printAs, stateOf } from "../base/custom_inspect.ts";
import { IpcError } from "../base/error.ts";
import { giveWay, mustGiveWay } from "../base/event_loop.ts";
import { cannotTravel } from "../base/pack.ts";
import { type PendingWait, type SyncWaitOptions, timeoutOf, type WaitOptions } from "../base/wait.ts";
import { type AtomicCell, atomicCell } from "./atomic.ts";
import { createCell, loadCell } from "./attach.ts";
import { type Attachment, Cell } from "./cell.ts";
import { createGuard, type IpcArcGuard } from "./guard.ts";
import { holdOf } from "./hold.ts";
import type { PodLayout } from "./layout/layout.ts";
import { isScalar } from "./layout/scalar.ts";
import { closedWaiting, waitForLock } from "./lock_wait.ts";
import { type ArcOptions, settingsOf } from "./options.ts";
import { checkUpdate, isPromise, storeUpdate } from "./update.ts";
import { decodeValue } from "./value_codec.ts";
import { Watch } from "./watch.ts";

// A backstop for cells that were forgotten; `close()` is the plan.
const forgotten = new FinalizationRegistry<Attachment>((attachment) => holdOf(attachment.cell).orphaned(attachment));

/** Whether an object is just made here, and not by the program. */
let making = false;

/**
 * A value that several processes share under a name, with a lock that survives the death of its owner: `Arc<Mutex<T>>`
 * across processes.
 *
 * The value lives in POSIX shared memory as long as a process holds the cell; the last one out removes it, or if that one is
 * killed, who opens the name next. Every object
 * counts as one reference, {@linkcode IpcArc.clone} makes another. Processes that share a cell trust one another.
 *
 * @typeParam T The type of the value: what structuredClone takes, or what the layout says.
 *
 * @example Two holders of one cell
 * ```ts
 * import { IpcArc } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `counter-${crypto.randomUUID()}`;
 * using first = IpcArc.create(name, { count: 0 });
 * using second = IpcArc.load<{ count: number }>(name); // in another process, usually
 *
 * using guard = await second.acquire();
 * guard.value.count += 1;
 * guard.release();
 *
 * assertEquals(first.read(), { count: 1 });
 * assertEquals(first.refCount, 2);
 * ```
 */
export class IpcArc<T> implements Disposable {
  static {
    cannotTravel(this.prototype, "send its name, and load it there");
  }

  static {
    printAs<IpcArc<unknown>>(IpcArc.prototype, (arc) => ({
      name: arc.name,
      state: stateOf(arc),
      locked: arc.closed ? undefined : arc.#cell.holder !== undefined,
      waiting: arc.#waits.size,
    }));
  }

  #attachment!: Attachment;
  #cell!: Cell;
  #layout: PodLayout<T> | undefined;
  readonly #waits = new Set<PendingWait<IpcArcGuard<T>>>();
  readonly #watches = new Set<Watch<T>>();
  #atomic: AtomicCell<T> | undefined;

  private constructor() {
    if (!making) throw new TypeError("Cannot construct an IpcArc: use IpcArc.create(), load() or createOrLoad()");
    making = false;
  }

  /** The object for an attachment, which belongs to it from now on. */
  static #over<T>(attachment: Attachment, layout: PodLayout<T> | undefined): IpcArc<T> {
    making = true;
    const arc = new IpcArc<T>();
    arc.#attachment = attachment;
    arc.#cell = attachment.cell;
    arc.#layout = layout;
    forgotten.register(arc, attachment, arc);
    return arc;
  }

  /**
   * Makes a cell.
   *
   * @param name Text of 1 to 200 bytes without "/" and NUL.
   * @param value The first value.
   * @param options The layout, or the capacity; the permissions.
   * @returns The cell, held.
   * @throws {IpcError} `AlreadyExists` if a living cell has the name (one whose holders are all dead is replaced),
   * `Incompatible` if something else has it, `Permission` if another user has it who is not trusted, `TooLarge` or `Serialization` for the value, `System` if shared memory has
   * no room.
   * @throws {TypeError} If the name cannot be used, or the value does not fit the layout.
   * @throws {RangeError} If the capacity or the mode cannot be used, or a number does not fit the layout.
   */
  static create<T>(name: string, value: T, options?: ArcOptions<T>): IpcArc<T> {
    const settings = settingsOf(options);
    const made = createCell(name, value, settings);
    if (made === undefined) {
      throw new IpcError(
        "AlreadyExists",
        `Cannot create the cell "${name}": it exists, and its holders live; load it, or use another name`,
      );
    }
    return IpcArc.#over(made, settings.layout);
  }

  /**
   * Attaches to a cell that exists.
   *
   * @param name The name that it was created with.
   * @param options The layout that it was created with.
   * @returns The cell, held.
   * @throws {IpcError} `NotFound` if there is none, or all its holders are dead; `Incompatible` if it has another
   * layout or format, or the name belongs to something else; `Permission` if another user has made it, or others may
   * write to it, who are not trusted (see {@linkcode ArcOptions.trust}); `Corrupt` if its file was damaged.
   */
  static load<T>(name: string, options?: ArcOptions<T>): IpcArc<T> {
    const settings = settingsOf(options);
    const loaded = loadCell(name, settings);
    if (loaded === undefined) {
      throw new IpcError(
        "NotFound",
        `Cannot load the cell "${name}": there is none, or its holders have ended; create it, or use createOrLoad`,
      );
    }
    return IpcArc.#over(loaded, settings.layout);
  }

  /**
   * Attaches to a cell, or makes it if it does not exist. A value that is there stays. Of several processes that do
   * this at one time, one creates and all get the same cell.
   *
   * @param name Text of 1 to 200 bytes without "/" and NUL.
   * @param value The first value, if this call creates the cell.
   * @param options The layout, or the capacity; the permissions.
   * @returns The cell, held.
   * @throws {IpcError} As {@linkcode IpcArc.create} and {@linkcode IpcArc.load}, but `AlreadyExists` and `NotFound`.
   */
  static createOrLoad<T>(name: string, value: T, options?: ArcOptions<T>): IpcArc<T> {
    const settings = settingsOf(options);
    for (;;) {
      const found = loadCell(name, settings) ?? createCell(name, value, settings);
      if (found !== undefined) return IpcArc.#over(found, settings.layout);
      // It was created in between, and may be gone again by now.
    }
  }

  /** The name that the cell was created with. */
  get name(): string {
    return this.#attachment.file.name;
  }

  /**
   * The number of holders that the cell has now, in all processes, this object included. The kernel counts them, so it is exact even
   * after kills.
   *
   * @throws {IpcError} `Closed`.
   */
  get refCount(): number {
    this.#mustBeOpen("count the holders of");
    return this.#attachment.file.countHolders();
  }

  /** Whether this object was closed. The cell itself lives as long as others hold it. */
  get closed(): boolean {
    return this.#attachment.closed;
  }

  #mustBeOpen(what: string): void {
    if (this.#attachment.closed) {
      throw new IpcError("Closed", `Cannot ${what} the cell "${this.name}": it was closed; load it again`);
    }
  }

  #guard(ownerDied: boolean): IpcArcGuard<T> {
    return createGuard(this, this.#attachment, this.#layout, ownerDied);
  }

  /**
   * Waits for the lock. Within this isolate first come is first served; while the lock is held here, others queue.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The guard. Bind it with `using`.
   * @throws {IpcError} `Timeout`; `Closed` if the cell is closed meanwhile.
   */
  async acquire(options?: WaitOptions): Promise<IpcArcGuard<T>> {
    // The options first: looking at them runs code of the program, which may close this.
    const wanted = waitOf(options);
    const timeout = timeoutOf(wanted);
    wanted?.signal?.throwIfAborted();
    this.#mustBeOpen("acquire");
    const cell = this.#cell;
    const ownerDied = cell.holder === undefined && !cell.mustQueue ? cell.tryLock() : undefined;
    if (ownerDied === true) return this.#guard(true);
    // Where another process holds it, the wait is a turn of the event loop anyway.
    if ((ownerDied !== undefined || cell.holder !== undefined) && mustGiveWay()) {
      if (ownerDied !== undefined) cell.unlock(); // others may wait for it
      await giveWay();
      return await this.acquire(wanted);
    }
    if (ownerDied !== undefined) return this.#guard(ownerDied);
    return await waitForLock(this.#attachment, this.#waits, wanted, timeout, (ownerDied) => this.#guard(ownerDied));
  }

  /**
   * Takes the lock, blocking the thread until it is free.
   *
   * @param options How long to block at most.
   * @returns The guard. Bind it with `using`.
   * @throws {IpcError} `Deadlock` if this isolate holds the lock itself; `Timeout`; `Closed`.
   */
  acquireSync(options?: SyncWaitOptions): IpcArcGuard<T> {
    const timeout = options === undefined ? Infinity : timeoutOf(options);
    this.#mustBeOpen("acquire");
    const cell = this.#cell;
    if (cell.holder !== undefined) {
      throw new IpcError(
        "Deadlock",
        `Cannot acquire the cell "${this.name}": this program holds it already and would wait for itself; ` +
          "release that guard first, or await acquire()",
      );
    }
    return this.#guard(cell.lockSync(timeout, "acquire a cell"));
  }

  /**
   * Takes the lock if it is free.
   *
   * @returns The guard, or `undefined` if the lock is held, also if by this program.
   * @throws {IpcError} `Closed`.
   */
  tryAcquire(): IpcArcGuard<T> | undefined {
    this.#mustBeOpen("acquire");
    if (this.#cell.holder !== undefined) return undefined;
    const ownerDied = this.#cell.tryLock();
    return ownerDied === undefined ? undefined : this.#guard(ownerDied);
  }

  /**
   * A copy of the value, consistent, without the lock: it neither waits for a writer nor holds one up.
   *
   * @returns The last complete value. What a guard is changing is not in it before the guard is released.
   * @throws {IpcError} `Closed`; `Corrupt` or `Serialization` if the bytes make no value; `Timeout` if for 5 seconds it was
   * overwritten each time that it was read: then read it under the lock.
   */
  read(): T {
    this.#mustBeOpen("read");
    const { store } = this.#cell;
    const layout = this.#layout;
    if (layout !== undefined && isScalar(layout)) return store.number(layout)[0] as T;
    return decodeValue(store.copy(), layout);
  }

  /**
   * Replaces the value by what a function makes of it, under the lock. The function may be asynchronous: the lock is held
   * until its promise is settled, so everybody else waits that long, and it must not acquire the same cell.
   *
   * @param fn Gets the value and returns the new one, or a promise of it. If it throws, the value stays.
   * @param options How long to wait for the lock at most, and a signal that ends the wait.
   * @returns What `fn` returned. Others, and {@linkcode IpcArc.read}, get it as it is stored: an instance of a class as a
   * plain object.
   * @throws {IpcError} `Timeout` or `Closed` while waiting for the lock; `Closed` if the cell was closed while the function
   * ran; `TooLarge` or `Serialization` if the new value cannot be stored, `Corrupt` if the old one cannot be read. The
   * value stays then.
   * @throws {TypeError} If the new value does not fit the layout; the value stays.
   *
   * @example Counting
   * ```ts
   * import { IpcArc } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * using visits = IpcArc.create(`visits-${crypto.randomUUID()}`, { count: 0 });
   * const now = await visits.update(({ count }) => ({ count: count + 1 }), { timeout: 1000 });
   * assertEquals(now, { count: 1 });
   * ```
   */
  async update(fn: (value: T) => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    checkUpdate(fn);
    const guard = await this.acquire(options);
    try {
      const made = fn(this.read());
      return storeUpdate(isPromise(made) ? await made : made, guard, this.#attachment, this.#layout);
    } finally {
      guard[Symbol.dispose]();
    }
  }

  /**
   * The blocking twin of {@linkcode IpcArc.update}.
   *
   * @param fn Gets the value and returns the new one. If it throws, the value stays.
   * @param options How long to block for the lock at most.
   * @returns What `fn` returned, as {@linkcode IpcArc.update}.
   * @throws {IpcError} As {@linkcode IpcArc.update}, and `Deadlock` if this isolate holds the lock itself.
   * @throws {TypeError} If the new value does not fit the layout, or the function is asynchronous; the value stays.
   */
  updateSync(fn: (value: T) => T, options?: SyncWaitOptions): T {
    checkUpdate(fn);
    const guard = this.acquireSync(options);
    try {
      const made = fn(this.read());
      if (isPromise(made)) {
        Promise.resolve(made).catch(() => {}); // the error below says more than what it may fail with
        throw new TypeError(
          `Cannot update the cell "${this.name}" by a function that returns a promise: await update(), which holds the ` +
            "lock until it is settled",
        );
      }
      return storeUpdate(made, guard, this.#attachment, this.#layout);
    } finally {
      guard[Symbol.dispose]();
    }
  }

  /**
   * Follows the value: yields the latest one after each change that happens from now on. Changes that follow one
   * another quickly may be skipped, the last one never is, and no value comes twice in a row.
   *
   * @param options What ends it.
   * @returns The changes; the iteration ends on abort and when the cell is closed.
   * @throws {IpcError} `Closed`; the iteration: `Corrupt` or `Serialization` if the bytes make no value.
   *
   * @example Following a setting
   * ```ts
   * import { IpcArc } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * using level = IpcArc.create(`level-${crypto.randomUUID()}`, "info");
   * const changes = level.watch();
   * level.updateSync(() => "debug");
   * for await (const value of changes) {
   *   assertEquals(value, "debug");
   *   break;
   * }
   * ```
   */
  watch(options?: { signal?: AbortSignal }): AsyncIterable<T> {
    const wanted = waitOf(options);
    timeoutOf(wanted); // checks the signal
    this.#mustBeOpen("watch");
    const watch = new Watch<T>(this.#attachment, this.#layout, wanted?.signal, (ended) => this.#watches.delete(ended));
    this.#watches.add(watch);
    return watch;
  }

  /**
   * Atomic operations on a cell whose layout is `i32`, `u32`, `i64` or `u64`.
   *
   * @throws {TypeError} If the cell has another layout.
   * @throws {IpcError} `Closed`.
   */
  get atomic(): AtomicCell<T> {
    if (this.#atomic === undefined) {
      this.#mustBeOpen("use the atomic operations of");
      this.#atomic = atomicCell(this, this.#attachment, this.#layout);
    }
    return this.#atomic;
  }

  /**
   * Another reference to the same cell, to be closed on its own.
   *
   * @returns The reference.
   * @throws {IpcError} `Closed`; `System` if there is no descriptor or memory left for it.
   */
  clone(): IpcArc<T> {
    this.#mustBeOpen("clone");
    return IpcArc.#over(Cell.attach(this.#attachment.file.reopen()), this.#layout);
  }

  /**
   * Gives the reference up; the last one removes the cell. A guard of this object is released, its pending waits reject
   * with `Closed`. Closing twice is harmless.
   */
  close(): void {
    if (this.#attachment.closed) return;
    const { holder } = this.#cell;
    try {
      for (const watch of [...this.#watches]) watch.end();
      const waits = [...this.#waits];
      this.#waits.clear();
      for (const wait of waits) {
        wait.reject(closedWaiting(this.name));
      }
      if (holder?.isFor(this.#attachment)) holder.release();
    } finally {
      forgotten.unregister(this);
      this.#attachment.close();
    }
  }

  /** Same as {@linkcode IpcArc.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** What a wait is asked for, in an object of our own: looking at it again runs no code of the program. */
function waitOf(options: WaitOptions | undefined): WaitOptions | undefined {
  if (options === undefined) return undefined;
  const { timeout, signal } = optionsOf(options, "Cannot wait");
  return { ...(timeout === undefined ? {} : { timeout }), ...(signal === undefined ? {} : { signal }) };
}
