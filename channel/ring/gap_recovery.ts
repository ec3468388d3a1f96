// What the dead left: claims that will never be committed, and descriptors whose records never came.
import { LivingClaims } from "./living_claims.ts";
import { logGap } from "./gap_log.ts";
import { W_COMMIT } from "./layout.ts";
import type { RecordReader } from "./record_reader.ts";

/** Blocks of a gap that are stepped over in one go: a peer may claim as fast as they are. */
const MOST_GAP = 65_536;

/** Milliseconds between two checks of a gap whose owner lives, doubling from the first to the last. */
export const FIRST_GAP_CHECK = 0.5;
const LAST_GAP_CHECK = 50;

/** Steps over gaps at the head of a ring. */
export class GapRecovery {
  readonly #records: RecordReader;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #mask: number;
  readonly #living: LivingClaims;
  /** When the gap at the head was last checked, which one that is, and how long to leave it alone. */
  #checkedAt = 0;
  #position = 0;
  #pause = 0;
  /** Whether descriptors of records that never came may have arrived. */
  #orphans = false;

  constructor(records: RecordReader) {
    this.#records = records;
    this.#words = records.memory.words;
    this.#mask = records.memory.blocks - 1;
    this.#living = new LivingClaims(records.memory);
  }

  /** Milliseconds until the gap that {@linkcode check} has seen is worth checking again. */
  get pause(): number {
    return this.#pause;
  }

  /**
   * Steps over claims of dead producers at the head. Exact: a claim is skipped only if no living thread has recorded
   * it and it is still uncommitted after that was found. A stopped process lives.
   *
   * @param allGone Whether the kernel said that no producer is left, whatever the claim records say.
   * @returns Whether it is worth looking for a message again.
   */
  recover(allGone: boolean): boolean {
    const words = this.#words, mask = this.#mask, head = this.#records.position;
    const tail = this.#records.loadTail();
    const most = Math.min((tail - head) >>> 0, MOST_GAP);
    // A long message that is just being written has one record, and many words. (Looking at all of them kept the consumer busy
    // for up to a millisecond: one of 12 MB was committed meanwhile, and had to wait.)
    if (!allGone && most > 0 && Atomics.load(words, W_COMMIT + (head & mask)) === 0) {
      if (this.#living.before(head, 1) === 0) return false;
    }
    let gap = 0;
    while (gap < most && Atomics.load(words, W_COMMIT + ((head + gap) & mask)) === 0) gap++;
    if (gap === 0) return most > 0;
    // pair: next/commit. The word of the record before was loaded before; a producer with another one in the same claim had
    // recorded that.
    // pair: record/TAIL. TAIL was loaded before; a producer writes its claim record, then moves TAIL.
    const skip = allGone ? gap : this.#living.before(head, gap);
    if (skip === 0) return false;
    // pair: commit/record. The claim records are loaded, then the words once more; a producer that committed and then died,
    // or claimed something else, stored its word before its record changed.
    for (let i = 0; i < skip; i++) {
      if (Atomics.load(words, W_COMMIT + ((head + i) & mask)) !== 0) return true;
    }
    logGap(words, head, skip);
    this.#records.skipTo((head + skip) | 0);
    this.#orphans = true;
    return true;
  }

  /**
   * Checks a gap as often as is sensible: at once when it is new, then less and less.
   *
   * @returns Whether it was closed, so that there may be a message.
   */
  check(): boolean {
    const now = performance.now(), { position } = this.#records;
    if (this.#position !== position || this.#pause === 0) {
      this.#position = position;
      this.#pause = FIRST_GAP_CHECK;
      this.#checkedAt = now;
      return false; // most likely its producer is just writing
    }
    if (now - this.#checkedAt < this.#pause) return false;
    this.#checkedAt = now;
    this.#pause = Math.min(this.#pause * 2, LAST_GAP_CHECK);
    return this.recover(false);
  }

  /** Descriptors may be in the queue that an earlier consumer did not close. */
  expectOrphans(): void {
    this.#orphans = true;
  }

  /**
   * Closes the descriptors of records that never came: a sender to this very ring among them would always hide that
   * all others are gone. Exact: descriptors are sent after the claim, so once the socket has been read and no claim is
   * ahead, those that nobody took belong to claims that were stepped over.
   */
  closeOrphans(): void {
    if (!this.#orphans) return;
    const { descriptors } = this.#records;
    if (!descriptors.readAll() || this.#records.hasGap) return;
    this.#orphans = false;
    descriptors.closeArrived();
  }
}
