// Keeps a peer from choosing keys that make a Map or a Set slow.
//
// The engine finds numbers, big integers and texts of digits by hashes that anybody can foretell, so a message can be made of
// keys that all have one: 30,000 of them take 5 seconds instead of 5 ms. Nothing tells how the engine counts, so what is
// looked at is time: if adding keys was slow, some of those that are there are looked up once more. That is done several times
// and the quickest counts, so a process that was stopped in between is not taken for an attack.

/** Keys of a Map or Set from which on it is looked after; fewer cannot be slow. */
export const MANY_KEYS = 32;
/** Keys of a message between two looks at the clock. */
const LOOK = 64;
/** Milliseconds that a good key hardly ever takes. */
const SUSPICIOUS = 0.002;
/** Keys that are looked up once more, and how often. */
const PROBES = 32, TRIES = 3;
/** Milliseconds that slow keys may take in a message: so many, and so many for each of its bytes. */
const ALLOWED = 5, ALLOWED_PER_BYTE = 0.0005;

/** What the keys of one message have taken. */
export interface KeyTime {
  /** Bytes of the message. */
  readonly length: number;
  /** Keys so far, in Maps and Sets that have many. */
  keys: number;
  /** Milliseconds for slow ones. */
  slow: number;
  /** When the clock was looked at. */
  since: number;
}

/** Looks after one Map or Set that is filled from a message. */
export class KeyGuard {
  readonly #keyed: { has(key: unknown): boolean };
  readonly #time: KeyTime;
  /** Of all keys so far, each with the same chance: not foreseeable, or a peer would put good keys there. */
  readonly #sample: unknown[] = [];
  #count = 0;

  /** @param keyed The Map or Set. */
  constructor(keyed: { has(key: unknown): boolean }, time: KeyTime) {
    this.#keyed = keyed;
    this.#time = time;
  }

  /**
   * A key was added.
   *
   * @throws {Error} If the keys were chosen to be slow.
   */
  added(key: unknown): void {
    const sample = this.#sample;
    if (++this.#count <= PROBES) sample.push(key);
    else if (Math.random() * this.#count < PROBES) sample[Math.floor(Math.random() * PROBES)] = key;
    const time = this.#time;
    if (++time.keys % LOOK !== 0) return;
    const took = performance.now() - time.since;
    if (time.since > 0 && took > SUSPICIOUS * LOOK && this.#isSlow()) {
      time.slow += took;
      if (time.slow > ALLOWED + ALLOWED_PER_BYTE * time.length) {
        throw new Error("the keys of a Map or Set were chosen to be slow");
      }
    }
    time.since = performance.now();
  }

  /** A key that is there is found half-way, one that is added was looked for to the end. */
  #isSlow(): boolean {
    let quickest = Infinity;
    for (let i = 0; i < TRIES; i++) quickest = Math.min(quickest, timeOf(this.#keyed, this.#sample));
    return quickest > SUSPICIOUS / 2 * this.#sample.length;
  }
}

function timeOf(keyed: { has(key: unknown): boolean }, keys: readonly unknown[]): number {
  const began = performance.now();
  for (const key of keys) keyed.has(key);
  return performance.now() - began;
}
