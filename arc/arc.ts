// The public face of a cell.
import { types } from "node:util";
import { asFound, integerOf, modeOf, optionsOf } from "../base/arguments.ts";
import { printAs, stateOf } from "../base/custom_inspect.ts";
import { IpcError } from "../base/error.ts";
import { giveWay, mustGiveWay } from "../base/event_loop.ts";
import { ownThread } from "../ffi/process/liveness.ts";
import type { Mapping } from "../ffi/memory/mapping.ts";
import { mutexMark, RobustMutex } from "../ffi/memory/robust_mutex.ts";
import { type Trust, Trusted } from "../ffi/file/trust.ts";
import { PendingWait, type SyncWaitOptions, timeoutError, timeoutOf, type WaitOptions } from "../base/wait.ts";
import { type AtomicCell, atomicCell } from "./atomic.ts";
import { Attachment, Cell, type LockWaiter } from "./cell.ts";
import { cellPath } from "./segment/cell_name.ts";
import { createGuard, type IpcArcGuard, isHeld } from "./guard.ts";
import { holdOf } from "./hold.ts";
import { fingerprint, type Layout, type PodLayout, podLayout } from "./layout/layout.ts";
import { isScalar } from "./layout/scalar.ts";
import { createSegment } from "./segment/create.ts";
import { openSegment, type SegmentFile } from "./segment/file.ts";
import {
  alignUp,
  BUFFER_OFFSET,
  BUFFER_STRIDE,
  CAPACITY,
  FINGERPRINT_HIGH,
  FINGERPRINT_LOW,
  FORMAT_VERSION,
  KIND,
  KIND_CBOR,
  KIND_POD,
  LENGTHS,
  MAGIC,
  MAX_CAPACITY,
  MUTEX_MARK,
  MUTEX_OFFSET,
  NAMESPACE,
  REF_COUNT,
  SIZE_HIGH,
  SIZE_LOW,
  STATE,
  STATE_READY,
  TEXT_LENGTH,
  TEXT_OFFSET,
  VALUES_OFFSET,
  VERSION,
  WRITERS,
} from "./segment/header.ts";
import { decodeValue, encodeValue } from "./value_codec.ts";
import { Watch } from "./watch.ts";
import { cannotTravel } from "../base/pack.ts";

/** Bytes of the largest CBOR value unless told. */
const DEFAULT_CAPACITY = 64 * 1024;

/**
 * How a cell is made, and what its values are.
 *
 * @example A cell of one number, for a group
 * ```ts
 * import { type ArcOptions, IpcArc, u32 } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ArcOptions<number> = { layout: u32, mode: 0o660 };
 * const name = `visits-${crypto.randomUUID()}`;
 * using visits = IpcArc.createOrLoad(name, 0, options);
 * visits.atomic.add(1);
 * assertEquals(visits.read(), 1);
 * ```
 */
export interface ArcOptions<T> {
  /** How values lie in memory; CBOR without it. Every program that uses the cell must name the same layout. */
  layout?: Layout<T>;
  /** Bytes of the largest CBOR value, for the one who creates the cell; 64 KiB unless told. */
  capacity?: number;
  /**
   * Whose cell is used, if another user has made it: see {@linkcode Trust}. Another user's is refused without it.
   *
   * @default "user"
   */
  trust?: Trust;
  /** Permission bits of the cell, for the one who creates it; 0o600, for this user alone, unless told. */
  mode?: number;
}

interface Settings<T> {
  readonly layout: PodLayout<T> | undefined;
  readonly capacity: number;
  readonly mode: number;
  readonly trusted: Trusted;
}

function settingsOf<T>(options: ArcOptions<T> | undefined): Settings<T> {
  const given = optionsOf(options, "Cannot use a cell");
  const { layout: wanted } = given; // looked at once: code of the program may run
  const layout = wanted === undefined ? undefined : podLayout(wanted, "the layout of a cell");
  const capacity = layout?.size ?? given.capacity ?? DEFAULT_CAPACITY;
  integerOf(capacity, 1, MAX_CAPACITY, "Cannot use a cell with the capacity");
  const mode = modeOf(given.mode, "a cell");
  return { layout, capacity, mode, trusted: new Trusted(given.trust, mode, "Cannot use a cell") };
}

// A backstop for cells that were forgotten; `close()` is the plan.
const forgotten = new FinalizationRegistry<Attachment>((attachment) => holdOf(attachment.cell).orphaned(attachment));

/**
 * A value that several processes share under a name, with a lock that survives the death of its owner: `Arc<Mutex<T>>`
 * across processes.
 *
 * The value lives in POSIX shared memory as long as somebody holds the cell; the last one out removes it, or if that one is
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

  readonly #attachment: Attachment;
  readonly #cell: Cell;
  readonly #layout: PodLayout<T> | undefined;
  readonly #waits = new Set<PendingWait<IpcArcGuard<T>>>();
  readonly #watches = new Set<Watch<T>>();
  #atomic: AtomicCell<T> | undefined;

  private constructor(attachment: Attachment, layout: PodLayout<T> | undefined) {
    if (!(attachment instanceof Attachment)) {
      throw new TypeError("Cannot construct an IpcArc: use IpcArc.create(), load() or createOrLoad()");
    }
    this.#attachment = attachment;
    this.#cell = attachment.cell;
    this.#layout = layout;
    forgotten.register(this, attachment, this);
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
    const made = IpcArc.#create(name, value, settingsOf(options));
    if (made === undefined) {
      throw new IpcError(
        "AlreadyExists",
        `Cannot create the cell "${name}": it exists, and its holders live; load it, or use another name`,
      );
    }
    return made;
  }

  static #create<T>(name: string, value: T, settings: Settings<T>): IpcArc<T> | undefined {
    cellPath(name);
    const { layout, capacity, mode, trusted } = settings;
    // Before there is any memory: looking at the value runs code of the program.
    const bytes = layout === undefined ? encodeValue(value, capacity, name) : layout.encode(value);
    const text = new TextEncoder().encode(layout?.description ?? "");
    // A scalar is one store; anything larger needs a second place to be written beside the first.
    const stride = layout !== undefined && isScalar(layout) ? 0 : alignUp(capacity);
    const offset = alignUp(VALUES_OFFSET + text.length);
    const size = offset + stride + alignUp(capacity);
    const made = createSegment(name, size, mode, trusted, (mapping) => {
      const words = new Int32Array(mapping.buffer, 0, VALUES_OFFSET >> 2);
      const all = new Uint8Array(mapping.buffer);
      all.set(MAGIC);
      words[VERSION] = FORMAT_VERSION;
      words[KIND] = layout === undefined ? KIND_CBOR : KIND_POD;
      words[SIZE_LOW] = mapping.length; // larger than asked for, in a file that is used again
      words[SIZE_HIGH] = Math.floor(mapping.length / 2 ** 32);
      words[REF_COUNT] = 1;
      const print = layout === undefined ? 0n : fingerprint(layout.description);
      words[FINGERPRINT_LOW] = Number(BigInt.asIntN(32, print));
      words[FINGERPRINT_HIGH] = Number(BigInt.asIntN(32, print >> 32n));
      words[BUFFER_OFFSET] = offset;
      words[BUFFER_STRIDE] = stride;
      words[CAPACITY] = capacity;
      words[LENGTHS] = words[LENGTHS + 1] = bytes.length;
      words[WRITERS] = 1;
      words[TEXT_OFFSET] = text.length === 0 ? 0 : VALUES_OFFSET;
      words[TEXT_LENGTH] = text.length;
      all.set(text, VALUES_OFFSET);
      words[MUTEX_MARK] = mutexMark();
      words[NAMESPACE] = ownThread().namespace;
      all.set(bytes, offset);
      const mutex = new RobustMutex(mapping, MUTEX_OFFSET);
      mutex.initialize();
      mutex.close(); // the cell has one of its own
      words[STATE] = STATE_READY;
    });
    return made === undefined ? undefined : IpcArc.#attach(made.file, settings, made.mapping);
  }

  static #attach<T>(file: SegmentFile, settings: Settings<T>, mapping?: Mapping): IpcArc<T> {
    let attachment: Attachment;
    try {
      attachment = Cell.attach(file, mapping);
    } catch (error) {
      file.leave();
      throw error;
    }
    try {
      checkLayout(attachment, settings.layout);
      return new IpcArc(attachment, settings.layout);
    } catch (error) {
      attachment.close();
      throw error;
    }
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
    const loaded = IpcArc.#load(name, settingsOf(options));
    if (loaded === undefined) {
      throw new IpcError(
        "NotFound",
        `Cannot load the cell "${name}": there is none, or its holders have ended; create it, or use createOrLoad`,
      );
    }
    return loaded;
  }

  static #load<T>(name: string, settings: Settings<T>): IpcArc<T> | undefined {
    cellPath(name);
    const file = openSegment(name, `Cannot load the cell "${name}"`, settings.trusted);
    return file === undefined ? undefined : IpcArc.#attach(file, settings);
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
      const arc = IpcArc.#load<T>(name, settings) ?? IpcArc.#create(name, value, settings);
      if (arc !== undefined) return arc;
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
    const what = `acquire the cell "${this.name}"`;
    if (timeout === 0) throw timeoutError(what, timeout);
    const wait = new PendingWait<IpcArcGuard<T>>(what, wanted, () => {
      this.#waits.delete(wait);
      cell.dequeue(waiter);
    });
    if (this.#attachment.closed) wait.reject(closedWaiting(this.name)); // by what listens to the signal
    if (wait.settled) return await wait.promise;
    const waiter: LockWaiter = {
      since: performance.now(),
      ticket: cell.bells.takeTicket(),
      tried: false,
      grant: (ownerDied) => {
        this.#waits.delete(wait);
        if (wait.settled) return false;
        return wait.resolve(this.#guard(ownerDied));
      },
      fail: (reason) => {
        this.#waits.delete(wait);
        wait.reject(reason);
      },
    };
    this.#waits.add(wait);
    cell.enqueue(waiter);
    try {
      return await wait.promise;
    } finally {
      cell.dequeue(waiter); // closing rejects the promise and nothing else
    }
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
   * @returns The guard, or `undefined` if somebody holds the lock, be it this program.
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
   * @throws {IpcError} `Closed`; `Corrupt` or `Serialization` if the bytes make no value.
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
    using guard = await this.acquire(options);
    const made = fn(this.read());
    return this.#put(isPromise(made) ? await made : made, guard);
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
    using guard = this.acquireSync(options);
    const made = fn(this.read());
    if (isPromise(made)) {
      Promise.resolve(made).catch(() => {}); // the error below says more than what it may fail with
      throw new TypeError(
        `Cannot update the cell "${this.name}" by a function that returns a promise: await update(), which holds the ` +
          "lock until it is settled",
      );
    }
    return this.#put(made, guard);
  }

  /** Stores a value under a guard, which code of the program may have ended: that of the update, or a getter. */
  #put(value: T, guard: IpcArcGuard<T>): T {
    if (!isHeld(guard)) throw this.#closedMeanwhile();
    if (this.#layout !== undefined) {
      guard.value = value;
      return value;
    }
    // Not by way of the guard: the value cannot change any more, so it need not be encoded again.
    const { store } = this.#cell;
    const bytes = encodeValue(value, store.capacity, this.name);
    if (!isHeld(guard)) throw this.#closedMeanwhile();
    if (!store.equals(bytes)) {
      store.write(bytes);
      this.#cell.announce();
    }
    return value;
  }

  #closedMeanwhile(): IpcError {
    return new IpcError(
      "Closed",
      `Cannot update the cell "${this.name}": it was closed before the new value was stored, and the old one stays`,
    );
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
    return new IpcArc(Cell.attach(this.#attachment.file.reopen()), this.#layout);
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

function closedWaiting(name: string): IpcError {
  return new IpcError("Closed", `Cannot acquire the cell "${name}": it was closed while waiting`);
}

/** What a wait is asked for, in an object of our own: looking at it again runs no code of the program. */
function waitOf(options: WaitOptions | undefined): WaitOptions | undefined {
  if (options === undefined) return undefined;
  const { timeout, signal } = optionsOf(options, "Cannot wait");
  return { ...(timeout === undefined ? {} : { timeout }), ...(signal === undefined ? {} : { signal }) };
}

/** No value is like that: values have no functions. */
function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return types.isPromise(value); // asks nothing of the value itself
}

function checkUpdate(fn: unknown): void {
  if (typeof fn !== "function") {
    throw new TypeError(`Cannot update a cell with ${asFound(fn)}: give a function from the old value to the new one`);
  }
}

/** Compares what the cell holds with what the program says it holds. */
function checkLayout(attachment: Attachment, layout: PodLayout<unknown> | undefined): void {
  const { words } = attachment.cell;
  const { name } = attachment.file;
  const isCbor = words[KIND] === KIND_CBOR;
  if (isCbor && layout === undefined) return;
  if (!isCbor && layout !== undefined) {
    const print = fingerprint(layout.description);
    const matches = words[FINGERPRINT_LOW] === Number(BigInt.asIntN(32, print)) &&
      words[FINGERPRINT_HIGH] === Number(BigInt.asIntN(32, print >> 32n)) && words[CAPACITY] === layout.size &&
      (words[BUFFER_STRIDE] === 0) === isScalar(layout);
    if (matches) return;
  }
  const found = isCbor ? "CBOR values" : `the layout ${descriptionOf(attachment.cell)}`;
  const wanted = layout === undefined ? "CBOR values" : `the layout ${layout.description}`;
  throw new IpcError("Incompatible", `Cannot use the cell "${name}" with ${wanted}: it has ${found}; name the same`);
}

function descriptionOf(cell: Cell): string {
  const start = cell.words[TEXT_OFFSET]!, length = cell.words[TEXT_LENGTH]!;
  if (start < 0 || length < 0 || length > 1 << 16 || start + length > cell.mapping.length) return "(unknown)";
  return new TextDecoder().decode(new Uint8Array(cell.mapping.buffer, start, length).slice());
}
