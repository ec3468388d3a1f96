// The hot path of a producer: claims blocks, commits records, and wakes the consumer.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { loadOrdered } from "../../ffi/memory/ordered_load.ts";
import { isOutOfRoom } from "../../ffi/memory/shortage.ts";
import type { RingAllocation } from "./allocation.ts";
import type { ConsumerBell } from "./consumer_bell.ts";
import type { ConsumerLiveness } from "./consumer_liveness.ts";
import {
  BELL_CLOSED,
  BLOCK,
  CLAIM_BLOCKS,
  CLAIM_POSITION,
  paddingWord,
  W_BELL,
  W_COMMIT,
  W_HEAD,
  W_READ,
  W_TAIL,
  WARM_BLOCKS,
} from "./layout.ts";
import type { RingMemory } from "./memory.ts";
import type { ProducerSlots } from "./slots.ts";
import { spinPause } from "./spin_pause.ts";

/** What {@linkcode RecordWriter.tryClaim} returns when there is no room. */
export const FULL = -1;

/** Claims in one turn of the event loop between two checks whether the consumer lives. */
const CLAIMS_PER_CHECK = 256;

/** Looks at two positions that change all the time, until they fit together. */
const RELOADS = 1000;

/** Attempts at a claim in a row. Only a peer that misbehaves makes as many fail: then there is no room, for now. */
const MOST_ATTEMPTS = 10_000;

/** A consumer that has no more than this before it, or one message, may find the ring empty in a moment: blocks. */
const NEARLY_EMPTY = (16 << 10) / BLOCK;

/**
 * How often a producer looks whether the consumer has gone back to the first blocks, 50 ns each, and how much oftener before
 * it claims many: colder blocks cost it up to 20 ns for each KiB.
 */
const LOOKS = 50, BLOCKS_PER_LOOK = 64, MOST_LOOKS = 500;

/** Messages of more bytes are large; and milliseconds that a consumer has one for which only looks at parts of it. */
const LARGE = WARM_BLOCKS * BLOCK, GLANCE = 0.01;

/** Where it waits in vain it does so half as often each time, but for one time in so many. */
const LEAST_OFTEN = 64;

/** Writes records into a ring that others write into as well. */
export class RecordWriter {
  /** The memory of the ring. */
  readonly memory: RingMemory;
  /** The slots of this isolate. */
  readonly slots: ProducerSlots;
  /** Word index of the one for claims that are committed at once. */
  readonly slot: number;
  /** The position of the last claim. */
  claimedAt = 0;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #mask: number;
  readonly #bell: ConsumerBell;
  readonly #consumer: ConsumerLiveness;
  /** Of a named ring: the memory of its data. */
  readonly #allocation: RingAllocation | undefined;
  /** Positions before this are free, as far as this producer knows. */
  #limit: number;
  /** Claims left until the next check whether the consumer lives. */
  #untilCheck = 0;
  /** Looks at the positions until it waits for the consumer to go back to the first blocks; and how many from each time on. */
  #untilWait = 0;
  #waitEvery = 1;
  /** When the last large message was committed. */
  #largeCommitted = -Infinity;
  #turnScheduled = false;
  readonly #newTurn = () => {
    this.#turnScheduled = false;
    this.#untilCheck = 0;
    // What the last claim of the turn recorded is committed. A record that stayed would be inside a gap again after 2^32
    // blocks, and hold it up. As with the next one, the load of BELL after the commit keeps this store behind it.
    if (!this.#consumer.gone) this.#words[this.slot + CLAIM_BLOCKS] = 0;
  };

  /** Claims a slot. */
  constructor(
    memory: RingMemory,
    slots: ProducerSlots,
    bell: ConsumerBell,
    consumer: ConsumerLiveness,
    allocation?: RingAllocation,
  ) {
    this.memory = memory;
    this.#words = memory.words;
    this.#mask = memory.blocks - 1;
    this.#bell = bell;
    this.#consumer = consumer;
    this.#allocation = allocation;
    this.slots = slots;
    this.slot = slots.claim();
    this.#limit = Atomics.load(this.#words, W_TAIL);
  }

  /** Bytes that the ring holds. */
  get capacity(): number {
    return this.memory.blocks * BLOCK;
  }

  /** Bytes of blocks that are claimed, by this producer or others, and not free again. */
  get used(): number {
    const used = (Atomics.load(this.#words, W_TAIL) - Atomics.load(this.#words, W_HEAD)) | 0;
    return Math.min(Math.max(used, 0), this.memory.blocks) * BLOCK;
  }

  /** Whether every message sent so far was received. */
  get empty(): boolean {
    return Atomics.load(this.#words, W_HEAD) === Atomics.load(this.#words, W_TAIL);
  }

  /** Where the next message will lie, or behind it. */
  get position(): number {
    return Atomics.load(this.#words, W_TAIL);
  }

  /** Whether nothing that was sent from a {@linkcode position} on has been received. */
  isUnread(position: number): boolean {
    return ((Atomics.load(this.#words, W_READ) - position) | 0) <= 0;
  }

  // --- Claim and commit ----------------------------------------------------------------------------------------------

  /**
   * Claims blocks for one record. What is claimed must be committed, as a message or as padding.
   *
   * @param slot Where the claim record goes; one claim a slot at a time.
   * @returns The index of the first block, or {@linkcode FULL}.
   * @throws {IpcError} `Disconnected` if the consumer is gone; `Corrupt` if the ring's positions are impossible.
   */
  tryClaim(blocks: number, slot: number = this.slot): number {
    if (--this.#untilCheck < 0) this.#checkConsumer();
    const words = this.#words;
    let tail = words[W_TAIL]!; // however old: the swap finds out
    for (let attempts = 0;; attempts++) {
      if (attempts === MOST_ATTEMPTS) {
        words[slot + CLAIM_BLOCKS] = 0; // what was recorded is another's claim
        return FULL;
      }
      // Compared with both ends: a limit that is too old, with 2^31 blocks claimed by others since, would look like room.
      const room = (this.#limit - tail) | 0;
      if (room < blocks || room > this.memory.blocks) {
        if (!this.#refreshLimit(blocks, attempts === 0)) return FULL;
        tail = Atomics.load(words, W_TAIL);
        continue;
      }
      // pair: record/TAIL. The claim record before the tail, so that it is known by whom blocks were claimed. The swap is a
      // barrier for the plain stores before it. The record is not cleared after the commit: by then its blocks lie behind
      // the head.
      words[slot + CLAIM_POSITION] = tail;
      words[slot + CLAIM_BLOCKS] = blocks;
      step("recorded");
      const found = Atomics.compareExchange(words, W_TAIL, tail, (tail + blocks) | 0);
      if (found === tail) break;
      tail = found;
    }
    step("claimed");
    // Not rung here: a consumer that is woken by a claim finds nothing, and on a busy machine takes the processor from the
    // copy, or sleeps behind other programs. If this process dies before it has rung, the gap is found with the next event.
    if (words[W_BELL] === BELL_CLOSED) {
      Atomics.store(words, W_COMMIT + (tail & this.#mask), paddingWord(blocks));
      throw this.#consumer.ended();
    }
    this.claimedAt = tail;
    return tail & this.#mask;
  }

  /**
   * Publishes several records of one claim, in order, and wakes the consumer: the first ones arrive if this process dies
   * meanwhile.
   *
   * @param index Of the first block of the claim.
   * @param position Of the claim: {@linkcode claimedAt} after it.
   * @param slot That it is recorded in.
   * @param other Another one, whose claim record is free.
   * @param lengths Bytes of each record.
   * @param each Blocks from one record to the next.
   * @returns As {@linkcode commit}.
   */
  commitMany(
    index: number,
    position: number,
    slot: number,
    other: number,
    lengths: readonly number[],
    each: number,
  ): boolean {
    const words = this.#words, mask = this.#mask, last = lengths.length - 1;
    for (let i = 0; i < last; i++) {
      // pair: next/commit. The next record is claimed through the slot that the one at hand is not, then this one is
      // committed; a consumer that steps to the next one does not look for claims that began before it. Atomic stores, which
      // keep their order everywhere.
      Atomics.store(words, other + CLAIM_POSITION, (position + (i + 1) * each) | 0);
      if (i === 0) Atomics.store(words, other + CLAIM_BLOCKS, each);
      Atomics.store(words, W_COMMIT + ((index + i * each) & mask), lengths[i]! + 1);
      step("committed");
      [slot, other] = [other, slot];
    }
    return this.commit((index + last * each) & mask, lengths[last]! + 1, (position + last * each) | 0);
  }

  /**
   * Publishes a record, and wakes the consumer. The store releases the payload's plain stores to a consumer that loads the
   * word.
   *
   * @param position Of the record, by default of the last claim.
   * @returns `false` if the consumer could not be woken, and has not received it: nobody gets the message.
   */
  commit(index: number, word: number, position: number = this.claimedAt): boolean {
    const words = this.#words;
    Atomics.store(words, W_COMMIT + index, word);
    step("committed");
    if (word > LARGE) this.#largeCommitted = performance.now();
    // pair: commit/BELL. The commit word is stored, then BELL loaded; the consumer, before it sleeps, stores BELL, then loads
    // the word. All four are sequentially consistent, so one of the two sees the other.
    //
    // pair: commit/record. On arm64 this load also keeps the plain stores of the next claim record behind the commit; the
    // consumer loads the records of a gap, then its words once more.
    const bell = loadOrdered(words, W_BELL);
    if (bell <= 0 || this.#bell.ring(bell)) return true;
    this.#consumer.gone = true;
    // It may have polled meanwhile, received this very message, and closed its end: many wait for one answer.
    // pair: READ/end. The consumer moves READ, then closes; READ is loaded after its end was noticed.
    return !this.isUnread(position);
  }

  /**
   * Checks now that the consumer lives.
   *
   * @throws {IpcError} `Disconnected` if it does not.
   */
  checkConsumer(): void {
    this.#consumer.check();
  }

  /** The same for a message with something that travels in it, at less cost if one was sent just now. */
  checkForTravellers(): void {
    this.#consumer.checkForTravellers();
  }

  /** Declares blocks at the end of a claim padding; they are seen when what precedes them is committed. */
  pad(index: number, blocks: number): void {
    Atomics.store(this.#words, W_COMMIT + (index & this.#mask), paddingWord(blocks));
  }

  /**
   * Finds out that the consumer was killed: with the first claim of a turn of the event loop, and after many in the same
   * turn.
   */
  #checkConsumer(): void {
    if (this.#consumer.checkIfDue()) {
      // And no older than this, or the positions could come round to it.
      this.#limit = Atomics.load(this.#words, W_TAIL);
      this.slots.lock();
    }
    this.#untilCheck = CLAIMS_PER_CHECK;
    if (this.#turnScheduled) return;
    this.#turnScheduled = true;
    queueMicrotask(this.#newTurn);
  }

  // --- Room ----------------------------------------------------------------------------------------------------------

  /**
   * Learns how far the consumer got. `false` if `blocks` do not fit.
   *
   * @param mayWait Whether it may give the consumer a moment to go back to the first blocks: once a claim.
   */
  #refreshLimit(blocks: number, mayWait: boolean): boolean {
    const words = this.#words;
    const { blocks: capacity } = this.memory;
    // pair: word/HEAD. HEAD is loaded before anything is claimed; the consumer clears a commit word, then moves HEAD.
    // pair: SPACE/HEAD. A producer that waits for room has stored SPACE before this; the consumer stores HEAD, then loads
    // SPACE.
    let head = Atomics.load(words, W_HEAD);
    let tail = Atomics.load(words, W_TAIL);
    let used = (tail - head) | 0;
    // Between the two looks the consumer may have released blocks, and others claimed them. Only a peer that misbehaves
    // makes that happen time after time.
    for (let i = 0; (used < 0 || used > capacity) && i < RELOADS; i++) {
      head = Atomics.load(words, W_HEAD);
      tail = Atomics.load(words, W_TAIL);
      used = (tail - head) | 0;
    }
    if (used < 0 || used > capacity) {
      throw new IpcError(
        "Corrupt",
        `Cannot send: the ring's positions are impossible (${used} of ${capacity} blocks used)`,
      );
    }
    const index = tail & this.#mask;
    // Back to the first blocks, which are in the caches, instead of on to cold ones. What lies behind them is free again
    // only when the consumer has passed the end, which it may not do for long: until then half of the ring must be left.
    // Less is enough for a large message that would lie across the end: with what is in use it takes half of the ring itself.
    const acrossEnd = blocks > WARM_BLOCKS && index + blocks > capacity;
    if (index > WARM_BLOCKS && index - used >= (acrossEnd ? blocks : Math.max(capacity / 2, blocks))) {
      if (this.#rewind(tail)) {
        this.#limit = (this.#allocation === undefined ? head + capacity : tail + capacity - index) | 0; // or allocated first
        return true;
      }
    }
    if (
      mayWait && index > WARM_BLOCKS && used <= Math.max(blocks, NEARLY_EMPTY) && this.#awaitRewind(tail, blocks, used)
    ) {
      return true; // look again, once
    }
    // Not further than a window, so that the ring is looked at again before long.
    const free = (head + capacity - tail) | 0;
    const window = Math.min(free, Math.max(blocks, WARM_BLOCKS));
    this.#limit = (tail + window) | 0;
    if (free >= blocks) {
      if (this.#allocation !== undefined) this.#limit = this.#allocate(tail, window, blocks, index - used >= blocks);
      return true;
    }
    words[this.slot + CLAIM_BLOCKS] = 0; // what an attempt may have recorded is another's claim now
    return false;
  }

  /**
   * Waits for a moment before it goes on to colder blocks: a consumer that has nearly caught up finds the ring empty then, and
   * goes back to the first ones. Otherwise it hardly ever would, as the next message is claimed before the last one is
   * released. Only the consumer can do it in a small part of the ring, as what it passes over is free at once.
   *
   * Not for one that has had a large message for a while: it reads all of it, which brings the blocks into caches of its own,
   * and to write them again would be slower than to write others.
   *
   * @returns Whether the tail has moved.
   */
  #awaitRewind(tail: number, blocks: number, used: number): boolean {
    const words = this.#words;
    if (used > WARM_BLOCKS && performance.now() - this.#largeCommitted > GLANCE) return false;
    if (--this.#untilWait > 0 || words[W_BELL] !== 0) return false; // a consumer that sleeps has done it before
    step("awaiting rewind");
    const looks = Math.min(LOOKS + Math.floor(blocks / BLOCKS_PER_LOOK), MOST_LOOKS);
    for (let i = 0; i < looks; i++) {
      if (Atomics.load(words, W_TAIL) !== tail) {
        this.#waitEvery = 1;
        return true;
      }
      spinPause();
    }
    this.#untilWait = this.#waitEvery = Math.min(2 * this.#waitEvery, LEAST_OFTEN);
    return false;
  }

  /** Claims what is left up to the end of the ring, as padding. `false` if another was faster. */
  #rewind(tail: number): boolean {
    const words = this.#words, index = tail & this.#mask, rest = this.memory.blocks - index;
    words[this.slot + CLAIM_POSITION] = tail;
    words[this.slot + CLAIM_BLOCKS] = rest;
    if (Atomics.compareExchange(words, W_TAIL, tail, (tail + rest) | 0) === tail) {
      Atomics.store(words, W_COMMIT + index, paddingWord(rest));
      return true;
    }
    // The claim that this is for may be recorded elsewhere, so this record would stay: on blocks of the other's, who may be
    // dead.
    words[this.slot + CLAIM_BLOCKS] = 0;
    return false;
  }

  /**
   * Allocates what may be claimed next. What is claimed after the consumer has given memory back lies beyond the limit.
   *
   * @param atBegin Whether there are as many free blocks at the beginning of the ring, which are allocated already.
   * @returns The new limit.
   */
  #allocate(tail: number, window: number, blocks: number, atBegin: boolean): number {
    try {
      return (tail + this.#allocation!.allocate(tail, window, blocks)) | 0;
    } catch (error) {
      this.#limit = tail;
      if (atBegin && isOutOfRoom(error)) {
        this.#rewind(tail); // or look again, as another has moved on
        return tail;
      }
      this.#words[this.slot + CLAIM_BLOCKS] = 0; // what an attempt may have recorded is another's claim now
      throw error;
    }
  }
}
