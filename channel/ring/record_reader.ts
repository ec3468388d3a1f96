// The hot path of a consumer: finds the next whole record, and releases its blocks.
import { IpcError } from "../../base/error.ts";
import { loadOrdered } from "../../ffi/memory/ordered_load.ts";
import { memoryOf } from "../../ffi/memory/storage.ts";
import type { DescriptorSource } from "./descriptor_source.ts";
import { BLOCK_SHIFT, blocksFor, EXTENDED_HEADER, W_COMMIT, W_HEAD, W_READ, W_SPACE, W_TAIL } from "./layout.ts";
import { type LentRecord, LentRecords } from "./lent_records.ts";
import type { RingMemory } from "./memory.ts";
import { LARGE, MessageLimit } from "./message_limit.ts";
import { SMALL } from "./small_memory.ts";
import { SpaceBells } from "./space_bells.ts";

/** Padding that is passed over in one go: a peer may write it as fast as it is read. */
const MOST_PADDING = 1024;

/** Blocks that are lent as a copy, also for several messages. */
const FEW = SMALL >>> BLOCK_SHIFT;

/** The records of a ring, as its consumer sees them one after another. */
export class RecordReader {
  /** The memory of the ring. */
  readonly memory: RingMemory;
  /** The queue that descriptors come in by. */
  readonly descriptors: DescriptorSource;
  /** The bells of producers that wait for room. */
  readonly spaceBells: SpaceBells;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #mask: number;
  /** Position of the next record to look at. */
  #head: number;
  /** What HEAD says: everything before is the producers' again. */
  #published: number;
  /** Positions up to here are claimed, as far as this consumer knows. */
  #knownTail: number;
  readonly #limit = new MessageLimit();
  /** Messages of up to so many bytes are received without a check. */
  #unchecked = this.#limit.unchecked;
  readonly #lentRecords: LentRecords;
  /** Its list. */
  readonly #lent: readonly LentRecord[];
  /** Whether what is lent counts as received only once it is given back. */
  #keeps = false;

  /** Whether {@linkcode next} stopped within padding that goes on. What goes on with it takes this down. */
  unfinished = false;

  // --- The record that `next()` found ---

  /** Where its payload begins in {@linkcode RingMemory.data}. */
  offset = 0;
  /** Bytes of its payload in the ring. */
  length = 0;
  /** Whether an extended header precedes the payload. */
  extended = false;
  #blocks = 0;

  /** Goes on where the last consumer of the ring stopped. */
  constructor(memory: RingMemory, descriptors: DescriptorSource) {
    this.memory = memory;
    this.descriptors = descriptors;
    this.spaceBells = new SpaceBells(memory.words, descriptors);
    this.#words = memory.words;
    this.#mask = memory.blocks - 1;
    this.#published = Atomics.load(this.#words, W_HEAD);
    this.#head = this.#resume();
    this.#knownTail = this.#head;
    this.#lentRecords = new LentRecords(this, memory);
    this.#lent = this.#lentRecords.list;
  }

  /**
   * The last consumer may have been killed before it released what it had received.
   *
   * pair: READ/word. Words before READ are cleared; the last consumer moved READ, then cleared the word.
   */
  #resume(): number {
    const words = this.#words;
    const read = Atomics.load(words, W_READ), tail = Atomics.load(words, W_TAIL);
    const received = (read - this.#published) | 0;
    if (received < 0 || ((tail - read) | 0) < 0 || ((tail - this.#published) | 0) > this.memory.blocks) {
      return this.#published; // damaged: the first look at the tail says so
    }
    for (let i = 0; i < received; i++) words[W_COMMIT + ((this.#published + i) & this.#mask)] = 0;
    Atomics.store(words, W_HEAD, read);
    return this.#published = read;
  }

  /** Bytes that the ring holds. */
  get capacity(): number {
    return this.memory.blocks << BLOCK_SHIFT;
  }

  /** Bytes of blocks that are claimed and not received. */
  get waiting(): number {
    const waiting = (Atomics.load(this.#words, W_TAIL) - this.#head) | 0;
    return Math.min(Math.max(waiting, 0), this.memory.blocks) << BLOCK_SHIFT;
  }

  /** Where the record that {@linkcode next} found begins, as a number of blocks that wraps around at 2^32. */
  get position(): number {
    return this.#head;
  }

  /** Blocks of the record that {@linkcode next} found. */
  get blocks(): number {
    return this.#blocks;
  }

  /** Whether a record, perhaps padding, is committed at the head; by one load. */
  get ready(): boolean {
    return Atomics.load(this.#words, this.commitIndex) !== 0 && !(this.#keeps && this.#keptBehind() === 0);
  }

  /** Index of the commit word at the head. */
  get commitIndex(): number {
    return W_COMMIT + (this.#head & this.#mask);
  }

  // --- Finding records -----------------------------------------------------------------------------------------------

  /**
   * Finds the next message; its place is in {@linkcode offset}, {@linkcode length} and {@linkcode extended} then.
   *
   * @returns `false` if no whole message is there.
   * @throws {IpcError} `Corrupt` if a commit word breaks the rules.
   */
  next(): boolean {
    const index = this.#head & this.#mask;
    const word = loadOrdered(this.#words, W_COMMIT + index);
    if (word === 0 || (this.#keeps && this.#keptBehind() === 0)) return false;
    if (word > 0) {
      this.#locate(index, word - 1, false);
      return true;
    }
    if ((word & 1) === 0) {
      this.#locate(index, -(word >> 1), true);
      return true;
    }
    return this.#nextBehindPadding();
  }

  /**
   * The same where there is padding. A peer may write it all the time, so this ends after so much of it, and says so:
   * {@linkcode unfinished}.
   */
  #nextBehindPadding(): boolean {
    for (let i = 0; i < MOST_PADDING; i++) {
      const index = this.#head & this.#mask;
      const word = this.#keeps && this.#keptBehind() === 0 ? 0 : loadOrdered(this.#words, W_COMMIT + index);
      if (word >= 0 || (word & 1) === 0) {
        this.#publish(); // once for all of it: that may ring many bells
        if (word !== 0) this.#locate(index, word > 0 ? word - 1 : -(word >> 1), word < 0);
        return word !== 0;
      }
      const padding = (-word - 1) >>> 1; // exact also for -2^31, which is even
      if (padding === 0) this.#refuse(padding, index);
      this.#claimed(padding, index);
      this.#pass(padding, index);
    }
    this.#publish();
    this.unfinished = true;
    return false;
  }

  /** Validates a record's length, and keeps where it is. */
  #locate(index: number, length: number, extended: boolean): void {
    const blocks = blocksFor(length);
    this.#claimed(blocks, index);
    this.offset = index << BLOCK_SHIFT;
    this.length = length;
    this.extended = extended;
    this.#blocks = blocks;
    if (length > this.#unchecked) this.#admitHere(length);
    if (extended && length < EXTENDED_HEADER) {
      this.release();
      throw corrupt(`an extended record of ${length} bytes has no room for its header`);
    }
  }

  /** A record must lie between head and tail. */
  #claimed(blocks: number, index: number): void {
    if (((this.#head + blocks - this.#knownTail) | 0) <= 0) return;
    this.#knownTail = this.loadTail();
    if (((this.#head + blocks - this.#knownTail) | 0) <= 0) return;
    this.#refuse(blocks, index);
  }

  /** Reports a record that breaks the rules, and goes one block further, so that it is not reported without end. */
  #refuse(blocks: number, index: number): never {
    this.#pass(this.#head === this.#knownTail ? 0 : 1, index);
    this.#publish();
    throw corrupt(`a record claims ${blocks} blocks where producers claimed ${blocks === 0 ? "some" : "fewer"}`);
  }

  /** A large record in the ring itself. A peer may claim one that it never wrote, in a ring that takes no memory. */
  #admitHere(length: number): void {
    try {
      this.admit(length);
      if (length <= LARGE || memoryOf(this.memory.fd.fd) >= length) return;
      throw corrupt(`a record claims ${length} bytes that nobody wrote`);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /**
   * Whether a message of so many bytes is to be received.
   *
   * @throws {IpcError} `TooLarge` if not.
   */
  admit(length: number): void {
    this.#limit.check(length);
  }

  /** Sets how many bytes a message may have. */
  limitMessages(bytes: number): void {
    this.#limit.set(bytes);
    this.#unchecked = this.#limit.unchecked;
  }

  /**
   * Blocks of the record that {@linkcode next} found and of those behind it that are whole and plain.
   *
   * @param most Blocks to look at, as many as the ring has at most.
   * @param longest Blocks of a record that is still counted in; the first that has more ends it.
   */
  committed(most: number, longest: number): number {
    const words = this.#words, mask = this.#mask, head = this.#head;
    let blocks = this.#blocks;
    if (this.#keeps) most = Math.min(most, this.#keptBehind());
    while (blocks < most) {
      const word = loadOrdered(words, W_COMMIT + ((head + blocks) & mask));
      if (word <= 0) break;
      const size = blocksFor(word - 1);
      if (size > longest || blocks + size > most) break;
      blocks += size;
    }
    return blocks;
  }

  // --- The tail ------------------------------------------------------------------------------------------------------

  /**
   * Up to where blocks are claimed now.
   *
   * @throws {IpcError} `Corrupt` if that is impossible.
   */
  loadTail(): number {
    const tail = loadOrdered(this.#words, W_TAIL);
    if (this.#isTail(tail)) return tail;
    const used = (tail - this.#published) | 0;
    throw corrupt(`its positions are impossible (${used} of ${this.memory.blocks} blocks used)`);
  }

  #isTail(tail: number): boolean {
    const used = (tail - this.#published) | 0;
    return used >= 0 && used <= this.memory.blocks && ((tail - this.#head) | 0) >= 0;
  }

  /** Up to where blocks are claimed now; the head if that is impossible, which the next look reports. */
  get claimedUntil(): number {
    const tail = Atomics.load(this.#words, W_TAIL);
    return this.#isTail(tail) ? tail : this.#head;
  }

  /** Blocks that are claimed behind the record that {@linkcode next} found. */
  get claimedBehind(): number {
    return (this.claimedUntil - this.#head - this.#blocks) | 0;
  }

  /** Whether blocks are claimed at the head that are not committed. Call when {@linkcode next} found nothing. */
  get hasGap(): boolean {
    return this.loadTail() !== this.#head;
  }

  /**
   * Claims all blocks from the head up to a position, if no producer has claimed any. Nobody records this claim: if this
   * process dies with it, it is one of the dead.
   *
   * @returns `false` if a message is on its way.
   */
  claimEmpty(until: number): boolean {
    const words = this.#words, head = this.#head;
    // Looked at first: a swap, also one that fails, takes the cache line away from a producer that is at work.
    return words[W_TAIL] === head && Atomics.compareExchange(words, W_TAIL, head, until) === head;
  }

  // --- Releasing blocks ----------------------------------------------------------------------------------------------

  /**
   * Releases the record that {@linkcode next} found: its blocks may be used again once the head is published. From here on
   * the message is received, so nothing in here throws.
   */
  release(): void {
    this.#pass(this.#blocks, this.#head & this.#mask);
    const word = loadOrdered(this.#words, W_COMMIT + (this.#head & this.#mask));
    if (word < 0 && (word & 1) !== 0) this.#passPadding();
    this.#publish();
  }

  /** Padding behind a message is released with it: a consumer may not look again for a long time. */
  #passPadding(): void {
    for (let i = 0; i < MOST_PADDING; i++) {
      const index = this.#head & this.#mask;
      const word = loadOrdered(this.#words, W_COMMIT + index);
      if (word >= 0 || (word & 1) === 0) return;
      const padding = (-word - 1) >>> 1;
      if (padding === 0) return;
      if (((this.#head + padding - this.#knownTail) | 0) > 0) {
        const tail = Atomics.load(this.#words, W_TAIL);
        // What is impossible is for the next look, which reports it.
        if (!this.#isTail(tail) || ((this.#head + padding - tail) | 0) > 0) return;
        this.#knownTail = tail;
      }
      this.#pass(padding, index);
    }
  }

  /** Moves the head to a position up to which blocks are claimed, and no commit word is set. */
  skipTo(position: number): void {
    if (((position - this.#knownTail) | 0) > 0) this.#knownTail = position;
    const from = this.#head;
    this.#head = position;
    if (!this.#keeps || !this.#lentRecords.follow(from, position)) this.#words[W_READ] = position;
    this.#publish();
  }

  /**
   * pair: READ/word. READ goes first: if this process dies before it clears the word, the next consumer does.
   *
   * pair: word/HEAD. The word is cleared, then the head published, by a store that orders both; a producer loads HEAD, then
   * claims the block, and finds no word in it.
   */
  #pass(blocks: number, index: number): void {
    const from = this.#head;
    this.#head = (from + blocks) | 0;
    if (this.#keeps && this.#lentRecords.follow(from, this.#head)) return;
    this.#words[W_READ] = this.#head;
    this.#words[W_COMMIT + index] = 0;
  }

  /**
   * Every time, not once a batch: it costs as much as finding out whether it could wait (a store against two loads), and
   * a producer that finds the ring full finds room as soon as there is some.
   */
  #publish(): void {
    const words = this.#words;
    const until = this.#lent.length === 0 ? this.#head : this.#lent[0]!.position;
    this.#published = until;
    // pair: SPACE/HEAD. HEAD is stored, then SPACE loaded; a producer that waits for room stores SPACE, then loads HEAD.
    Atomics.store(words, W_HEAD, until);
    if (loadOrdered(words, W_SPACE) !== 0) this.spaceBells.ringIfDue();
  }

  /** Publishes the head once more: the next consumer begins there. */
  publish(): void {
    this.#publish();
  }

  // --- Lent records --------------------------------------------------------------------------------------------------

  /**
   * Takes the record that {@linkcode next} found out of the ring without releasing its blocks.
   *
   * @param skip Bytes at the beginning that are no payload.
   */
  lend(skip: number): LentRecord {
    const end = (this.#head + this.#blocks) | 0;
    const lent = this.#lentRecords.lend(this.#head, end, this.offset + skip, this.length - skip);
    if (this.#keeps) this.#head = end;
    else this.#pass(this.#blocks, this.#head & this.#mask);
    return lent;
  }

  /**
   * Lends the blocks from the record that {@linkcode next} found on, for {@linkcode takeWithin}: as far as they are claimed,
   * and up to half of the ring, as producers get none of them back before. No message is taken out of the ring by it.
   */
  lendMany(): LentRecord {
    const claimed = (this.claimedUntil - this.#head) | 0;
    const blocks = claimed <= FEW
      ? this.committed(FEW, FEW) // a copy does not show what is committed later
      : Math.max(this.#blocks, Math.min(claimed, this.memory.blocks >>> 1));
    return this.#lentRecords.lend(this.#head, this.#head, this.offset, blocks << BLOCK_SHIFT);
  }

  /**
   * Takes the next message out of the ring if it lies within blocks that are lent, without releasing them.
   *
   * @param lent What {@linkcode lendMany} returned.
   * @param buffer The buffer of its bytes.
   * @returns Its bytes there; `undefined` if there is none, or it is an extended one.
   * @throws {IpcError} As {@linkcode next}.
   */
  takeWithin(lent: LentRecord, buffer: ArrayBuffer): Uint8Array<ArrayBuffer> | undefined {
    // Of bytes whose buffer a program has transferred there are none.
    const span = lent.returned ? 0 : lent.bytes.length >>> BLOCK_SHIFT;
    if (((this.#head - lent.position) | 0) >= span || !this.next() || this.extended) return undefined;
    const from = (this.#head - lent.position) | 0, blocks = this.#blocks;
    if (from + blocks > span) return undefined;
    const bytes = new Uint8Array(buffer, from << BLOCK_SHIFT, this.length);
    this.#pass(blocks, this.#head & this.#mask);
    return bytes;
  }

  /** Gives blocks back. They are released in order: those behind an earlier record that is out wait for it. */
  giveBack(lent: LentRecord): void {
    if (this.#lentRecords.takeBack(lent)) this.#publish();
  }

  /** From now on what is lent counts as received only once it is given back, and all before it. */
  keepUntilGivenBack(): void {
    this.#keeps = this.#lentRecords.keeps = true;
  }

  /** Blocks from the head on up to the first that is kept, whose word is that of an older record. */
  #keptBehind(): number {
    const first = this.#lent[0];
    return first === undefined ? this.memory.blocks : this.memory.blocks - ((this.#head - first.position) | 0);
  }

  /** Whether it does. */
  get keeps(): boolean {
    return this.#keeps;
  }

  /** Takes all records back that are lent, before the memory goes. What is kept is for the next consumer. */
  takeAllBack(): void {
    if (this.#keeps && this.#lent.length > 0) this.#head = this.#lent[0]!.position;
    this.#lentRecords.takeAllBack();
  }

  /** Whether records are lent that were not given back. */
  get hasLent(): boolean {
    return this.#lent.length > 0;
  }
}

function corrupt(what: string): IpcError {
  return new IpcError("Corrupt", `Cannot receive: the ring is damaged, ${what}; a peer misbehaves`);
}
