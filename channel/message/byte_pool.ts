// Memory for received byte strings.
//
// An array of its own costs 0.4 µs in Deno, however small: V8 is built there without typed arrays on its heap. A view
// on a slab costs 25 ns. So small messages are views on a slab that they share, as Node's small Buffers are; and for
// those up to 32 KiB a slab for a few of them still pays, as clearing a larger piece of memory at once is cheaper. Beyond
// that the copying costs more than the array, and is done into memory that is not cleared first.

/** Up to this many bytes a loop that takes eight at a time beats a call. */
const BY_LONGS = 256;
/** The same over bytes. */
const BY_BYTES = 64;

class Pool {
  readonly largest: number;
  readonly #slabSize: number;
  #slab = new ArrayBuffer(0);
  #bytes = new Uint8Array(0);
  #longs = new BigInt64Array(0);
  #used = 0;

  /**
   * @param largest Longest byte string it is for.
   * @param slab Bytes to get at a time.
   */
  constructor(largest: number, slab: number) {
    this.largest = largest;
    this.#slabSize = slab;
  }

  /** Where in the slab there is room for a byte string; whatever was there before is overwritten by the caller. */
  #reserve(length: number): number {
    // Less, not equal: what is empty would fit into no bytes, and a slab has none once a program has detached it.
    const used = this.#used + length < this.#bytes.length ? this.#used : this.#renew();
    this.#used = (used + length + 7) & ~7; // so that other views on the bytes find them aligned
    return used;
  }

  // The bytes are written into the slab, and the view is made then: the compiler knows less of what is just made.

  /** Copies a record. It begins at a multiple of 64 and fills whole blocks: the rest of its last eight bytes may go along. */
  copyRecord(source: Uint8Array, longs: BigInt64Array, offset: number, length: number): Uint8Array<ArrayBuffer> {
    const used = this.#reserve(length);
    if (length <= BY_LONGS) {
      const target = this.#longs, to = used >>> 3, from = offset >>> 3, count = (length + 7) >>> 3;
      for (let i = 0; i < count; i++) target[to + i] = longs[from + i]!;
    } else {
      this.#bytes.set(source.subarray(offset, offset + length), used);
    }
    return new Uint8Array(this.#slab, used, length);
  }

  /** Copies bytes from any place, aligned or not. */
  copyBytes(source: Uint8Array, from: number, length: number): Uint8Array<ArrayBuffer> {
    const used = this.#reserve(length);
    if (length <= BY_BYTES) {
      const target = this.#bytes;
      for (let i = 0; i < length; i++) target[used + i] = source[from + i]!;
    } else {
      this.#bytes.set(source.subarray(from, from + length), used);
    }
    return new Uint8Array(this.#slab, used, length);
  }

  #renew(): number {
    this.#slab = new ArrayBuffer(this.#slabSize);
    this.#bytes = new Uint8Array(this.#slab);
    this.#longs = new BigInt64Array(this.#slab);
    return this.#used = 0;
  }
}

const small = new Pool(2 << 10, 64 << 10);
const medium = new Pool(32 << 10, 256 << 10);

/** The C library raises its limits to the largest piece of memory that was freed, up to 32 MiB with what it adds. */
const LARGEST_THAT_COUNTS = (32 << 20) - (64 << 10);

let keeps = false;

/**
 * Has the C library keep freed memory for the next message.
 *
 * V8 has its memory from there. At first a piece of 128 KiB or more is mapped and unmapped again, or returned from the
 * end of the heap, so that the next message meets every page for the first time: 1.7 GB/s instead of 12, for as long as
 * chance will have it. Freeing one large piece once, of which no page was touched, ends that, for the whole process.
 */
function keepMemory(): void {
  keeps = true;
  try {
    new ArrayBuffer(LARGEST_THAT_COUNTS).transfer(0);
  } catch {
    // There is no room for it in the address space: the message itself may well fit.
  }
}

/** A copy in memory of its own, which is not cleared before: only the constructor that takes an array leaves that out. */
export function copyOfItsOwn(source: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array<ArrayBuffer> {
  if (!keeps) keepMemory();
  return new Uint8Array(source.subarray(from, from + length));
}

/**
 * A copy of part of a ring's data.
 *
 * @param offset In bytes, a multiple of 8.
 * @returns The copy; up to 32 KiB its `buffer` is shared with others.
 */
export function copyOut(
  source: Uint8Array<ArrayBuffer>,
  sourceLongs: BigInt64Array,
  offset: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  if (length <= small.largest) return small.copyRecord(source, sourceLongs, offset, length);
  if (length <= medium.largest) return medium.copyRecord(source, sourceLongs, offset, length);
  return copyOfItsOwn(source, offset, length);
}

/** The same from any place, aligned or not. */
export function copyBytes(source: Uint8Array<ArrayBuffer>, from: number, length: number): Uint8Array<ArrayBuffer> {
  if (length <= small.largest) return small.copyBytes(source, from, length);
  return length <= medium.largest ? medium.copyBytes(source, from, length) : copyOfItsOwn(source, from, length);
}
