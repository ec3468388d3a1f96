// Keeps a peer from choosing keys that make a Map or a Set slow.
//
// The engine finds numbers, big integers and texts of digits by hashes that anybody can foretell, so a message can be made of
// keys that all have one: 30,000 of them take 5 seconds instead of 5 ms. Nothing tells how the engine counts, so what is
// looked at is the time that adding a key takes, beside the time that a good one takes on this machine. What is counted of one
// key is bounded, so a process that was stopped in between is not taken for an attack.

/** Keys of a Map or Set from which on it is looked after; fewer cannot be slow. */
export const MANY_KEYS = 32;
/** How much longer than a good key a slow one takes, at least; and milliseconds that are slow on no machine. */
const TIMES = 20, NEVER_SLOW = 0.002;
/** Most milliseconds that are counted of one key. */
const MOST = 0.5;
/** Milliseconds that slow keys may take in a message: so many, and so many for each of its bytes. */
const ALLOWED = 5, ALLOWED_PER_BYTE = 0.0005;

/** What the slow keys of one message have taken. */
export interface KeyTime {
  /** Bytes of the message. */
  readonly length: number;
  /** Milliseconds. */
  slow: number;
}

/** From how many milliseconds on a key is slow; found out when it is first needed. */
let slowFrom = 0;

/**
 * A key was added to a Map or Set that has many.
 *
 * @param began When that began, by `performance.now()`.
 * @throws {Error} If the keys of the message were chosen to be slow.
 */
export function keyAdded(began: number, time: KeyTime): void {
  const took = performance.now() - began;
  if (took <= NEVER_SLOW) return;
  if (slowFrom === 0) slowFrom = Math.max(NEVER_SLOW, TIMES * goodKeyTime());
  if (took <= slowFrom) return;
  time.slow += Math.min(took, MOST);
  if (time.slow > ALLOWED + ALLOWED_PER_BYTE * time.length) {
    throw new Error("the keys of a Map or Set were chosen to be slow");
  }
}

/** What a good key takes, at best of some. */
function goodKeyTime(): number {
  const set = new Set<number>();
  let quickest = Infinity;
  for (let i = 0; i < 256; i++) {
    const began = performance.now();
    set.add(i);
    const took = performance.now() - began;
    if (took > 0) quickest = Math.min(quickest, took);
  }
  return Math.min(quickest, 1);
}
