// Memory that a burst took is given back to the system once the burst is over.
import { memoryOf, punchHole } from "../../ffi/memory/storage.ts";
import { BLOCK, dataOffset, W_COMMIT, W_TRIMS } from "./layout.ts";
import type { RingMemory } from "./memory.ts";

/** Bytes at the beginning of the data that always stay: an emptied ring returns to them. */
const KEEP = 1 << 20;

/** A ring that holds less than this beyond what stays is left alone. */
const BURST = 4 << 20;

/** Milliseconds between two times: what is given back must be faulted in again, 0.2 ms a MiB. */
const PERIOD = 1000;

/**
 * Milliseconds after which what was used is not in use any more. (Frames of 12 MB in a stream were held up for 10 ms once a
 * second, while their memory was given back and faulted in again.)
 */
const IN_USE = 250;

/** What a ring's consumer knows about memory to give back. */
export class RingTrim {
  readonly #memory: RingMemory;
  /** Position from which on use was not looked at. */
  #from: number;
  #last = -Infinity;
  /** When blocks behind those that stay were used last; and up to which one they have been, since memory was given back. */
  #usedAt = -Infinity;
  #used = 0;

  private constructor(memory: RingMemory, head: number) {
    this.#memory = memory;
    this.#from = head;
  }

  /** For a ring that is large enough to be worth it. */
  static of(memory: RingMemory, head: number): RingTrim | undefined {
    return memory.blocks * BLOCK > KEEP + BURST ? new RingTrim(memory, head) : undefined;
  }

  /** The blocks up to this one were in use until now. */
  uses(index: number): void {
    if (index <= KEEP / BLOCK) return;
    this.#usedAt = performance.now();
    this.#used = Math.max(this.#used, index);
  }

  /**
   * Whether there is memory to give back, for a ring that is empty at `head`.
   *
   * @returns Milliseconds after which to do it, 0 for now; `undefined` if there is nothing to do.
   */
  due(head: number): number | undefined {
    // By one subtraction, as nearly always. Going back to the first blocks counts as well: then the system is asked.
    if (((head - this.#from) >>> 0) < BURST / BLOCK) return undefined;
    const now = performance.now(), left = this.#last + PERIOD - now;
    if (left > 0) return Math.ceil(left);
    const kept = this.#kept(now);
    if (memoryOf(this.#memory.fd.fd) > kept + BURST) return 0;
    if (kept === KEEP) {
      this.#from = head;
      return undefined;
    }
    this.#last = now;
    this.#used = 0;
    return PERIOD;
  }

  /** Bytes at the beginning that are not to be given back now: if there is a stream of messages, what it uses. */
  #kept(now: number): number {
    return this.#last > 0 && now - this.#usedAt < IN_USE ? Math.max(KEEP, this.#used * BLOCK) : KEEP;
  }

  /**
   * Gives back all but the first blocks, and those of a stream. Every block must belong to the caller, and no commit word be
   * set; both the data and the commit words read as zeros afterwards.
   *
   * @param head The position from which the ring goes on.
   * @param named Whether it is a ring in a file: there the commit words stay, as anybody may look at them at any time, and
   * producers are told by the number of times.
   */
  giveBack(head: number, named: boolean): void {
    const { blocks, fd, words } = this.#memory, now = performance.now();
    const kept = this.#kept(now), keep = kept / BLOCK;
    const data = dataOffset(blocks);
    if (named) Atomics.add(words, W_TRIMS, 1); // if this process dies in between
    else punchHole(fd.fd, (W_COMMIT + keep) * 4, (blocks - keep) * 4);
    punchHole(fd.fd, data + kept, blocks * BLOCK - kept);
    // pair: TRIMS/HEAD. TRIMS changes, then HEAD moves; a producer loads HEAD, then TRIMS: if it sees that there is room, it
    // sees that what it knows to be allocated may be a hole by now.
    if (named) Atomics.add(words, W_TRIMS, 1);
    if (kept === KEEP) this.#from = head;
    this.#last = now;
    this.#used = 0;
  }
}
