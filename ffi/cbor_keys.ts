// Keeps a peer from choosing keys that make a Map or a Set slow.
//
// The engine finds numbers, big integers and texts of digits by hashes that anybody can foretell, so a message can be made of
// keys that all have one: 30,000 of them take 5 seconds instead of 5 ms. Nothing tells how the engine counts, so what is
// looked at is time: if adding keys was slow, some of those that are there are looked up once more. That is done several times
// and the quickest counts, so a process that was stopped in between is not taken for an attack.

/** Keys between two looks at the clock. */
const LOOK = 512;
/** Milliseconds that so many good keys hardly ever take. */
const SUSPICIOUS = 1;
/** Keys that are looked up once more, and how often. */
const PROBES = 64, TRIES = 3;
/** Milliseconds that the keys of a message may take: so many, and so many for each of its bytes. */
const ALLOWED = 5, ALLOWED_PER_BYTE = 0.001;

/** What the keys of one message have taken, by all that is known. */
export interface KeyTime {
  /** Bytes of the message. */
  readonly length: number;
  /** Milliseconds. */
  keys: number;
}

/** Looks after one Map or Set that is filled from a message. */
export class KeyGuard {
  readonly #keyed: { has(key: unknown): boolean };
  readonly #time: KeyTime;
  /** Of all keys so far, each with the same chance. */
  #sample: unknown[] | undefined;
  #count = 0;
  #since = 0;
  /** What of the time is this one's. */
  #mine = 0;

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
    const count = ++this.#count;
    // Not foreseeable, or a peer would put good keys there. The first ones are always taken.
    this.#sample ??= [];
    if (count <= PROBES) this.#sample.push(key);
    else if (Math.random() * count < PROBES) this.#sample[Math.floor(Math.random() * PROBES)] = key;
    if (count % LOOK !== 0) return;
    const now = performance.now();
    if (this.#since > 0 && now - this.#since > SUSPICIOUS) this.#probe();
    this.#since = performance.now();
  }

  #probe(): void {
    let quickest = Infinity;
    for (let i = 0; i < TRIES; i++) quickest = Math.min(quickest, timeOf(this.#keyed, this.#sample!));
    // A key that is there is found half-way, one that is added is looked for to the end, and there were half as many so far.
    const mine = quickest / PROBES * this.#count;
    this.#time.keys += mine - this.#mine;
    this.#mine = mine;
    if (this.#time.keys > ALLOWED + ALLOWED_PER_BYTE * this.#time.length) {
      throw new Error("the keys of a Map or Set were chosen to be slow");
    }
  }
}

function timeOf(keyed: { has(key: unknown): boolean }, keys: readonly unknown[]): number {
  const began = performance.now();
  for (const key of keys) keyed.has(key);
  return performance.now() - began;
}
