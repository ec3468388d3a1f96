// Calls that wait at the caller until they may be sent. There may be any number of them, which come, are taken in their
// order, and are given up in any: each in the same time, however many there are.

/** What has a place in the queue. */
export interface Queued {
  /** Its number, counted from the first that ever waited. */
  place: number;
}

/** Places that were left are given up by so many at least. */
const LEFT = 1024;

/** A queue of which any member can leave. */
export class CallQueue<C extends Queued> {
  #places: (C | undefined)[] = [];
  /** The number of the first place, and how many of the places were left in their order. */
  #base = 0;
  #left = 0;
  /** How many wait. */
  size = 0;

  /** Puts one at the end. */
  push(call: C): void {
    call.place = this.#base + this.#places.length;
    this.#places.push(call);
    this.size++;
  }

  /** Takes the first; `undefined` if there is none. */
  shift(): C | undefined {
    if (this.size === 0) return undefined;
    let first: C | undefined;
    while (first === undefined) {
      first = this.#places[this.#left];
      this.#places[this.#left++] = undefined;
    }
    this.#taken();
    return first;
  }

  /** Takes one out, if it is there. */
  delete(call: C): void {
    const at = call.place - this.#base;
    if (this.#places[at] !== call) return;
    this.#places[at] = undefined;
    this.#taken();
  }

  #taken(): void {
    if (--this.size === 0) {
      this.#base += this.#places.length;
      this.#places = [];
      this.#left = 0;
    } else if (this.#left >= LEFT && 2 * this.#left > this.#places.length) {
      this.#places = this.#places.slice(this.#left);
      this.#base += this.#left;
      this.#left = 0;
    }
  }
}
