// Windows on a mapping that nobody has any more, to be lent again.
//
// To make an ArrayBuffer over memory that is mapped, and to end it, costs 0.9 µs; to move it to another one, which empties
// all views on the first, a fifth of that. A ring comes back to the same places, so the next message there, if it is as
// long, gets a window that was kept.

/**
 * How many are kept at most. A prime number: places at equal distances, whatever the distance, do not meet before there
 * are as many.
 */
const PLACES = 2039;

/** Base-2 logarithm of the bytes from one place to the next, in a ring. */
const STEP_SHIFT = 6;

/** The windows of one mapping that were kept: of all whose offsets meet, the last one. */
export class KeptWindows {
  readonly #windows: (ArrayBuffer | undefined)[] = new Array<undefined>(PLACES).fill(undefined);
  readonly #offsets = new Float64Array(PLACES);
  /** The engine counts the bytes of each window as memory of this process, and collects garbage the sooner. */
  readonly #most: number;
  #bytes = 0;

  /** @param most Bytes of all windows that are kept. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Takes the window at an offset; `undefined` if none of that length was kept. */
  take(offset: number, length: number): ArrayBuffer | undefined {
    const place = placeOf(offset);
    if (this.#offsets[place] !== offset) return undefined;
    const window = this.#windows[place];
    if (window === undefined || window.byteLength !== length) return undefined;
    this.#windows[place] = undefined;
    this.#bytes -= length;
    return window;
  }

  /** Keeps a window that nobody has a view on. */
  keep(offset: number, window: ArrayBuffer): void {
    const place = placeOf(offset), before = this.#windows[place];
    if (before !== undefined) this.#bytes -= before.byteLength;
    const bytes = this.#bytes + window.byteLength, fits = bytes <= this.#most;
    this.#windows[place] = fits ? window : undefined;
    this.#offsets[place] = offset;
    if (fits) this.#bytes = bytes;
  }
}

function placeOf(offset: number): number {
  return (offset >>> STEP_SHIFT) % PLACES;
}
