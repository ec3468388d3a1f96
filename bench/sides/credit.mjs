// Flow control for channels without any: the receiver grants messages, the sender sends no more than that.

/** Messages, or bytes, that may be on their way. */
const MESSAGES = 2000, BYTES = 32 << 20;

/** How many messages of a size may be on their way. */
export function windowOf(size) {
  return Math.max(4, Math.min(MESSAGES, Math.floor(BYTES / (size + 64))));
}

/** Turns messages that come by themselves into ones that are asked for. `grant` lets the sender send that many more. */
export class Inbox {
  #messages = [];
  #at = 0;
  #waiting;
  #taken = 0;
  #half;
  #grant;

  constructor(size, grant) {
    this.#half = windowOf(size) >> 1;
    this.#grant = grant;
    grant(2 * this.#half);
  }

  put(message) {
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      this.#count();
      waiting(message);
    } else this.#messages.push(message);
  }

  #count() {
    if (++this.#taken === this.#half) {
      this.#taken = 0;
      this.#grant(this.#half);
    }
  }

  /** The next message, or a promise of it. */
  take() {
    if (this.#at < this.#messages.length) {
      const message = this.#messages[this.#at++];
      if (this.#at === this.#messages.length) {
        this.#messages = [];
        this.#at = 0;
      }
      this.#count();
      return message;
    }
    return new Promise((resolve) => this.#waiting = resolve);
  }
}
