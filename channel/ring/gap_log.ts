// Which claims were stepped over, so that a producer that was killed can find out later whether its message was received.
import { LOGGED_GAPS, W_COMMIT, W_GAP_LOG, W_GAPS, W_READ } from "./layout.ts";

/**
 * Notes that blocks are stepped over, before READ moves behind them: if this process dies in between, the next consumer
 * notes the same gap again.
 */
export function logGap(words: Int32Array<ArrayBuffer>, position: number, blocks: number): void {
  const gaps = Atomics.load(words, W_GAPS);
  const entry = W_GAP_LOG + (gaps & (LOGGED_GAPS - 1)) * 2;
  words[entry] = position;
  words[entry + 1] = blocks;
  // pair: gap/READ. The entry, its number, then READ; who asks loads READ, then the number, then the entries.
  Atomics.store(words, W_GAPS, (gaps + 1) | 0);
}

/** How many gaps there have been. */
export function gapsOf(words: Int32Array<ArrayBuffer>): number {
  return Atomics.load(words, W_GAPS);
}

/** What became of a claim. */
export type ClaimOutcome = "sent" | "not sent" | "unknown";

/**
 * What became of a claim whose producer may have been killed before or after the commit.
 *
 * @param position Where it was.
 * @param gaps What {@linkcode gapsOf} said while the claim was held.
 */
export function outcomeOf(words: Int32Array<ArrayBuffer>, mask: number, position: number, gaps: number): ClaimOutcome {
  const word = Atomics.load(words, W_COMMIT + (position & mask));
  const committed = word > 0 || (word < 0 && (word & 1) === 0); // and no padding
  // pair: READ/word. The word, then READ; the consumer moves READ, then clears the word: with READ not beyond it, the
  // word is still what the producer made of it.
  if (((Atomics.load(words, W_READ) - position) | 0) <= 0) return committed ? "sent" : "not sent";
  // pair: gap/READ. READ, then the number, then the log.
  const since = (gapsOf(words) - gaps) | 0;
  let skipped = false;
  for (let k = 0; k < Math.min(since, LOGGED_GAPS); k++) {
    const entry = W_GAP_LOG + ((gaps + k) & (LOGGED_GAPS - 1)) * 2;
    const into = (position - words[entry]!) | 0;
    skipped ||= into >= 0 && into < words[entry + 1]!;
  }
  // The number once more: an entry that is about to be written over is that of the number before it.
  const until = (gapsOf(words) - gaps) | 0;
  if (since < 0 || until < since || until >= LOGGED_GAPS) return "unknown";
  return skipped ? "not sent" : "sent";
}
