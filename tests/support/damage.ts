// Damages the memory of a ring in the ways that a hostile peer would choose.
import {
  CLAIM_BLOCKS,
  CLAIM_POSITION,
  SLOT_WORDS,
  W_BELL,
  W_COMMIT,
  W_CONSUMER,
  W_HEAD,
  W_READ,
  W_SLOTS,
  W_SPACE,
  W_TAIL,
} from "../../channel/ring/layout.ts";
import type { RingMemory } from "../../channel/ring/memory.ts";
import type { Random } from "./open_channel.ts";

/** Values that are more likely to do harm than others. */
const NASTY = [0, 1, -1, 2, -2, 3, -3, 63, 64, 65, 1023, 1024, 1025, 65_536, -65_536, 65_537, 0x7fffffff, -0x80000000];

/** Damages one place. */
export function damage({ words, data, blocks }: RingMemory, random: Random): void {
  const near = (word: number) => {
    // Close to where senders and receiver are at work.
    const at = Atomics.load(words, random.below(2) === 0 ? W_HEAD : W_TAIL) + random.below(8) - 2;
    return word + (at & (blocks - 1));
  };
  switch (random.below(10)) {
    case 0:
    case 1:
      return write(words, random.of([W_TAIL, W_HEAD, W_BELL, W_SPACE, W_READ, W_CONSUMER]), random);
    case 2:
      return write(words, random.below(128), random); // anything in the header
    case 3:
      return write(
        words,
        W_SLOTS + random.below(4) * SLOT_WORDS + random.of([0, 1, 2, CLAIM_POSITION, CLAIM_BLOCKS, 6]),
        random,
      );
    case 4:
      return write(words, W_SLOTS + random.below(1024 * SLOT_WORDS), random);
    case 5:
    case 6:
    case 7:
      return write(words, near(W_COMMIT), random);
    case 8:
      return write(words, W_COMMIT + random.below(blocks), random);
    default:
      data[(near(0) * 64 + random.below(64)) % (blocks * 64)] = random.below(256);
  }
}

function write(words: Int32Array<ArrayBuffer>, at: number, random: Random): void {
  const old = Atomics.load(words, at);
  const value = random.of([
    () => old ^ (1 << random.below(32)),
    () => old + random.below(20) - 10,
    () => random.of(NASTY),
    () => random.below(0xffffffff) | 0,
  ])();
  Atomics.store(words, at, value);
}
