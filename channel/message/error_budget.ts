// Undecodable messages cost their receiver more than their sender: a peer that sends nothing else keeps a program busy
// with errors. So many of them in a short time are no accident.

/** Errors that a channel may have at once, and how many more each second. */
const AT_ONCE = 10_000, A_SECOND = 1000;

/** Counts the errors of one channel. */
export class ErrorBudget {
  #left = AT_ONCE;
  #countedAt = 0;

  /** One more; `false` if it is one too many. */
  spend(): boolean {
    const now = performance.now();
    const earned = (now - this.#countedAt) / 1000 * A_SECOND;
    this.#countedAt = now;
    this.#left = Math.min(this.#left + earned, AT_ONCE) - 1;
    return this.#left >= 0;
  }
}
