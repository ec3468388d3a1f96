// How a spin begins: with pauses, so that the producers keep the cache lines that they write next for a moment.
//
// A receiver that is faster than its producer finds the ring empty after each message. Were it to look all the time, it
// would take the lines of TAIL and of the commit words, which it clears, away from the producer, who waits for them some
// 100 ns with each message. So where messages follow one another closely it stays away until some lines of words are
// filled, and receives those messages one after another, as long as a longer time brings more of them: answers to a few
// requests under way come together, and then no more until there are new requests. (Measured: objects one way 480 and
// 360 ns; round trips alike.)

/** Pauses before the first poll, of 10 to 40 ns each: of what may be an answer, and of a stream at least and at most. */
const FEW = 8, FEWEST = 16, MOST = 512;

/** Polls after the few pauses: what comes sooner may be a message of a stream. So may answers, but those come alone. */
const SOON = 12;

/** So many messages in a row that came soon may be a stream; at first, and at most, as each time in vain doubles it. */
const STREAM = 4, LONGEST_STREAM = 1024;

/** So many messages in a row that came alone, though there was time for several, are none. */
const ALONE = 2;

/** Blocks that are to be filled behind the first message of a stream: two cache lines of commit words. */
const AHEAD = 32;

/** Spins that go by, after a longer time has brought no more, before it is tried again: at first, and at most. */
const REST = 16, LONGEST_REST = 1024;

/** What the spins of one consumer begin with, adapted to what the last ones brought. */
export class SpinHead {
  /** Pauses before the first poll. */
  pauses = FEW;
  /** Whether messages follow one another closely: then it matters what is claimed behind one. */
  streams = false;
  #inRow = 0;
  #stream = STREAM;
  /** What there was before the pauses were doubled; -1 if they were not. */
  #before = -1;
  #rest = 0;
  #nextRest = REST;

  /**
   * A spin has brought a message.
   *
   * @param polls How many polls after the pauses.
   * @param ahead Blocks that are claimed behind it, if it {@linkcode streams}.
   */
  came(polls: number, ahead: number): void {
    if (this.streams) this.#inStream(ahead);
    else if (polls > SOON) this.#inRow = 0;
    else if (++this.#inRow === this.#stream) this.#turn(true, FEWEST);
  }

  #inStream(ahead: number): void {
    if (ahead <= 0) {
      if (++this.#inRow < ALONE) return;
      this.#stream = Math.min(2 * this.#stream, LONGEST_STREAM);
      this.#turn(false, FEW);
      return;
    }
    this.#inRow = 0;
    this.#stream = STREAM;
    const before = this.#before;
    this.#before = -1;
    if (before >= 0 && ahead <= before) {
      this.pauses >>= 1;
      this.#rest = this.#nextRest;
      this.#nextRest = Math.min(2 * this.#nextRest, LONGEST_REST);
      return;
    }
    if (before >= 0) this.#nextRest = REST;
    if (ahead > 2 * AHEAD) {
      this.pauses = Math.max(this.pauses >> 1, FEWEST);
    } else if (ahead < AHEAD && this.pauses < MOST) {
      if (this.#rest > 0) {
        this.#rest--;
      } else {
        this.#before = ahead;
        this.pauses *= 2;
      }
    }
  }

  #turn(streams: boolean, pauses: number): void {
    this.streams = streams;
    this.#inRow = 0;
    this.#before = -1;
    this.pauses = pauses;
  }
}
