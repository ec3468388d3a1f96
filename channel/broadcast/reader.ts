// The subscribing side of a topic: find the next message, and know whether it was overwritten while it was read.
//
// Nothing is ever written: the memory is mapped for reading alone. Where this subscriber stands, only it knows.
import { IpcError } from "../../base/error.ts";
import { BLOCK, blocksFor, MESSAGE_HEADER, W_LAST, W_OLDEST } from "./layout.ts";
import type { TopicMemory } from "./memory.ts";
import { loadAtLeastAfterReads, loadAtMost, loadPosition, positionOf } from "./position.ts";

/** Where a subscriber begins: with what is published from now on, or with the oldest message that is still there. */
export type From = "new" | "oldest";

/** Attempts to find a message that is not overwritten meanwhile, in one look; publishers may go on all the time. */
const ATTEMPTS = 64;

/** Most messages that are passed over at a time to get away from publishers that are close behind. */
const LONGEST_WALK = 4096;

/** One subscriber's place in the messages of one topic. */
export class TopicReader {
  readonly #memory: TopicMemory;
  readonly #words: Int32Array<ArrayBuffer>;
  readonly #dataWords: Int32Array<ArrayBuffer>;
  readonly #mask: number;
  readonly #capacity: number;
  /** The next message to be read. */
  #position = 0;
  /** The newest message, as far as is known. */
  #last = -1;
  /** The number that the next message has; -1 if any will do. */
  #expected = 0;
  /** Whether messages before the next were missed, so that its number is higher. */
  #skipped = false;
  /** How often a message was overwritten before it could be read, since this last caught up with the publishers. */
  #overtaken = 0;
  /** Messages that were passed, in all. */
  read = 0;
  /** Messages that were missed, in all. */
  missed = 0;
  /** What {@linkcode next} has found: where in the data it is, and how many bytes it has. */
  offset = 0;
  length = 0;

  constructor(memory: TopicMemory, from: From | "successor") {
    this.#memory = memory;
    this.#words = memory.words;
    this.#dataWords = memory.dataWords;
    this.#mask = memory.blocks - 1;
    this.#capacity = memory.capacity;
    if (from === "successor") this.#beginBehindNothing();
    else this.#begin(from);
  }

  /** With all messages of a topic that has taken the place of another: those that are overwritten already were missed. */
  #beginBehindNothing(): void {
    this.#position = loadPosition(this.#words, W_OLDEST);
    this.#skipped = true;
  }

  #begin(from: From): void {
    const words = this.#words;
    for (let i = 0; i < ATTEMPTS; i++) {
      const last = loadPosition(words, W_LAST);
      if (last < 0) return; // with the first one
      const at = from === "new" ? last : Math.min(loadPosition(words, W_OLDEST), last);
      const h = ((at & this.#mask) * BLOCK) >>> 2;
      const length = this.#dataWords[h]!, number = positionOf(this.#dataWords[h + 2]!, this.#dataWords[h + 3]!);
      if (loadAtLeastAfterReads(words, W_OLDEST) > at) continue;
      if (!(length >= 0 && length <= this.#capacity)) break; // found out again by the first look
      this.#position = from === "new" ? at + blocksFor(length) : at;
      this.#expected = from === "new" ? number + 1 : number;
      return;
    }
    // Publishers overwrite faster than can be looked: with the message that is being written.
    this.#position = loadPosition(words, W_OLDEST);
    this.#skipped = true;
    this.#expected = -1;
  }

  /**
   * Finds the next message: {@linkcode offset} and {@linkcode length} say where it is. Anything that is read of it counts
   * only if {@linkcode intact} says so afterwards.
   *
   * @throws {IpcError} `Corrupt` if a publisher has damaged the topic; the next call goes on with the newest message.
   */
  next(): boolean {
    for (let i = 0; i < ATTEMPTS; i++) {
      const position = this.#position;
      if (position > this.#last) {
        this.#last = loadAtMost(this.#words, W_LAST);
        if (position > this.#last) {
          this.#overtaken = 0; // it has caught up
          return false;
        }
      }
      const at = (position & this.#mask) * BLOCK, h = at >>> 2;
      const dataWords = this.#dataWords;
      const length = dataWords[h]!, low = dataWords[h + 2]!, high = dataWords[h + 3]!;
      const expected = this.#expected;
      if (length >= 0 && length <= this.#capacity && low === (expected | 0) && !this.#skipped) {
        // The upper half is looked at with the rest, as numbers come round.
        if (expected < 2 ** 31 || positionOf(low, high) === expected) {
          this.offset = at + MESSAGE_HEADER;
          this.length = length;
          return true;
        }
      }
      const number = positionOf(low, high);
      if (!this.intact) {
        this.overtaken();
        continue;
      }
      const fits = length >= 0 && length <= this.#capacity && number >= 0 && number < 2 ** 53;
      if (!fits || (this.#skipped ? number < expected : number !== expected)) throw this.#damaged(length, number);
      // What lies between was overwritten, or passed over.
      if (expected >= 0) this.missed += number - expected;
      this.#expected = number;
      this.#skipped = false;
    }
    return false; // for now
  }

  /** Whether what was read since {@linkcode next} was the message, and nothing that has been written over it. */
  get intact(): boolean {
    return this.isIntact(this.#position);
  }

  /** The same for a message that was passed already, by {@linkcode position}. */
  isIntact(position: number): boolean {
    // It may seem to lie further ahead than it does; then both halves are looked at once more.
    return loadAtLeastAfterReads(this.#words, W_OLDEST) <= position || loadPosition(this.#words, W_OLDEST) <= position;
  }

  /** The position of the message that {@linkcode next} has found. */
  get position(): number {
    return this.#position;
  }

  /** The message that {@linkcode next} has found was read. */
  pass(): void {
    this.#position += blocksFor(this.length);
    this.#expected++;
    this.read++;
  }

  /**
   * The message that {@linkcode next} has found was overwritten: goes on with the oldest one. If this happens again before
   * it has caught up, it is too slow for them, and would read just in front of them all the time, half of it in vain: it goes
   * on further ahead each time, up to half of what is kept.
   */
  overtaken(): void {
    this.#position = loadPosition(this.#words, W_OLDEST);
    this.#last = loadPosition(this.#words, W_LAST);
    this.#skipped = true;
    const ahead = this.#overtaken === 0 ? 0 : (this.#mask + 1) * Math.min(1 / 2, 2 ** this.#overtaken / 64);
    this.#overtaken++;
    this.#walk(this.#position + ahead);
  }

  /** Passes over messages up to a position, but not over the newest. */
  #walk(until: number): void {
    for (let i = 0; i < LONGEST_WALK && this.#position < until; i++) {
      const length = this.#dataWords[((this.#position & this.#mask) * BLOCK) >>> 2]!;
      // Overwritten, or damaged: found out by the next look.
      if (!this.intact || !(length >= 0 && length <= this.#capacity)) return;
      const next = this.#position + blocksFor(length);
      if (next > this.#last) return;
      this.#position = next;
    }
  }

  /** Whether a message is there, for certain: to be asked after those who publish were asked for a ring. */
  get waiting(): boolean {
    return this.#position <= loadPosition(this.#words, W_LAST);
  }

  /** Whether a message may be there, by a look that costs next to nothing. */
  get mayBeWaiting(): boolean {
    return this.#position <= this.#last || Atomics.load(this.#words, W_LAST) !== (this.#last | 0);
  }

  /** The error, after which this goes on with what is published from now on. */
  #damaged(length: number, number: number): IpcError {
    const expected = this.#expected;
    const last = this.#last = loadPosition(this.#words, W_LAST);
    const newest = this.#dataWords[((last & this.#mask) * BLOCK) >>> 2]!;
    this.#position = last + (newest >= 0 && newest <= this.#capacity ? blocksFor(newest) : 1);
    this.#skipped = true;
    this.#expected = -1;
    return new IpcError(
      "Corrupt",
      `Cannot receive: a publisher has damaged the topic; its message ${expected} claims to be ${number}, with ` +
        `${length} bytes`,
    );
  }

  /** The memory that this reads from. */
  get memory(): TopicMemory {
    return this.#memory;
  }
}
