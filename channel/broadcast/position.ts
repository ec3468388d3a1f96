// Positions in the memory of a topic: 64 bits, of which JavaScript counts 53, in two words.
//
// One publisher at a time stores them, as one, so that nobody sees half of a change; and they only ever grow. Who loads
// them one half after the other may see both sides of a change of the upper half, once in 2^32 blocks. Which half comes
// first decides what a mistake looks like, and there is a use for either.
import { loadAfterReads, loadOrdered } from "../../ffi/memory/ordered_load.ts";

const HALF = 2 ** 32;

/** Looks at a position that changes all the time, until both halves belong together. */
const RELOADS = 1000;

// Two words as one number, without arithmetic on bigints.
const pair = new Int32Array(2), pairAsOne = new BigInt64Array(pair.buffer);

/** A position from its halves. */
export function positionOf(low: number, high: number): number {
  return high * HALF + (low >>> 0);
}

/** A position as it was at one moment. */
export function loadPosition(words: Int32Array, at: number): number {
  for (let i = 0;; i++) {
    const high = Atomics.load(words, at + 1), low = Atomics.load(words, at);
    if (Atomics.load(words, at + 1) === high || i === RELOADS) return positionOf(low, high);
  }
}

/** A position that may seem to lie further back than it does. */
export function loadAtMost(words: Int32Array, at: number): number {
  const high = loadOrdered(words, at + 1);
  return positionOf(loadOrdered(words, at), high);
}

/**
 * A position that may seem to lie further ahead than it does, loaded after all that was read before.
 */
export function loadAtLeastAfterReads(words: Int32Array, at: number): number {
  const low = loadAfterReads(words, at);
  return positionOf(low, loadOrdered(words, at + 1));
}

/** Stores a position. */
export function storePosition(words: Int32Array<ArrayBuffer>, at: number, position: number): void {
  const low = position | 0, high = Math.floor(position / HALF);
  if (words[at + 1] === high) {
    Atomics.store(words, at, low);
    return;
  }
  pair[0] = low;
  pair[1] = high;
  Atomics.store(new BigInt64Array(words.buffer, words.byteOffset + at * 4, 1), 0, pairAsOne[0]!);
}
