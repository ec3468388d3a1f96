// The body of a large message whose reading was interrupted by a time-out: the next call goes on where that one stopped.
import type { MemoryFileReader } from "../../ffi/memory/memory_file.ts";

/** Which body it is: the position of its record, and what stands in the record's header. */
export interface BodyIdentity {
  readonly position: number;
  readonly slot: number;
  readonly counter: number;
  readonly length: number;
}

/** What one consumer has read of the body of its next message. */
export class UnreadBody {
  #reader: MemoryFileReader | undefined;
  #of: BodyIdentity | undefined;

  /** What was read before of a body, if it was that one. Forgets it. */
  take({ position, slot, counter, length }: BodyIdentity): MemoryFileReader | undefined {
    const reader = this.#reader, of = this.#of;
    this.#reader = this.#of = undefined;
    if (of === undefined || of.position !== position || of.length !== length) return undefined;
    return of.slot === slot && of.counter === counter ? reader : undefined;
  }

  /** Keeps what was read of it, for the next call. */
  keep(reader: MemoryFileReader, of: BodyIdentity): void {
    this.#reader = reader;
    this.#of = of;
  }
}
