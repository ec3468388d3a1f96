// Records that the program reads in place: received, but their blocks are not released yet.
import type { RingMemory } from "./memory.ts";

/** A record whose blocks are lent to the program. */
export interface LentRecord {
  readonly position: number;
  readonly end: number;
  /** The payload in place, in a buffer of its own over the ring's memory. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** That buffer: a view forgets it when a program transfers it. */
  readonly window: ArrayBuffer;
  returned: boolean;
}

/** The records that one consumer has lent, in the order of their positions. */
export class LentRecords {
  readonly #memory: RingMemory;
  /** Those that are out, and those behind one that is out: blocks are released in order. */
  readonly list: LentRecord[] = [];

  constructor(memory: RingMemory) {
    this.#memory = memory;
  }

  /**
   * Lends blocks.
   *
   * @param position Of the first block.
   * @param end Position behind the last one.
   * @param offset Where the payload begins, in bytes of the ring's data.
   * @param length Bytes of it.
   */
  lend(position: number, end: number, offset: number, length: number): LentRecord {
    const window = this.#memory.window(offset, length);
    const lent: LentRecord = { position, end, bytes: new Uint8Array(window), window, returned: false };
    this.list.push(lent);
    return lent;
  }

  /**
   * Takes a record back, and empties every view on it.
   *
   * @returns Whether blocks can be released by that: those behind an earlier record that is out wait for it.
   */
  takeBack(lent: LentRecord): boolean {
    if (lent.returned) return false;
    lent.returned = true;
    this.#memory.endWindow(lent.window);
    const { list } = this;
    if (list[0] !== lent) return false;
    while (list.length > 0 && list[0]!.returned) list.shift();
    return true;
  }

  /** Takes all of them back, before the memory goes. */
  takeAllBack(): void {
    for (const lent of this.list.splice(0)) {
      if (!lent.returned) this.#memory.endWindow(lent.window);
      lent.returned = true;
    }
  }
}
