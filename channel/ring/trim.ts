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

/** What a ring's consumer knows about memory to give back. */
export class RingTrim {
  readonly #memory: RingMemory;
  /** Position from which on use was not looked at. */
  #from: number;
  #last = -Infinity;

  private constructor(memory: RingMemory, head: number) {
    this.#memory = memory;
    this.#from = head;
  }

  /** For a ring that is large enough to be worth it. */
  static of(memory: RingMemory, head: number): RingTrim | undefined {
    return memory.blocks * BLOCK > KEEP + BURST ? new RingTrim(memory, head) : undefined;
  }

  /**
   * Whether there is memory to give back, for a ring that is empty at `head`.
   *
   * @returns Milliseconds after which to do it, 0 for now; `undefined` if there is nothing to do.
   */
  due(head: number): number | undefined {
    // By one subtraction, as nearly always. Going back to the first blocks counts as well: then the system is asked.
    if (((head - this.#from) >>> 0) < BURST / BLOCK) return undefined;
    const left = this.#last + PERIOD - performance.now();
    if (left > 0) return Math.ceil(left);
    if (memoryOf(this.#memory.fd.fd) > KEEP + BURST) return 0;
    this.#from = head;
    return undefined;
  }

  /**
   * Gives back all but the first blocks. Every block must belong to the caller, and no commit word be set; both the
   * data and the commit words read as zeros afterwards.
   *
   * @param head The position from which the ring goes on.
   * @param named Whether it is a ring in a file: there the commit words stay, as anybody may look at them at any time, and
   * producers are told by the number of times.
   */
  giveBack(head: number, named: boolean): void {
    const { blocks, fd, words } = this.#memory;
    const keep = KEEP / BLOCK;
    const data = dataOffset(blocks);
    if (named) Atomics.add(words, W_TRIMS, 1); // if this process dies in between
    else punchHole(fd.fd, (W_COMMIT + keep) * 4, (blocks - keep) * 4);
    punchHole(fd.fd, data + KEEP, blocks * BLOCK - KEEP);
    // pair: TRIMS/HEAD. TRIMS changes, then HEAD moves; a producer loads HEAD, then TRIMS: if it sees that there is room, it
    // sees that what it knows to be allocated may be a hole by now.
    if (named) Atomics.add(words, W_TRIMS, 1);
    this.#from = head;
    this.#last = performance.now();
  }
}
