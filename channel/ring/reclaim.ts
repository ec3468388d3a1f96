// An empty ring is brought back to its first blocks, and memory that a burst took is given back to the system.
import { WARM_BLOCKS } from "./layout.ts";
import type { RecordReader } from "./record_reader.ts";
import { RingTrim } from "./trim.ts";

/** What a consumer does with a ring that it finds empty. */
export class Reclaim {
  readonly #records: RecordReader;
  readonly #blocks: number;
  readonly #trim: RingTrim | undefined;
  readonly #named: boolean;

  /** @param named Whether the ring is in a file that has a name. */
  constructor(records: RecordReader, named: boolean) {
    this.#records = records;
    this.#blocks = records.memory.blocks;
    this.#trim = RingTrim.of(records.memory, records.position);
    this.#named = named;
  }

  /**
   * Rewinds the ring, and gives back what a burst took, if it is empty. All blocks are claimed meanwhile, so that no
   * producer can write: to one that comes just then, the ring looks full.
   *
   * @returns Milliseconds after which to try it, as it was done a moment ago; 0 if there is nothing to do.
   */
  run(): number {
    this.rewind();
    const trim = this.#trim, records = this.#records;
    if (trim === undefined || records.hasLent) return 0;
    const due = trim.due(records.position);
    if (due === undefined || due > 0) return due ?? 0;
    const until = (records.position + this.#blocks) | 0;
    if (!records.claimEmpty(until)) return 0; // a message is on its way
    trim.giveBack(until, this.#named);
    records.skipTo(until);
    return 0;
  }

  /**
   * An empty ring goes on at its first blocks, which are in the caches, and are all the memory that a channel takes which
   * never holds much. Here and not in the producer, as the blocks that are passed over are free again at once.
   */
  rewind(): void {
    const records = this.#records, { position } = records, index = position & (this.#blocks - 1);
    if (index <= WARM_BLOCKS || records.hasLent) return;
    this.#trim?.uses(index);
    const until = (position + this.#blocks - index) | 0;
    if (records.claimEmpty(until)) records.skipTo(until);
  }
}
