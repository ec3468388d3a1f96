// The lock, held, and the value under it.
import { decodeCbor } from "../cbor/mod.ts";
import { printAs } from "../base/custom_inspect.ts";
import { IpcError } from "../base/error.ts";
import type { Attachment } from "./cell.ts";
import { type Hold, holdOf } from "./hold.ts";
import type { PodLayout } from "./layout/layout.ts";
import { isScalar } from "./layout/scalar.ts";
import { encodeValue } from "./value_codec.ts";
import { cannotTravel } from "../base/pack.ts";

/** Makes a guard for an attachment that has just taken the lock. */
export let createGuard: <T>(
  owner: object,
  attachment: Attachment,
  layout: PodLayout<T> | undefined,
  ownerDied: boolean,
) => IpcArcGuard<T>;

/** Whether a guard is just made here, and not by the program. */
let making = false;

/** Whether a guard still holds the lock. */
export let isHeld: (guard: IpcArcGuard<unknown>) => boolean;

/**
 * The lock of a cell, held by this program until {@linkcode IpcArcGuard.release} or the end of its `using` scope.
 *
 * All changes made under one guard appear at once, when it is released; who reads meanwhile gets the last complete
 * value, and if this process dies, the next owner finds that one.
 *
 * A guard that is forgotten is noticed when the garbage collector finds it: then the lock is given back with a warning,
 * its changes are dropped, and the next owner is told as if this one had died.
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
  static {
    cannotTravel(this.prototype, "send its value");
  }

  static {
    printAs<IpcArcGuard<unknown>>(IpcArcGuard.prototype, (guard) => ({
      name: guard.#attachment.file.name,
      state: guard.#hold.turn === guard.#turn ? "held" : "released",
      ownerDied: guard.ownerDied,
    }));
  }

  #ownerDied = false;
  /** Kept alive as long as this object: the garbage collector closes a reference that was forgotten. */
  #owner!: object;
  #attachment!: Attachment;
  #layout: PodLayout<T> | undefined;
  // Nothing else refers to this guard, and nothing that lives longer to its canary: see hold.ts.
  #hold!: Hold;
  #turn = 0;
  #canary!: object;

  private constructor() {
    // A flag, and not a look at an argument, which would cost a tenth of the lock.
    if (!making) throw new TypeError("Cannot construct an IpcArcGuard: acquire a cell");
    making = false;
  }

  static {
    createGuard = <T>(owner: object, attachment: Attachment, layout: PodLayout<T> | undefined, ownerDied: boolean) => {
      making = true;
      const guard = new IpcArcGuard<T>();
      guard.#ownerDied = ownerDied;
      guard.#owner = owner;
      void guard.#owner; // read, for compilers that count that
      guard.#attachment = attachment;
      guard.#layout = layout;
      const hold = holdOf(attachment.cell);
      guard.#hold = hold;
      guard.#canary = hold.begin(attachment);
      guard.#turn = hold.turn;
      return guard;
    };
    isHeld = (guard) => guard.#hold.turn === guard.#turn;
  }

  /**
   * Whether the last owner of the lock died while it held it, or gave it up unfinished. The value is the last one that
   * was completely written; what that owner was about to do is lost. True for one guard only.
   */
  get ownerDied(): boolean {
    return this.#ownerDied;
  }

  #mustHold(): Hold {
    const hold = this.#hold;
    if (hold.turn !== this.#turn) {
      throw new IpcError("Closed", "Cannot use the value of a cell: its guard was released; acquire the cell again");
    }
    return hold;
  }

  /**
   * The value. A change made inside it counts.
   *
   * Of a cell with CBOR values, it is decoded once, and encoded again when the guard is released; an instance of a class
   * that was set is one here, and a plain object for all others. Of a cell with a
   * layout, it is a view on shared memory: a struct whose fields, an array whose elements are read and written there,
   * typed arrays for arrays of numbers. Such views end with the guard; using one later is an error.
   *
   * @throws {IpcError} `Closed` if the guard was released, `Serialization` or `Corrupt` if the bytes make no value;
   * setting it: `TooLarge`, `Serialization`.
   * @throws {TypeError} Setting it, if it does not fit the layout.
   */
  get value(): T {
    const hold = this.#mustHold();
    const layout = this.#layout;
    const { cell } = this.#attachment;
    if (layout === undefined) {
      if (!hold.loaded) {
        hold.value = decodeCbor(cell.store.copy());
        hold.loaded = true;
      }
      return hold.value as T;
    }
    if (isScalar(layout)) return cell.store.number(layout)[0] as T;
    return hold.open(layout).root.view() as T;
  }

  set value(value: T) {
    const hold = this.#mustHold();
    const layout = this.#layout;
    const { cell } = this.#attachment;
    const { store } = cell;
    if (layout === undefined) {
      encodeValue(value, store.capacity, this.#attachment.file.name); // fails here, where the mistake is
      this.#mustHold(); // encoding runs code of the program, which may have released this guard
      hold.value = value;
      hold.loaded = hold.assigned = true;
    } else if (isScalar(layout)) {
      layout.check(value);
      store.number(layout)[0] = value as number; // or a bigint, which was checked
      store.touch();
      cell.announce();
    } else {
      const bytes = layout.encode(value); // a copy: the value may be made of views on what is about to be overwritten
      this.#mustHold();
      hold.open(layout).replaceRoot(bytes);
    }
  }

  /**
   * Makes the changes visible to all and gives the lock back. Releasing twice is harmless.
   *
   * @throws {IpcError} `TooLarge` or `Serialization` if a change made inside the value cannot be stored: then the old
   * value stays. The lock is given back in any case.
   */
  release(): void {
    this.#hold.release(this.#turn, this.#canary);
  }

  /** Same as {@linkcode IpcArcGuard.release}, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }
}
