// The publishing side of a topic: make room, copy, and say where the newest message is.
//
// The order of the stores is the whole protocol. OLDEST moves before anything is overwritten, so a subscriber that finds
// its message behind OLDEST after it has read knows that it has read something else; LAST moves when all of a message is
// there. A publisher that dies before LAST has moved has published nothing, and the next one begins at the same place.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { allocate } from "../../ffi/memory/storage.ts";
import { fenceAfterStore } from "../../ffi/memory/ordered_load.ts";
import type { Message } from "../message/outgoing.ts";
import { BLOCK, blocksFor, DATA_OFFSET, MESSAGE_HEADER, W_LAST, W_OLDEST } from "./layout.ts";
import type { TopicMemory } from "./memory.ts";
import { positionOf, storePosition } from "./position.ts";
import type { Turns } from "./turns.ts";

/** Bytes of the file that are allocated at a time. */
const CHUNK = 256 << 10;

/** What is written by one publisher. */
export class TopicWriter {
  readonly #memory: TopicMemory;
  readonly #turns: Turns;
  readonly #path: string;
  readonly #capacity: number;
  /** The newest message as of this publisher's last look, where the next one begins, and its number. */
  #last = -1;
  #start = 0;
  #number = 0;
  /** Bytes of the data that are known to have memory: a page that cannot be had is a fault. */
  #allocated = 0;

  constructor(memory: TopicMemory, turns: Turns, path: string) {
    this.#memory = memory;
    this.#turns = turns;
    this.#path = path;
    this.#capacity = memory.capacity;
  }

  /**
   * Publishes a message.
   *
   * @throws {IpcError} `TooLarge`; `Timeout` if another publisher was stopped in the middle of a message; `System` if the
   * file system has no room. Nothing was published then.
   */
  publish(message: Message): void {
    const { length } = message;
    if (length > this.#capacity) {
      throw new IpcError(
        "TooLarge",
        `Cannot publish ${length} bytes to "${this.#path}": it keeps ${this.#capacity} bytes, and no message may be ` +
          "larger; make it with a larger capacity, or publish less",
      );
    }
    const turns = this.#turns;
    turns.take();
    try {
      step("turn-taken");
      this.#write(message, length);
    } finally {
      turns.give();
    }
  }

  #write(message: Message, length: number): void {
    const { words, dataWords, blocks } = this.#memory;
    // Plain loads: nobody else stores these while it is this publisher's turn, and taking it was a barrier.
    if (words[W_LAST] !== (this.#last | 0) || positionOf(words[W_LAST]!, words[W_LAST + 1]!) !== this.#last) {
      this.#lookAtLast();
    }
    const start = this.#start, number = this.#number;
    const needed = blocksFor(length), first = start & (blocks - 1);
    if (this.#allocated < blocks * BLOCK) this.#allocate(first, needed);
    this.#makeRoom(start, start + needed - blocks);
    step("room-made");
    const h = (first * BLOCK) >>> 2;
    dataWords[h] = length;
    dataWords[h + 1] = 0;
    dataWords[h + 2] = number | 0;
    dataWords[h + 3] = Math.floor(number / 2 ** 32);
    message.copyTo(this.#memory.data, this.#memory.dataLongs, first * BLOCK + MESSAGE_HEADER);
    step("copied");
    storePosition(words, W_LAST, start);
    this.#last = start;
    this.#start = start + needed;
    this.#number = number + 1;
    step("published");
  }

  /** Another publisher has published since. */
  #lookAtLast(): void {
    const { words, dataWords, blocks } = this.#memory;
    const last = positionOf(words[W_LAST]!, words[W_LAST + 1]!);
    if (last < 0) {
      this.#last = -1;
      this.#start = this.#number = 0;
      return;
    }
    const h = ((last & (blocks - 1)) * BLOCK) >>> 2;
    // Each field once: others can write to the memory, too.
    const length = dataWords[h]!, number = positionOf(dataWords[h + 2]!, dataWords[h + 3]!) + 1;
    if (!(length >= 0 && length <= this.#capacity && last < 2 ** 52 && number > 0 && number < 2 ** 52)) {
      throw new IpcError(
        "Corrupt",
        `Cannot publish to "${this.#path}": its newest message claims ${length} bytes and the number ${number - 1}; ` +
          "another publisher has damaged it; remove it",
      );
    }
    this.#last = last;
    this.#start = last + blocksFor(length);
    this.#number = number;
  }

  /** Gives up the messages whose blocks are about to be written to: those before `until`. */
  #makeRoom(start: number, until: number): void {
    const { words, dataWords, blocks } = this.#memory;
    const oldest = positionOf(words[W_OLDEST]!, words[W_OLDEST + 1]!);
    if (oldest >= until && oldest <= start && start - oldest <= blocks) return;
    // What is no position of the topic is a position behind everything: nothing of it is relied on.
    let position = oldest >= 0 && oldest <= start && start - oldest <= blocks ? oldest : start;
    while (position < until && position < start) {
      const length = dataWords[((position & (blocks - 1)) * BLOCK) >>> 2]!;
      position = length >= 0 && length <= this.#capacity ? position + blocksFor(length) : start;
    }
    position = Math.min(position, start);
    if (position === oldest) return;
    storePosition(words, W_OLDEST, position);
    fenceAfterStore(); // who sees anything of what is written now sees this as well
  }

  #allocate(first: number, needed: number): void {
    const { fd, blocks } = this.#memory;
    const size = blocks * BLOCK;
    // The first time round, or a message that goes on at the beginning: then all of it.
    const end = (first + needed) * BLOCK;
    if (end <= this.#allocated) return;
    const wanted = Math.min(Math.ceil(end / CHUNK) * CHUNK, size);
    for (const until of [wanted, Math.min(end, size)]) {
      try {
        const what = `Cannot publish to "${this.#path}": its file system must have room for it`;
        allocate(fd.fd, DATA_OFFSET + this.#allocated, until - this.#allocated, what);
        this.#allocated = until;
        return;
      } catch (error) {
        if (until <= end) throw error; // there is no room for this very message
      }
    }
  }
}
