// Memory for small messages that a program has until it gives them back.
//
// A view on the ring itself that can be ended is a buffer of its own over shared memory: 0.9 µs to make and to end, unless
// one was kept for that very place. So up to 1 KiB what the program has is private memory, copied from the ring, or to it.
// To end it the memory moves to another buffer, which empties every view on the one that the program had: 0.2 µs, and the
// next message has memory at once.

/** Messages of up to so many bytes are lent as copies. */
export const SMALL = 1024;

/** Up to this many bytes a loop that takes eight at a time beats a call. */
const BY_LONGS = 256;

/** Buffers that are kept for the next messages. */
const MOST_SPARE = 64;

/** What is in them is left over from other messages. */
const spare: ArrayBuffer[] = [];

/** Small memory that a program has. */
export class SmallMemory {
  /** What the program has. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Kept apart: a program may take that of the view away. */
  readonly #buffer: ArrayBuffer;
  readonly #longs: BigInt64Array<ArrayBuffer>;

  private constructor(length: number) {
    this.#buffer = spare.pop() ?? new ArrayBuffer(SMALL);
    this.#longs = new BigInt64Array(this.#buffer);
    this.bytes = new Uint8Array(this.#buffer, 0, length);
  }

  // Records begin at a multiple of 64 and fill whole blocks: the rest of their last eight bytes may go along.

  /** A copy of a record. */
  static copyOf(data: Uint8Array<ArrayBuffer>, dataLongs: BigInt64Array, offset: number, length: number): SmallMemory {
    const memory = new SmallMemory(length);
    if (length <= BY_LONGS) {
      const longs = memory.#longs, from = offset >>> 3, count = (length + 7) >>> 3;
      for (let i = 0; i < count; i++) longs[i] = dataLongs[from + i]!;
    } else {
      memory.bytes.set(data.subarray(offset, offset + length));
    }
    return memory;
  }

  /** Memory of zeros: what other messages have left in it is nothing for a peer. */
  static cleared(length: number): SmallMemory {
    const memory = new SmallMemory(length);
    if (length <= BY_LONGS) {
      const longs = memory.#longs, count = (length + 7) >>> 3;
      for (let i = 0; i < count; i++) longs[i] = 0n;
    } else {
      memory.#longs.fill(0n, 0, (length + 7) >>> 3);
    }
    return memory;
  }

  /** Whether it was given back, or transferred by the program. */
  get isGone(): boolean {
    return this.#buffer.byteLength === 0;
  }

  /** Copies the first bytes to a record. */
  copyTo(data: Uint8Array<ArrayBuffer>, dataLongs: BigInt64Array, offset: number, length: number): void {
    if (length <= BY_LONGS) {
      const longs = this.#longs, to = offset >>> 3, count = (length + 7) >>> 3;
      for (let i = 0; i < count; i++) dataLongs[to + i] = longs[i]!;
    } else {
      data.set(length === this.bytes.length ? this.bytes : this.bytes.subarray(0, length), offset);
    }
  }

  /** Empties every view on it, and keeps the memory for another message. Harmless the second time. */
  end(): void {
    if (this.isGone) return;
    const memory = this.#buffer.transferToFixedLength();
    if (spare.length < MOST_SPARE) spare.push(memory);
  }
}
