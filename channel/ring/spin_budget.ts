// How to wait for a message at first: by polling, by a nap, or not at all. Only what has been paying is done.

/** A wait that was over within this, in milliseconds, would better have been a spin; one that took longer, not. */
const SPIN_WORTH = 0.2;

/** So many spins in vain, each before a short sleep, are no accident: the spinning itself keeps the peer from running. */
const IN_VAIN = 3;

/**
 * Within this, in milliseconds, a peer answers that is awake on a processor of its own, messages of 64 KiB included: each side
 * copies them twice. (With 0.02 those of 16 KiB and more counted as in vain: 140 µs there and back in place of 25.)
 */
const BESIDE = 0.1;

/**
 * How many waits go by, then, before spinning is tried again: at first, and at most, as each try in vain doubles it. One
 * in 64 all the time took a quarter of a blocking round trip on one processor.
 */
const RETRY = 64, LAST_RETRY = 1024;

/** Short waits without a nap, at most, after naps in vain. */
const NAP_REST = 1023;

/** What one kind of wait begins with, adapted to how the last ones ended. */
export class SpinBudget {
  #most: number;
  #least: number;
  #polls: number;
  #inVain = 0;
  #retry = RETRY;
  #untilRetry = RETRY;
  /** Whether the last wait was short, though polling would not pay. */
  #short = false;
  /** Short waits until the next nap; after the next one in vain. */
  #rest = 0;
  #nextRest = 0;

  /**
   * @param most Polls while messages come in quick succession.
   * @param least Polls while they do not.
   */
  constructor(most: number, least: number) {
    this.#polls = this.#most = most;
    this.#least = least;
  }

  /** Polls at most from now on, however well they pay; 0 for none at all. */
  limit(most: number): void {
    this.#most = most;
    this.#least = Math.min(this.#least, most);
    this.#polls = most;
  }

  /** How often to poll now. */
  get polls(): number {
    return this.#polls;
  }

  /** Whether to sleep for a moment in place of polling: the peer needs this very processor, and then answers quickly. */
  get naps(): boolean {
    return this.#short && this.#rest === 0 && this.#polls < this.#most;
  }

  /**
   * The message came while it was polled for.
   *
   * @param milliseconds How long that took: if longer than a peer needs that runs beside this process, it ran instead
   * of it, and would have come sooner without the polling.
   */
  paid(milliseconds: number): void {
    if (milliseconds > BESIDE) return this.inVain(milliseconds);
    this.#inVain = 0;
    this.#retry = this.#untilRetry = RETRY;
    this.#polls = this.#most;
  }

  /**
   * The message did not come before the sleep.
   *
   * A long sleep says that messages are rare. Short ones say that spinning would pay, or that there are more runnable
   * processes than processors, so that a peer gets to run only when this one sleeps: then every poll is in its way. On
   * a busy machine a blocking round trip took 415 µs with spinning, and takes 46 µs without.
   *
   * @param milliseconds How long the sleep took.
   */
  inVain(milliseconds: number): void {
    this.#short = milliseconds < SPIN_WORTH;
    if (!this.#short) {
      this.#polls = Math.max(this.#least, this.#polls >> 1);
      return;
    }
    if (this.#rest > 0) this.#rest--;
    if (++this.#inVain < IN_VAIN) {
      this.#polls = this.#most;
    } else if (--this.#untilRetry > 0) {
      this.#polls = this.#least;
    } else {
      this.#polls = this.#most;
      this.#untilRetry = this.#retry = Math.min(2 * this.#retry, LAST_RETRY);
    }
  }

  /**
   * A nap is over.
   *
   * @param milliseconds How long it was, if it brought a message; `undefined` if not.
   */
  napped(milliseconds: number | undefined): void {
    if (milliseconds !== undefined) {
      this.#nextRest = 0;
      this.inVain(milliseconds);
      return;
    }
    this.#rest = this.#nextRest;
    this.#nextRest = Math.min(2 * this.#nextRest + 1, NAP_REST);
  }
}
