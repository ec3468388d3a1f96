// Messages that wait in a ring one behind the other, copied out of it together.
import { copyOfItsOwn } from "./byte_pool.ts";
import { BLOCK } from "../ring/layout.ts";
import type { RingConsumer } from "../ring/consumer.ts";

/** Blocks that are copied at most. No ring has fewer. */
const SPAN = (64 << 10) / BLOCK;

/** How many times the blocks of the first message a copy for many must hold to be worth it. */
const FEW = 4;

/** Shorter messages cost little to copy by themselves. */
const SHORTEST = 192;

/** Blocks of the longest message that goes along with others. */
const LONGEST = SPAN / FEW;

/** After a message went another way, how many are copied by themselves: a copy for many would be in vain again. */
const ALONE = 16;

const NONE = new ArrayBuffer(0);

/**
 * The bytes of the next messages of a ring.
 *
 * One copy for many is a third faster than one each: memory for all is taken once, and not cleared. Nothing else is done
 * ahead of time: each message stays in the ring, and is another receiver's if this one dies, until its turn has come. What
 * honest senders have committed does not change before it is released, so the bytes hold until then.
 */
export class ReadAhead {
  #bytes = NONE;
  /** Position of their first block in the ring. */
  #first = 0;
  /** How many messages are still copied by themselves. */
  #alone = 0;

  /**
   * The message that a ring has found.
   *
   * @returns Its bytes, whose memory is shared with others; `undefined` if a copy of it alone is better.
   */
  take(ring: RingConsumer): Uint8Array<ArrayBuffer> | undefined {
    const { length, position } = ring;
    const from = ((position - this.#first) | 0) * BLOCK, until = from + ring.blocks * BLOCK;
    const { byteLength } = this.#bytes; // 0 also if a program has detached them, with a message that it had
    if (from >= 0 && until <= byteLength) {
      const message = new Uint8Array(this.#bytes, from, length);
      if (until === byteLength) this.#bytes = NONE;
      return message;
    }
    this.#bytes = NONE;
    if (this.#alone > 0) {
      this.#alone--;
      return undefined;
    }
    if (length < SHORTEST || ring.blocks > LONGEST) return undefined;
    const blocks = ring.committed(SPAN, LONGEST);
    if (blocks < FEW * ring.blocks) return undefined;
    try {
      this.#bytes = copyOfItsOwn(ring.memory.data, ring.offset, blocks * BLOCK).buffer;
    } catch {
      return undefined; // no memory for as many: there may be for one
    }
    this.#first = position;
    return new Uint8Array(this.#bytes, 0, length);
  }

  /**
   * Forgets the bytes, as a message is received in another way. Not only to save memory: positions come round, and mean
   * other messages then.
   */
  pass(): void {
    this.#bytes = NONE;
    this.#alone = ALONE;
  }
}
