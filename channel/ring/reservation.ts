// Claimed blocks that are filled in place, while other records are claimed and committed.
import { OpenThing } from "../../ffi/process/open_things.ts";
import { gapsOf } from "./gap_log.ts";
import { BLOCK_SHIFT, blocksFor, paddingWord } from "./layout.ts";
import { FULL, type RecordWriter } from "./record_writer.ts";
import { clearSmall, endSmall, isGone, SMALL, takeSmall } from "./small_memory.ts";

/** No slot. */
const NONE = -1;

/** What a claim belongs to: it is held until the claim ends. */
export interface Holder {
  retain(): unknown;
  release(reservation: Reservation): void;
}

/** Blocks for messages of one size, until they are committed or let go of: the first of the two ends them. */
export class Reservation extends OpenThing {
  readonly #records: RecordWriter;
  readonly #holder: Holder;
  readonly #slot: number;
  /** Of several messages: takes turns with the first. */
  readonly #otherSlot: number;
  readonly #index: number;
  /** Where it was claimed, in blocks. */
  readonly position: number;
  readonly #blocks: number;
  /** Whether what the program has is copied to the blocks when it is committed. */
  readonly #small: boolean;
  /** What the program has: memory of a small message, or a buffer of its own over the blocks. */
  readonly #buffer: ArrayBuffer;
  /** What the program fills. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  #isOpen = true;

  private constructor(
    records: RecordWriter,
    holder: Holder,
    slot: number,
    otherSlot: number,
    index: number,
    blocks: number,
    length: number,
  ) {
    super();
    this.#records = records;
    this.#holder = holder;
    this.#slot = slot;
    this.#otherSlot = otherSlot;
    this.#index = index;
    this.position = records.claimedAt;
    this.#blocks = blocks;
    this.#small = length <= SMALL;
    if (this.#small) {
      this.#buffer = takeSmall();
      this.bytes = clearSmall(this.#buffer, length);
    } else {
      this.#buffer = records.memory.window(index << BLOCK_SHIFT, blocks << BLOCK_SHIFT);
      this.bytes = new Uint8Array(this.#buffer, 0, length);
    }
    holder.retain();
    this.opened();
  }

  /**
   * Claims blocks for a message of so many bytes, recorded in a slot of their own.
   *
   * @returns `undefined` if there is no room.
   */
  static claim(records: RecordWriter, length: number, holder: Holder): Reservation | undefined {
    return Reservation.#claim(records, holder, blocksFor(length), length, false);
  }

  /**
   * Claims blocks for several messages of up to so many bytes; each begins with a block.
   *
   * @returns `undefined` if there is no room.
   */
  static claimMany(records: RecordWriter, count: number, length: number, holder: Holder): Reservation | undefined {
    const blocks = count * blocksFor(length);
    return Reservation.#claim(records, holder, blocks, blocks << BLOCK_SHIFT, count > 1);
  }

  static #claim(
    records: RecordWriter,
    holder: Holder,
    blocks: number,
    length: number,
    several: boolean,
  ): Reservation | undefined {
    const { slots } = records;
    const slot = slots.borrow();
    let otherSlot = NONE, index = FULL;
    try {
      if (several) otherSlot = slots.borrow();
      index = records.tryClaim(blocks, slot);
    } finally {
      if (index === FULL) {
        slots.giveBack(slot);
        if (otherSlot !== NONE) slots.giveBack(otherSlot);
      }
    }
    return index === FULL ? undefined : new Reservation(records, holder, slot, otherSlot, index, blocks, length);
  }

  /** Whether it was neither committed nor let go of. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** How many gaps consumers have stepped over: this claim may be in a later one. */
  get gaps(): number {
    return gapsOf(this.#records.memory.words);
  }

  /**
   * Sends the first bytes as a message. Views on them are empty afterwards.
   *
   * @throws {IpcError} `Disconnected` if the consumer could not be woken, and has not received it.
   * @throws {TypeError} If the program has transferred them: nothing is sent.
   */
  commit(length: number): void {
    if (!this.#close()) return;
    try {
      this.#commit(length);
    } finally {
      this.#holder.release(this);
    }
  }

  #commit(length: number): void {
    this.#fill(length);
    const records = this.#records, blocks = blocksFor(length);
    // What was reserved and not used becomes padding, before the word that makes the consumer look there.
    if (blocks < this.#blocks) records.pad(this.#index + blocks, this.#blocks - blocks);
    let heard: boolean;
    try {
      heard = records.commit(this.#index, length + 1, this.position);
    } finally {
      this.#end();
    }
    if (!heard) records.checkConsumer();
  }

  /**
   * Sends the first messages, in order, of so many bytes each. Views on them are empty afterwards.
   *
   * @param lengths At least one.
   * @param each Blocks from one message to the next.
   * @throws {IpcError} As {@linkcode commit}.
   * @throws {TypeError} The same.
   */
  commitMany(lengths: readonly number[], each: number): void {
    if (!this.#close()) return;
    try {
      this.#commitMany(lengths, each);
    } finally {
      this.#holder.release(this);
    }
  }

  #commitMany(lengths: readonly number[], each: number): void {
    this.#fill(lengths.length * each << BLOCK_SHIFT);
    const records = this.#records, used = lengths.length * each;
    if (used < this.#blocks) records.pad(this.#index + used, this.#blocks - used);
    for (let i = 0; i < lengths.length; i++) {
      const blocks = blocksFor(lengths[i]!);
      if (blocks < each) records.pad(this.#index + i * each + blocks, each - blocks);
    }
    let heard: boolean;
    try {
      heard = records.commitMany(this.#index, this.position, this.#slot, this.#otherSlot, lengths, each);
    } finally {
      this.#end();
    }
    if (!heard) records.checkConsumer();
  }

  /** Sends nothing: the blocks become padding. Views on the bytes are empty afterwards. */
  override letGo(): void {
    if (!this.#close()) return;
    try {
      this.#cancel();
    } finally {
      this.#holder.release(this);
    }
  }

  #cancel(): void {
    try {
      this.#records.commit(this.#index, paddingWord(this.#blocks));
    } finally {
      this.#end();
    }
  }

  /** `false` if it has ended before. */
  #close(): boolean {
    if (!this.#isOpen) return false;
    this.#isOpen = false;
    this.ended();
    return true;
  }

  /** Copies what the program has written, if that is not in the ring. */
  #fill(length: number): void {
    if (!this.#small) return;
    if (isGone(this.#buffer)) {
      this.#cancel();
      throw new TypeError("Cannot commit: the buffer of this loan was transferred, and its bytes with it");
    }
    const { bytes } = this, used = length === bytes.length ? bytes : bytes.subarray(0, length);
    this.#records.memory.data.set(used, this.#index << BLOCK_SHIFT);
  }

  /**
   * After the word that sends it: the receiver is at work meanwhile. Until this call returns no code of the program runs that
   * could still write.
   */
  #end(): void {
    if (this.#small) endSmall(this.#buffer);
    else this.#records.memory.endWindow(this.#buffer, this.#index << BLOCK_SHIFT);
    const { slots } = this.#records;
    slots.giveBack(this.#slot);
    if (this.#otherSlot !== NONE) slots.giveBack(this.#otherSlot);
  }
}
