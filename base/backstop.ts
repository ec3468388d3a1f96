// What is to be done about objects that a program has forgotten.

/** Objects that are kept before they are registered, where the caller does not say. */
const MOST_FRESH = 16;

/**
 * A `FinalizationRegistry` for objects that most often end soon after they were made: to register and unregister one costs
 * 0.12 µs, and more when garbage is collected. So only those are registered that are left after two rounds of microtasks:
 * a program that awaits an object has it after the first.
 */
export class Backstop<Held> {
  readonly #registry: FinalizationRegistry<Held>;
  readonly #most: number;
  /** Made a moment ago, and not registered yet; and what is held for each. */
  readonly #fresh: object[] = [];
  readonly #held: Held[] = [];
  /** How many of them, at the front, are left from the last round. */
  #older = 0;
  /** Where the one is, perhaps, that ends next: many end in the order in which they were made. */
  #next = 0;
  #isScheduled = false;
  readonly #endRound = () => {
    this.#register(this.#older);
    this.#older = this.#fresh.length;
    this.#isScheduled = this.#older > 0;
    if (this.#isScheduled) queueMicrotask(this.#endRound);
  };

  /**
   * @param act What is done for an object that was forgotten. What is held must not refer to the object.
   * @param most How many objects are kept before they are registered; those of one message should fit.
   */
  constructor(act: (held: Held) => void, most: number = MOST_FRESH) {
    this.#registry = new FinalizationRegistry(act);
    this.#most = most;
  }

  /** Watches an object. */
  watch(object: object, held: Held): void {
    if (this.#fresh.length === this.#most) this.#register(this.#most);
    this.#fresh.push(object);
    this.#held.push(held);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(this.#endRound);
  }

  /** The object has ended, or is forgotten without anything to be done. */
  unwatch(object: object): void {
    const fresh = this.#fresh, newest = fresh.length - 1;
    const at = fresh[newest] === object
      ? newest
      : fresh[this.#next] === object
      ? this.#next
      : fresh.lastIndexOf(object);
    if (at < 0) {
      this.#registry.unregister(object);
      return;
    }
    this.#next = at + 1;
    // The last one takes its place: their order does not matter, but for the older ones being at the front.
    if (at < this.#older) this.#move(--this.#older, at);
    this.#move(newest, Math.max(at, this.#older));
    fresh.pop();
    this.#held.pop();
  }

  #move(from: number, to: number): void {
    if (from === to) return;
    this.#fresh[to] = this.#fresh[from]!;
    this.#held[to] = this.#held[from]!;
  }

  /** Registers so many, from the front. */
  #register(count: number): void {
    if (count === 0) return;
    const objects = this.#fresh.splice(0, count), held = this.#held.splice(0, count);
    for (const [i, object] of objects.entries()) this.#registry.register(object, held[i]!, object);
    this.#older = 0;
  }
}
