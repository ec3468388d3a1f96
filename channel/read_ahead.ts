// Messages that wait in a ring one behind the other, copied out of it together.
import { copyOfItsOwn } from "./byte_pool.ts";
import { CELL } from "./ring_layout.ts";
import type { RingReceiver } from "./ring_receiver.ts";

/** Cells that are copied at most. No ring has fewer. */
const SPAN = (64 << 10) / CELL;

/** For fewer messages it does not pay. */
const FEW = 4;

/** Bytes of a message that is worth it: shorter ones cost little to copy by themselves, of longer ones few fit. */
const SHORTEST = 192, LONGEST = SPAN / FEW * CELL;

const NONE = new ArrayBuffer(0);

/**
 * The bytes of the next messages of a ring.
 *
 * One copy for many is a third faster than one each: memory for all is taken once, and not cleared. Nothing else is done
 * ahead of time: each message stays in the ring, and is another receiver's if this one dies, until its turn has come. What
 * is committed does not change before it is released, so the bytes hold until then.
 */
export class ReadAhead {
  #bytes = NONE;
  /** Position of their first cell in the ring. */
  #first = 0;

  /**
   * The message that a ring has found.
   *
   * @returns Its bytes, whose memory is shared with others; `undefined` if a copy of it alone is better.
   */
  take(ring: RingReceiver): Uint8Array<ArrayBuffer> | undefined {
    const { length, position } = ring;
    const from = ((position - this.#first) | 0) * CELL, until = from + ring.cells * CELL;
    const { byteLength } = this.#bytes; // 0 also if a program has detached them, with a message that it had
    if (from >= 0 && until <= byteLength) {
      const message = new Uint8Array(this.#bytes, from, length);
      if (until === byteLength) this.drop();
      return message;
    }
    this.drop();
    if (length < SHORTEST || length > LONGEST) return undefined;
    const cells = ring.committed(SPAN);
    if (cells < FEW * ring.cells) return undefined;
    this.#bytes = copyOfItsOwn(ring.memory.data, ring.offset, cells * CELL).buffer;
    this.#first = position;
    return new Uint8Array(this.#bytes, 0, length);
  }

  /** Forgets them. Needed when messages go another way: 2^32 cells later a position means another one. */
  drop(): void {
    this.#bytes = NONE;
  }
}
