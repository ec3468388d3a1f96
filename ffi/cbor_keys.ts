// Keeps a peer from choosing keys that make a Map or a Set slow.
//
// The engine finds numbers, big integers and texts of digits by hashes that anybody can foretell, so a message can be made of
// keys that all have one: 30,000 of them take 5 seconds instead of 5 ms. Nothing tells how the engine counts, so what is
// looked at is time: now and then, and if it was much, once more with the same keys, beside keys that are good. A process
// that was stopped in between, or a slow machine, is not taken for an attack.

/** Keys between two looks at the clock. */
const LOOK = 512;
/** Milliseconds that so many keys do not take if they are good: 2 µs for each. */
const SUSPICIOUS = 1;
/** Keys that are looked up once more, how often, and how much slower than good ones they must be. */
const PROBES = 64, TRIES = 3, TIMES = 50;

const GOOD = Array.from({ length: PROBES }, (_, i) => i);
const good = new Set<number>();

/** Looks after one Map or Set that is filled from a message. */
export class KeyGuard {
  readonly #keyed: { has(key: unknown): boolean };
  #count = 0;
  #since = 0;
  #last: unknown[] = [];

  /** @param keyed The Map or Set. */
  constructor(keyed: { has(key: unknown): boolean }) {
    this.#keyed = keyed;
  }

  /**
   * A key was added.
   *
   * @throws {Error} If the keys were chosen to be slow.
   */
  added(key: unknown): void {
    const place = ++this.#count % LOOK;
    if (place === 0) {
      if (this.#since > 0 && performance.now() - this.#since > SUSPICIOUS) this.#probe();
      this.#since = performance.now();
      this.#last = [];
    } else if (place >= LOOK - PROBES) {
      this.#last.push(key);
    }
  }

  #probe(): void {
    if (good.size === 0) GOOD.forEach((key) => good.add(key));
    let slow = Infinity, quick = Infinity;
    for (let i = 0; i < TRIES; i++) {
      slow = Math.min(slow, timeOf(this.#keyed, this.#last));
      quick = Math.min(quick, timeOf(good, GOOD));
    }
    if (slow * LOOK > SUSPICIOUS * this.#last.length && slow > TIMES * quick) {
      throw new Error("the keys of a Map or Set were chosen to be slow");
    }
  }
}

function timeOf(keyed: { has(key: unknown): boolean }, keys: readonly unknown[]): number {
  const began = performance.now();
  for (const key of keys) keyed.has(key);
  return performance.now() - began;
}
