// Choices that look random, can be made again, and can be made smaller: what a generator decides comes from a list of numbers, so a
// failure is shrunk by shortening the list and lowering its numbers, whatever it is that was generated.

/** Where a generator takes its decisions from. */
export class Choices {
  /** All that was decided. */
  readonly taken: number[] = [];
  readonly #given: readonly number[] | undefined;
  #state: number;

  private constructor(seed: number, given: readonly number[] | undefined) {
    this.#state = seed >>> 0 || 1;
    this.#given = given;
  }

  /** Decisions that are the same for the same seed. */
  static of(seed: number): Choices {
    // Neighbouring seeds would begin alike.
    let mixed = Math.imul(seed ^ seed >>> 16, 0x45d9f3b);
    mixed = Math.imul(mixed ^ mixed >>> 16, 0x45d9f3b);
    return new Choices(mixed ^ mixed >>> 16, undefined);
  }

  /** Decisions that were taken before; zeros after the last. */
  static again(taken: readonly number[]): Choices {
    return new Choices(1, taken);
  }

  /** An integer from 0 up to, not including, `limit`. The smaller, the simpler should be what comes of it. */
  below(limit: number): number {
    let n: number;
    if (this.#given !== undefined) {
      n = (this.#given[this.taken.length] ?? 0) % limit;
    } else {
      let x = this.#state; // xorshift32
      x ^= x << 13, x ^= x >>> 17, x ^= x << 5;
      this.#state = x >>> 0;
      n = this.#state % limit;
    }
    this.taken.push(n);
    return n;
  }

  /** One of several, the simplest first. */
  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/**
 * Makes a list of decisions smaller as long as what comes of it still fails.
 *
 * @param tries Most attempts.
 * @returns The smallest list that was found.
 */
export function shrink(taken: readonly number[], fails: (choices: Choices) => boolean, tries = 2000): number[] {
  let best = [...taken];
  const attempt = (candidate: number[]): boolean => {
    if (tries-- <= 0) return false;
    const choices = Choices.again(candidate);
    if (!fails(choices)) return false;
    const used = choices.taken.slice();
    while (used.at(-1) === 0) used.pop();
    best = used.length <= candidate.length ? used : candidate;
    return true;
  };
  for (let before = ""; before !== best.join() && tries > 0;) {
    before = best.join();
    for (let size = best.length >> 1 || 1; size > 0; size >>= 1) {
      for (let at = 0; at + size <= best.length && tries > 0;) {
        if (!attempt([...best.slice(0, at), ...best.slice(at + size)])) at += size;
      }
    }
    for (let at = 0; at < best.length && tries > 0; at++) {
      let step = best[at]!;
      while (step > 0 && at < best.length) {
        const lower = best[at]! - step;
        if (lower < 0 || !attempt(best.map((n, i) => i === at ? lower : n))) step >>= 1;
      }
    }
  }
  return best;
}
