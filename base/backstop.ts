// What is to be done about objects that a program has forgotten.

/** Objects that are kept before they are registered, where the caller does not say. */
const MOST_FRESH = 16;

/**
 * A `FinalizationRegistry` for objects that most often have ended before the turn of the event loop in which they were made:
 * to register and unregister one costs 0.12 µs, so only those are registered that are left at the end of the turn.
 */
export class Backstop<Held> {
  readonly #registry: FinalizationRegistry<Held>;
  readonly #most: number;
  /** Made in this turn, and not registered yet; and what is held for each. */
  readonly #fresh: object[] = [];
  readonly #held: Held[] = [];
  /** Where the one is, perhaps, that ends next: many end in the order in which they were made. */
  #next = 0;
  #isScheduled = false;
  readonly #endTurn = () => {
    this.#isScheduled = false;
    this.#register();
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
    if (this.#fresh.length === this.#most) this.#register();
    this.#fresh.push(object);
    this.#held.push(held);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(this.#endTurn);
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
    // The last one takes its place: their order does not matter.
    const last = fresh.pop()!, held = this.#held.pop()!;
    if (at === fresh.length) return;
    fresh[at] = last;
    this.#held[at] = held;
  }

  #register(): void {
    for (const [i, object] of this.#fresh.entries()) this.#registry.register(object, this.#held[i]!, object);
    this.#fresh.length = this.#held.length = 0;
  }
}
