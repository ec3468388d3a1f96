// What one isolate does under the lock of a cell: one object for each cell, used again for every guard.
//
// The guard that the program has refers to this, and not the other way round, so a guard that was forgotten can be
// collected while the cell lives. How that is noticed must cost next to nothing, as a guard takes 100 ns: a registration
// with the garbage collector takes a microsecond. So it is not the guard that is registered but its canary, an object
// that is handed from guard to guard: to each as it begins, and back as it is released. A canary dies with the guard that
// never gave it back.
import { runtime } from "../ffi/runtime/mod.ts";
import { decodeCbor, encodeCbor } from "../cbor/mod.ts";
import type { Attachment, Cell, Holder } from "./cell.ts";
import type { PodLayout } from "./layout/layout.ts";
import { LiveScope } from "./layout/live_scope.ts";
import { encodeValue } from "./value_codec.ts";

/** Which turn a canary was handed out for. */
interface Tag {
  turn: number;
}

/** The object whose end tells of a guard's. */
class Canary {
  readonly tag: Tag;

  constructor(tag: Tag) {
    this.tag = tag;
  }
}

/**
 * Milliseconds between the end of a canary and that of the lock. The collector may come the moment that a function has
 * returned, and who has taken a lock and is about to end the process need not lose it for that.
 */
const GRACE = 1000;

function later(milliseconds: number, act: () => void): void {
  runtime.timerAwaited(setTimeout(act, milliseconds), false);
}

const deadCanaries = new FinalizationRegistry<{ hold: Hold; tag: Tag }>(({ hold, tag }) => {
  const { turn } = tag;
  if (hold.turn !== turn) return;
  hold.dying = turn;
  later(GRACE, () => {
    if (hold.turn === turn) hold.forgotten();
  });
});

/** What is done under the lock of a cell of this isolate. */
export class Hold implements Holder {
  readonly #cell: Cell;
  /** Odd while the lock is held: then it is this guard's, and no other's. */
  turn = 0;
  #attachment: Attachment | undefined;
  #canary: Canary | undefined;
  #releasing = false;
  /** The turn whose guard was collected; and attachments whose owners were, which are closed with it. */
  dying = -1;
  readonly #orphans: Attachment[] = [];
  // CBOR: the decoded value, whether there is one, and whether the program has set it.
  value: unknown;
  loaded = false;
  assigned = false;
  /** POD: the views on the new value, once asked for. */
  #scope: LiveScope | undefined;

  constructor(cell: Cell) {
    this.#cell = cell;
  }

  /** The lock was taken, for an attachment: a new turn begins. Returns the canary, for its guard. */
  begin(attachment: Attachment): object {
    this.#attachment = attachment;
    this.#cell.holder = this;
    const canary = this.#canary ?? this.#newCanary();
    this.#canary = undefined;
    canary.tag.turn = ++this.turn;
    return canary;
  }

  #newCanary(): Canary {
    const canary = new Canary({ turn: 0 });
    deadCanaries.register(canary, { hold: this, tag: canary.tag }, this);
    return canary;
  }

  /** The cell is no longer used here: nothing needs to be noticed any more. */
  retire(): void {
    this.#canary = undefined;
    deadCanaries.unregister(this);
  }

  /** Whether the lock is held for an attachment. */
  isFor(attachment: Attachment): boolean {
    return this.#attachment === attachment;
  }

  /** Begins the new value as a copy of the current one. */
  open(layout: PodLayout<unknown>): LiveScope {
    if (this.#scope === undefined) {
      const { store, mapping } = this.#cell;
      this.#scope = new LiveScope(mapping, store.view, store.beginCopy(), layout);
    }
    return this.#scope;
  }

  /**
   * Makes the changes visible and gives the lock back, unless the turn is over.
   *
   * @param canary That of the guard, which needs it no more.
   */
  release(turn: number = this.turn, canary?: object): void {
    // Encoding the value runs code of the program, which may come here again: the first call does it all.
    if (this.turn !== turn || this.#releasing) return;
    this.#canary = canary as Canary | undefined;
    if (this.#scope === undefined && !this.loaded) {
      this.turn++;
      this.#attachment = undefined;
      this.#cell.unlock();
      return;
    }
    const cell = this.#cell;
    this.#releasing = true;
    cell.pin(); // that code may close the cell: not under what still writes to it
    try {
      this.#publish();
    } finally {
      this.#releasing = false;
      this.#end();
      cell.unpin();
    }
  }

  /** Gives the lock back without the changes, so that the next owner learns that one did not finish. */
  abandon(): void {
    this.#scope?.drop();
    this.#cell.store.leaveUnfinished();
    this.#scope = undefined;
    this.#end();
  }

  /** The owner of an attachment was collected: it is closed, but not before a guard that was collected with it. */
  orphaned(attachment: Attachment): void {
    // By then it is known of the guard as well.
    later(0, () => {
      if (this.dying === this.turn || this.#attachment === attachment) this.#orphans.push(attachment);
      else attachment.close();
    });
  }

  /** The guard was collected. */
  forgotten(): void {
    const { name } = this.#attachment!.file;
    this.abandon();
    for (const attachment of this.#orphans.splice(0)) attachment.close();
    console.warn(
      `isthmus: a guard of the cell "${name}" was never released; its lock was given back when the guard was collected, ` +
        "and its changes are lost. Bind guards with `using`, or call release()",
    );
  }

  #end(): void {
    this.turn++;
    this.#attachment = undefined;
    this.value = undefined;
    this.loaded = this.assigned = false;
    if (this.#scope !== undefined) this.#revert();
    this.#cell.unlock();
  }

  /** Publishing has failed: what was begun is taken back. */
  #revert(): void {
    this.#scope!.drop();
    this.#scope = undefined;
    this.#cell.store.repair();
  }

  #publish(): void {
    const cell = this.#cell;
    const { store } = cell;
    if (this.#scope !== undefined) {
      this.#scope.end();
      this.#scope = undefined;
      store.commit();
      cell.announce();
      return;
    }
    const { value, assigned } = this;
    // A number or a text cannot be changed inside.
    if (!assigned && (typeof value !== "object" || value === null)) return;
    const bytes = encodeValue(value, store.capacity, this.#attachment!.file.name);
    if (store.equals(bytes)) return;
    if (!assigned && !store.isOwnEncoding) {
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

/** What is done under the lock of a cell. */
export function holdOf(cell: Cell): Hold {
  return (cell.hold ??= new Hold(cell)) as Hold;
}
