// How long an isolate waits for rings that receivers are about to send: it blocks meanwhile, and a hostile peer may give it many
// senders whose receivers never do.

/** Milliseconds for one ring, or for all of them in a row: it needs a few microseconds, if its process has a processor. */
const RING_TIME = 100;

/** What of the time may be spent on such waits, when that is used up. */
const SHARE = 0.05;

/** Milliseconds for one ring in any case. */
const LEAST = 1;

let left = RING_TIME, countedAt = 0;

/** Milliseconds that the next wait may take. */
export function patienceNow(): number {
  const now = performance.now();
  left = Math.min(RING_TIME, left + (now - countedAt) * SHARE);
  countedAt = now;
  return Math.max(LEAST, left);
}

/** A wait has taken so many milliseconds. */
export function waited(milliseconds: number): void {
  left = Math.max(0, left - milliseconds);
}
