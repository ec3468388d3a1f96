// Claimed blocks that are filled in place, while other records are claimed and committed.
import { gapsOf } from "./gap_log.ts";
import { BLOCK_SHIFT, blocksFor, CLAIM_POSITION, paddingWord } from "./layout.ts";
import { FULL, type RecordWriter } from "./record_writer.ts";
import { SMALL, SmallMemory } from "./small_memory.ts";

/** Blocks for one message, until it is committed or cancelled: to be ended once, by one of the two. */
export class Reservation {
  readonly #records: RecordWriter;
  readonly #slot: number;
  readonly #index: number;
  /** Where it was claimed, in blocks. */
  readonly position: number;
  readonly #blocks: number;
  /** Memory that is copied to the blocks when it is committed. */
  readonly #small: SmallMemory | undefined;
  /** Or a buffer of its own over them. */
  readonly #window: ArrayBuffer | undefined;
  /** What the program fills. */
  readonly bytes: Uint8Array<ArrayBuffer>;

  private constructor(records: RecordWriter, slot: number, index: number, blocks: number, length: number) {
    this.#records = records;
    this.#slot = slot;
    this.#index = index;
    this.#blocks = blocks;
    this.position = records.memory.words[slot + CLAIM_POSITION]!;
    if (length <= SMALL) {
      this.#small = SmallMemory.cleared(length);
      this.bytes = this.#small.bytes;
    } else {
      this.#window = records.memory.window(index << BLOCK_SHIFT, blocks << BLOCK_SHIFT);
      this.bytes = new Uint8Array(this.#window, 0, length);
    }
  }

  /**
   * Claims blocks for a message of so many bytes, recorded in a slot of their own.
   *
   * @returns `undefined` if there is no room.
   */
  static claim(records: RecordWriter, length: number): Reservation | undefined {
    const { slots } = records, blocks = blocksFor(length);
    const slot = slots.borrow();
    let index = FULL;
    try {
      index = records.tryClaim(blocks, slot);
    } finally {
      if (index === FULL) slots.giveBack(slot);
    }
    return index === FULL ? undefined : new Reservation(records, slot, index, blocks, length);
  }

  /** How many gaps consumers have stepped over: this claim may be in a later one. */
  get gaps(): number {
    return gapsOf(this.#records.memory.words);
  }

  /**
   * Sends the first bytes as a message. Views on them are empty afterwards.
   *
   * @throws {IpcError} `Disconnected` if the consumer has died in its sleep.
   * @throws {TypeError} If the program has transferred them: nothing is sent.
   */
  commit(length: number): void {
    if (this.#small !== undefined) {
      if (this.#small.isGone) {
        this.cancel();
        throw new TypeError("Cannot commit: the buffer of this loan was transferred, and its bytes with it");
      }
      const { data, dataLongs } = this.#records.memory;
      this.#small.copyTo(data, dataLongs, this.#index << BLOCK_SHIFT, length);
    }
    if (!this.#end(length + 1, blocksFor(length))) this.#records.checkConsumer();
  }

  /** Sends nothing: the blocks become padding. Views on the bytes are empty afterwards. */
  cancel(): void {
    this.#end(paddingWord(this.#blocks), this.#blocks);
  }

  /** The view goes first, so that a stale one cannot change what is sent; then the word, which sends it. */
  #end(word: number, blocks: number): boolean {
    const records = this.#records;
    if (this.#window === undefined) this.#small!.end();
    else records.memory.endWindow(this.#window);
    // What was reserved and not used becomes padding, before the word that makes the consumer look there.
    if (blocks < this.#blocks) records.pad(this.#index + blocks, this.#blocks - blocks);
    const heard = records.commit(this.#index, word);
    records.slots.giveBack(this.#slot);
    return heard;
  }
}
