// The objects that one message has, so that each is written once, however often it is referred to.
//
// An object that is referred to again is written as a reference (tag 29) to the first place, which gets tag 28 when all is
// written. A small message has few objects: comparing with each is cheaper than a Map.
//
// A program that sends the same small byte strings time after time, with other content, has them looked at once: what was
// found out about the memory of one holds as long as it is there. (Measured: a frame of three is written in 0.8 × the time.)
import type { Insert } from "./written.ts";

const UINT = 0;

/** So many objects are compared with each. */
const FEW = 12;

/** Bytes of memory that a byte string may keep alive. */
const SMALL = 4096;
/** One message in so many has its byte strings remembered, for programs whose byte strings do not come again. */
const REMEMBERING = 16;

/** What {@linkcode Seen.firstBytes} says of a byte string. */
export const SEEN_BEFORE = 0, NEW = 1, KNOWN = 2;

/** What was seen in one message. */
export class Seen {
  // The first ones, and where each begins: lists of that many elements at once, which the compiler knows.
  readonly #few: (object | undefined)[] = Array.from({ length: FEW }, () => undefined);
  readonly #fewAt: number[] = Array.from({ length: FEW }, () => 0);
  /** The others, with their numbers; and where each begins. */
  #more = new Map<object, number>();
  #moreAt: number[] = [];
  #count = 0;
  /**
   * Which of the first ones are byte strings that earlier messages had at the same place, one bit each. No two of them are
   * the same, and none is a byte string that this message had before.
   */
  #known = 0;
  /** Messages until the next of which the byte strings are remembered. */
  #untilRemembering = REMEMBERING;
  /** References: where each stands, and the number of the object among those that were seen, alternately. */
  #references: number[] = [];
  /** The numbers of those that are referred to. */
  #shared = new Set<number>();
  /** The number of the object that was seen before. */
  #found = 0;

  /** Notes an object that is about to be written; `false` if it was there before: write a {@linkcode refer} then. */
  first(object: object, to: number): boolean {
    const few = this.#few, count = this.#count;
    if (count >= FEW) return this.#firstOfMany(object, to);
    for (let i = 0; i < count; i++) {
      if (few[i] === object) {
        this.#found = i;
        return false;
      }
    }
    few[count] = object;
    if (this.#known !== 0) this.#known &= ~(1 << count);
    this.#fewAt[count] = to;
    this.#count = count + 1;
    return true;
  }

  /**
   * The same for a byte string.
   *
   * @returns `SEEN_BEFORE`; `NEW` if its memory must be looked at; `KNOWN` if it was when it was {@linkcode remember}ed, and
   * can neither be shared nor change its size since.
   */
  firstBytes(bytes: object, to: number): number {
    const few = this.#few, count = this.#count;
    if (count < FEW && (this.#known & (1 << count)) !== 0 && few[count] === bytes) {
      this.#fewAt[count] = to;
      this.#count = count + 1;
      return KNOWN;
    }
    if (!this.first(bytes, to)) return SEEN_BEFORE;
    if (this.#known !== 0) this.#known &= (1 << count) - 1; // it may be one of those that came later in earlier messages
    return NEW;
  }

  /**
   * The byte string that was seen last is neither shared, nor can it change its size.
   *
   * @param buffer Its memory.
   */
  remember(buffer: ArrayBufferLike): void {
    const at = this.#count - 1;
    if (this.#untilRemembering === 0 && at < FEW && buffer.byteLength <= SMALL) this.#known |= 1 << at;
  }

  #firstOfMany(object: object, to: number): boolean {
    const number = this.#few.indexOf(object), found = number >= 0 ? number : this.#more.get(object);
    if (found !== undefined) {
      this.#found = found;
      return false;
    }
    this.#more.set(object, this.#count++);
    this.#moreAt.push(to);
    return true;
  }

  /** Not to keep the program's objects alive. */
  forget(): void {
    const few = this.#few, known = this.#known;
    for (let i = Math.min(this.#count, FEW) - 1; i >= 0; i--) if ((known & (1 << i)) === 0) few[i] = undefined;
    this.#untilRemembering = this.#untilRemembering === 0 ? REMEMBERING - 1 : this.#untilRemembering - 1;
    if (this.#count > FEW) {
      this.#more.clear();
      this.#moreAt = [];
    }
    this.#count = 0;
    if (this.#references.length > 0) {
      this.#references = [];
      this.#shared.clear();
    }
  }

  /** Where an object begins. */
  #placeOf(number: number): number {
    return number < FEW ? this.#fewAt[number]! : this.#moreAt[number - FEW]!;
  }

  /** Writes a reference to the object that {@linkcode first} has found; its number follows. There is room for it. */
  refer(out: Uint8Array, to: number): number {
    this.#shared.add(this.#found);
    this.#references.push(to, this.#found);
    out[to] = 0xd8;
    out[to + 1] = 29;
    out[to + 2] = UINT | 26;
    return to + 7;
  }

  /** How many bytes {@linkcode tag} adds. */
  get tags(): number {
    return this.#references.length === 0 ? 0 : 2 * this.#shared.size;
  }

  /**
   * Puts tag 28 before the objects that are referred to, and their numbers into the references.
   *
   * @param inserts Of the message: they move as well.
   * @returns The end of the message.
   */
  tag(out: Uint8Array, view: DataView, end: number, inserts: readonly Insert[]): number {
    const references = this.#references;
    const order = [...this.#shared].sort((a, b) => this.#placeOf(a) - this.#placeOf(b));
    const places = order.map((number) => this.#placeOf(number));
    const numbers = new Map(order.map((index, number) => [index, number]));
    let shift = 2 * order.length;
    for (let i = order.length - 1, stop = end; i >= 0; i--) {
      const start = places[i]!;
      out.copyWithin(start + shift, start, stop);
      shift -= 2;
      out[start + shift] = 0xd8;
      out[start + shift + 1] = 28;
      stop = start;
    }
    let tags = 0;
    for (let i = 0; i < references.length; i += 2) {
      while (tags < order.length && places[tags]! <= references[i]!) tags++;
      view.setUint32(references[i]! + 2 * tags + 3, numbers.get(references[i + 1]!)!);
    }
    tags = 0;
    for (const insert of inserts) {
      while (tags < order.length && places[tags]! < insert.at) tags++;
      insert.at += 2 * tags;
    }
    return end + 2 * order.length;
  }

  /** What is behind a place has moved on by so many bytes. */
  move(behind: number, bytes: number): void {
    const references = this.#references;
    for (let i = this.#count - 1; i >= 0 && this.#placeOf(i) > behind; i--) {
      if (i < FEW) this.#fewAt[i]! += bytes;
      else this.#moreAt[i - FEW]! += bytes;
    }
    for (let i = references.length - 2; i >= 0 && references[i]! > behind; i -= 2) references[i]! += bytes;
  }

  /** Puts what was seen aside, for a message in the middle of another; returns how to go on with it. */
  suspend(): () => void {
    const few = [...this.#few], fewAt = [...this.#fewAt];
    const more = this.#more, moreAt = this.#moreAt, count = this.#count;
    const references = this.#references, shared = this.#shared, found = this.#found;
    const known = this.#known;
    this.#few.fill(undefined);
    this.#known = 0;
    this.#more = new Map();
    this.#moreAt = [];
    this.#count = 0;
    this.#references = [];
    this.#shared = new Set();
    return () => {
      for (let i = 0; i < FEW; i++) this.#few[i] = few[i], this.#fewAt[i] = fewAt[i]!;
      this.#more = more;
      this.#moreAt = moreAt;
      this.#count = count;
      this.#known = known;
      this.#references = references;
      this.#shared = shared;
      this.#found = found;
    };
  }
}
