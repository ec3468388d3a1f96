// Records that the program reads in place: received, but their blocks are not released yet.
import { W_COMMIT, W_READ } from "./layout.ts";
import type { RingMemory } from "./memory.ts";
import { copyToSmall, endSmall, SMALL, takeSmall } from "./small_memory.ts";

/** Takes back what it has lent. */
export interface RecordLender {
  /** Harmless the second time. */
  giveBack(lent: LentRecord): void;
}

/** A record whose blocks are lent to the program, or several in a row. */
export interface LentRecord {
  readonly lender: RecordLender;
  readonly position: number;
  /** The same as the position if it is for several, which are passed one by one. */
  readonly end: number;
  /** Where the payload begins, in bytes of the ring's data. */
  readonly offset: number;
  /** The payload: in place, in a buffer of its own over the ring's memory, or a copy of a small one. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** That buffer, or the memory of the copy: a view forgets it when a program transfers it. */
  readonly buffer: ArrayBuffer;
  /** Whether it is a copy. */
  readonly small: boolean;
  returned: boolean;
}

const NOTHING = new Uint8Array(0);

/** The records that one consumer has lent, in the order of their positions. */
export class LentRecords {
  readonly #lender: RecordLender;
  readonly #memory: RingMemory;
  /** Those that are out, and those behind one that is out: blocks are released in order. */
  readonly list: LentRecord[] = [];
  /** Whether READ stays at the first that is out, and the commit words from there on, for the next consumer. */
  keeps = false;

  /**
   * @param lender Who takes them back.
   * @param memory Where they lie.
   */
  constructor(lender: RecordLender, memory: RingMemory) {
    this.#lender = lender;
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
    const memory = this.#memory, small = length <= SMALL;
    const buffer = small ? takeSmall() : memory.window(offset, length);
    const bytes = small ? copyToSmall(buffer, memory.data, memory.dataLongs, offset, length) : new Uint8Array(buffer);
    const lent: LentRecord = { lender: this.#lender, position, end, offset, bytes, buffer, small, returned: false };
    this.list.push(lent);
    return lent;
  }

  /**
   * What is passed over behind a record that is kept is kept as well.
   *
   * @returns `false` if none is out.
   */
  follow(position: number, end: number): boolean {
    if (this.list.length === 0) return false;
    this.list.push({
      lender: this.#lender,
      position,
      end,
      offset: 0,
      bytes: NOTHING,
      buffer: NOTHING.buffer,
      small: false,
      returned: true,
    });
    return true;
  }

  /**
   * Takes a record back, and empties every view on it.
   *
   * @returns Whether blocks can be released by that: those behind an earlier record that is out wait for it.
   */
  takeBack(lent: LentRecord): boolean {
    if (lent.returned) return false;
    lent.returned = true;
    this.#end(lent);
    const { list } = this;
    if (list[0] !== lent) return false;
    if (list.length === 1) {
      list.pop();
      if (this.keeps) this.#received(lent);
      return true;
    }
    while (list.length > 0 && list[0]!.returned) {
      const first = list.shift()!;
      if (this.keeps) this.#received(first);
    }
    return true;
  }

  /** pair: READ/word. As where a record is passed: READ goes first. */
  #received({ position, end }: LentRecord): void {
    if (position === end) return; // lent for those that follow it
    const { words, blocks } = this.#memory;
    words[W_READ] = end;
    words[W_COMMIT + (position & (blocks - 1))] = 0;
  }

  /** Takes all of them back, before the memory goes. */
  takeAllBack(): void {
    for (const lent of this.list.splice(0)) {
      if (!lent.returned) this.#end(lent);
      lent.returned = true;
    }
  }

  #end(lent: LentRecord): void {
    if (lent.small) endSmall(lent.buffer);
    else this.#memory.endWindow(lent.buffer, lent.offset);
  }
}
