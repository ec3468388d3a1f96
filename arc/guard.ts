// The lock, held, and the value under it.
import { decodeCbor, encodeCbor } from "../ffi/cbor.ts";
import { IpcError } from "../ffi/error.ts";
import { ABANDON, Attachment, type Cell } from "./cell.ts";
import type { PodLayout } from "./layout.ts";
import { isScalar } from "./layout_scalar.ts";
import { LiveScope } from "./live_scope.ts";
import { encodeValue } from "./value_codec.ts";

/** Makes a guard for the holder of a cell's lock. */
export let createGuard: <T>(
  owner: object,
  attachment: Attachment,
  layout: PodLayout<T> | undefined,
  ownerDied: boolean,
) => IpcArcGuard<T>;

/** Whether the holder of a cell is a guard of this attachment. */
export let belongsTo: (holder: unknown, attachment: Attachment) => boolean;

/**
 * The lock of a cell, held by this program until {@linkcode IpcArcGuard.release} or the end of its `using` scope.
 *
 * All changes made under one guard appear at once, when it is released; whoever reads meanwhile reads the last complete
 * value, and if this process dies, the next owner finds that one.
 *
 * @typeParam T The type of the value.
 *
 * @example Changing a value in place
 * ```ts
 * import { IpcArc } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using scores = IpcArc.create(`scores-${crypto.randomUUID()}`, { ada: 1 });
 * {
 *   using guard = await scores.acquire();
 *   guard.value.ada += 1;
 * }
 * assertEquals(scores.read(), { ada: 2 });
 * ```
 */
export class IpcArcGuard<T> implements Disposable {
  /**
   * Whether the last owner of the lock died while it held it. The value is the last one that was completely written;
   * what the dead owner was about to do is lost. True for one guard only.
   */
  readonly ownerDied: boolean;
  /** Kept alive as long as this object: the garbage collector closes a reference that was forgotten. */
  readonly #owner: object;
  readonly #attachment: Attachment;
  readonly #cell: Cell;
  readonly #layout: PodLayout<T> | undefined;
  #held = true;
  // CBOR: the decoded value, and whether the program has set it.
  #value: T | undefined;
  #loaded = false;
  #assigned = false;
  // POD: the views on the new value, once asked for.
  #scope: LiveScope | undefined;
  #start = 0;

  private constructor(owner: object, attachment: Attachment, layout: PodLayout<T> | undefined, ownerDied: boolean) {
    if (!(attachment instanceof Attachment)) throw new TypeError("Cannot construct an IpcArcGuard: acquire a cell");
    this.#owner = owner;
    this.#attachment = attachment;
    this.#cell = attachment.cell;
    this.#layout = layout;
    this.ownerDied = ownerDied;
    this.#cell.holder = this;
  }

  static {
    createGuard = (owner, attachment, layout, ownerDied) => new IpcArcGuard(owner, attachment, layout, ownerDied);
    belongsTo = (holder, attachment) => holder instanceof IpcArcGuard && holder.#attachment === attachment;
  }

  #mustHold(): void {
    if (!this.#held) {
      throw new IpcError("Closed", "Cannot use the value of a cell: its guard was released; acquire the cell again");
    }
  }

  /**
   * The value. A change made inside it counts.
   *
   * Of a cell with CBOR values, it is decoded once, and encoded again when the guard is released; an instance of a class
   * that was set is one here, and a plain object for everybody else. Of a cell with a
   * layout, it is a view on shared memory: a struct whose fields, an array whose elements are read and written there,
   * typed arrays for arrays of numbers. Such views end with the guard; using one later is an error.
   *
   * @throws {IpcError} `Closed` if the guard was released, `Serialization` or `Corrupt` if the bytes make no value;
   * setting it: `TooLarge`, `Serialization`.
   * @throws {TypeError} Setting it, if it does not fit the layout.
   */
  get value(): T {
    this.#mustHold();
    const layout = this.#layout;
    if (layout === undefined) {
      if (!this.#loaded) {
        this.#value = decodeCbor(this.#cell.store.copy()) as T;
        this.#loaded = true;
      }
      return this.#value as T;
    }
    const { store } = this.#cell;
    if (isScalar(layout)) return store.number(layout)[0] as T;
    return layout.live(this.#open(layout), this.#start);
  }

  set value(value: T) {
    this.#mustHold();
    const layout = this.#layout;
    const { store } = this.#cell;
    if (layout === undefined) {
      encodeValue(value, store.capacity, this.#attachment.file.name); // fails here, where the mistake is
      this.#value = value;
      this.#loaded = this.#assigned = true;
      return;
    }
    layout.check(value);
    if (isScalar(layout)) {
      store.number(layout)[0] = value as number; // or a bigint, which was checked
      store.touch();
      this.#cell.announce();
    } else {
      this.#open(layout);
      layout.write(store.view, this.#start, value);
    }
  }

  /** Begins the new value as a copy of the current one. */
  #open(layout: PodLayout<T>): LiveScope {
    if (this.#scope === undefined) {
      const { store, mapping } = this.#cell;
      this.#start = store.beginCopy();
      this.#scope = new LiveScope(mapping, store.view, this.#start, layout.size);
    }
    return this.#scope;
  }

  /**
   * Makes the changes visible to all and gives the lock back. Releasing twice is harmless.
   *
   * @throws {IpcError} `TooLarge` or `Serialization` if a change made inside the value cannot be stored: then the old
   * value stays. The lock is given back in any case.
   */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    try {
      this.#publish();
    } finally {
      this.#cell.unlock();
    }
  }

  /** A program that ends in the middle of a change: the value stays. @ignore */
  [ABANDON](): void {
    if (!this.#held) return;
    this.#held = false;
    this.#scope?.end();
    this.#scope = undefined;
    this.#cell.store.repair();
    this.#cell.unlock();
  }

  #publish(): void {
    const cell = this.#cell;
    const { store } = cell;
    if (this.#scope !== undefined) {
      this.#scope.end();
      this.#scope = undefined;
      store.commit();
      cell.announce();
    } else if (this.#loaded) {
      const value = this.#value;
      this.#value = undefined;
      // A number or a text cannot be changed inside.
      if (!this.#assigned && (typeof value !== "object" || value === null)) return;
      const bytes = encodeValue(value, store.capacity, this.#attachment.file.name);
      if (store.equals(bytes)) return;
      if (!this.#assigned && !store.isOwnEncoding) {
        // Another encoder may write the same value in other bytes: that is no change.
        const now = bytes.slice();
        const before = encodeCbor(decodeCbor(store.copy()));
        if (before.length === now.length && before.every((byte, i) => byte === now[i])) return;
        store.write(now);
      } else {
        store.write(bytes);
      }
      cell.announce();
    }
  }

  /** Same as {@linkcode IpcArcGuard.release}, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
