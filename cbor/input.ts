// The message that is read. An object that is there once: the compiler knows of its fields what they are, and where, which
// it does not of the variables of a module.
import type { Mark } from "./marked.ts";

/** Makes what the reader gets for a byte string: a copy, or a view. */
export type BytesOf = (source: Uint8Array<ArrayBuffer>, from: number, length: number) => Uint8Array<ArrayBuffer>;

const NOTHING = new Uint8Array(0);
const VIEW_OF_NOTHING = new DataView(NOTHING.buffer);

/** The last memory of which messages were only part, and views of it: it is read from again and again. */
const RINGS = 4;

export class Input {
  /** The memory that it lies in. */
  source: Uint8Array<ArrayBuffer> = NOTHING;
  /** The next byte. */
  at = 0;
  /** Behind its last byte. */
  end = 0;
  depth = 0;
  /** How many items arrays and objects may still claim to have: each takes a byte at least, in whatever it is. */
  budget = 0;
  plain = true;
  bytesOf: BytesOf;
  /** What arrays inside tag 27 begin with that are plain as well, and how many there were. */
  mark: Mark | undefined = undefined;
  marked = 0;
  /** For numbers of several bytes, and names; made when it is needed. */
  #view: DataView<ArrayBuffer> = VIEW_OF_NOTHING;
  #viewed: Uint8Array<ArrayBuffer> = NOTHING;
  readonly #rings: (Uint8Array<ArrayBuffer> | undefined)[] = new Array(RINGS).fill(undefined);
  readonly #ringViews: (DataView<ArrayBuffer> | undefined)[] = new Array(RINGS).fill(undefined);
  #nextRing = 0;

  constructor(bytesOf: BytesOf) {
    this.bytesOf = bytesOf;
  }

  /** Memory that was all message is not read from again, and not to be kept alive. */
  forget(): void {
    if (this.#viewed === this.source) {
      this.#viewed = NOTHING;
      this.#view = VIEW_OF_NOTHING;
    }
    this.source = NOTHING;
  }

  dataView(): DataView<ArrayBuffer> {
    return this.#viewed === this.source ? this.#view : this.#viewAnew();
  }

  #viewAnew(): DataView<ArrayBuffer> {
    const { source } = this;
    this.#viewed = source;
    for (let i = 0; i < RINGS; i++) if (this.#rings[i] === source) return this.#view = this.#ringViews[i]!;
    this.#view = new DataView(source.buffer, source.byteOffset, source.byteLength);
    if (this.end < source.length) {
      this.#rings[this.#nextRing] = source;
      this.#ringViews[this.#nextRing] = this.#view;
      this.#nextRing = (this.#nextRing + 1) % RINGS;
    }
    return this.#view;
  }

  /** A view for names; `undefined` where making one costs more than to do without for a few names. */
  viewForNames(): DataView<ArrayBuffer> | undefined {
    return this.#viewed === this.source || this.end < this.source.length ? this.dataView() : undefined;
  }
}
