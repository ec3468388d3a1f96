// The names of properties as they stand in messages, and which follow which. A program's messages have few shapes, so
// what comes next is known before it is looked at: one comparison a name, instead of a search or a conversion. (Measured,
// with the rows of `build.ts`: a frame of eight properties takes 175 ns to write and to read, not 270 and 430.)
//
// The writer and the reader have one {@linkcode Names} each, for all messages of the isolate. Imports nothing.

/** Words of a name that is remembered, with its head; longer ones are written and read as any text. */
const NAME_WORDS = 8;
/** The same in bytes. */
export const NAME_ROOM = NAME_WORDS * 4;

/** Most names that follow one name, most in a row, and most in all. */
const FOLLOWERS = 64, IN_A_ROW = 512, NAMES = 4096;
/** Objects of more properties than this have no shape. */
export const LONGEST_SHAPE = 32;

/** Shapes that are expected at a place. */
const EXPECTED = 8;

/** Names that came once at a place and are known again; the names of objects that serve as tables do not come twice. */
const SEEN_ONCE = 8;

const TEXT = 0x60;

/**
 * Stores up to eight values in an object, as many as there are from `at` on: see `build.ts`.
 *
 * @param begun The object; absent if it is to be made.
 * @returns The object.
 */
export type Row = (
  begun: Record<string, unknown> | undefined,
  keys: readonly string[],
  values: readonly unknown[],
  at: number,
  count: number,
) => Record<string, unknown>;

/** A name, after all the names before it in an object. */
export class Name {
  /** Those that came next in earlier messages. */
  readonly next: Name[] = [];
  /** For the writer: the one of them that came last. */
  likely: Name | undefined;
  /** The same: with what the last object began that was the value of this name, or came after an object which ends here. */
  inside: Name | undefined;
  /** That of the objects which end here. */
  shape: Shape | undefined;
  /** The last names that came next for the first time, and how many there have been. */
  readonly seenOnce: string[] = [];
  strangers = 0;
  readonly text: string;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  /** The same as doubles, of which no name makes one that is not a number: what is moved is eight bytes. */
  readonly doubles: Float64Array;
  readonly head: number;
  readonly size: number;
  /** Its first four bytes as they are in a word, where there may be something else behind a short name; and its last four. */
  readonly first: number;
  readonly mask: number;
  readonly last: number;
  readonly before: Name | undefined;
  /** How many come before it. */
  readonly depth: number;

  /**
   * @param text The engine's one copy of the string, by which properties are found without a look-up.
   * @param words The bytes with their head, and zeros behind them.
   * @param size How many bytes count.
   * @param before The name before it.
   */
  constructor(text: string, words: Int32Array, size: number, before: Name | undefined) {
    this.text = text;
    this.words = words;
    this.size = size;
    this.before = before;
    this.bytes = new Uint8Array(words.buffer);
    this.doubles = new Float64Array(words.buffer);
    this.head = this.doubles[0]!;
    this.first = words[0]!;
    this.mask = size < 4 ? (1 << 8 * size) - 1 : -1;
    this.last = size < 4 ? 0 : new DataView(words.buffer).getInt32(size - 4, true);
    this.depth = before === undefined ? 0 : before.depth + 1;
  }
}

/** The names of one kind of object, in order: what can be said of them in arrays, as that is what is fast. */
export class Shape {
  /** Those of the objects that came after one of these, the first one first; and how many there have been. */
  readonly next: Shape[] = [];
  #followed = 0;
  /** How often such an object was put together without the rows, if it has any: see `build.ts`. */
  built = 0;
  row: Row | undefined;
  more: readonly Row[] = [];
  readonly names: readonly Name[];
  readonly keys: readonly string[];
  /** For each name its size, its first four bytes with their mask, and its last four: in one piece, for comparing. */
  readonly heads: Int32Array;

  constructor(names: readonly Name[]) {
    this.names = names;
    this.keys = names.map(({ text }) => text);
    this.heads = new Int32Array(names.flatMap(({ size, first, mask, last }) => [size, first, mask, last]));
  }

  /** Expects an object of this shape after one of these, from now on. */
  expect(shape: Shape): void {
    if (!this.next.includes(shape)) this.next[this.#followed++ % EXPECTED] = shape;
  }
}

const utf8 = new TextEncoder();

/** All names that are remembered. */
export class Names {
  /** Before the first name of every object. */
  readonly first: Name = new Name("", new Int32Array(NAME_WORDS), 0, undefined);
  #count = 0;

  /** The name that comes next, remembered from the second time on; `undefined` if it is not one to be remembered. */
  add(after: Name, text: string): Name | undefined {
    const { next } = after;
    for (let i = 0; i < next.length; i++) if (next[i]!.text === text) return next[i];
    if (after.next.length === FOLLOWERS || after.depth === IN_A_ROW || this.#count === NAMES) return undefined;
    if (text.length > NAME_ROOM || !text.isWellFormed()) return undefined;
    if (!after.seenOnce.includes(text)) {
      after.seenOnce[after.strangers++ % SEEN_ONCE] = text;
      return undefined;
    }
    const encoded = utf8.encode(text), { length } = encoded;
    const head = length < 24 ? [TEXT | length] : [TEXT | 24, length];
    const size = head.length + length;
    if (size > NAME_ROOM) return undefined;
    const bytes = new Uint8Array(NAME_ROOM);
    bytes.set(head);
    bytes.set(encoded, head.length);
    const key = Object.keys({ [text]: 0 })[0]!;
    const name = new Name(key, new Int32Array(bytes.buffer), size, after);
    after.next.push(name);
    this.#count++;
    return name;
  }

  /** The shape of objects whose last name this is; `undefined` if they have too many. */
  shapeOf(last: Name): Shape | undefined {
    if (last.shape !== undefined) return last.shape;
    const names: Name[] = [];
    for (let name = last; name.before !== undefined; name = name.before) {
      if (names.length === LONGEST_SHAPE) return undefined;
      names.push(name);
    }
    return last.shape = new Shape(names.reverse());
  }
}

/** An object of all the names up to one. */
export function gather(last: Name, values: readonly unknown[]): Record<string, unknown> {
  const keys: string[] = [];
  for (let name = last; name.before !== undefined; name = name.before) keys.push(name.text);
  const value: Record<string, unknown> = {};
  for (let i = 0, n = keys.length; i < n; i++) value[keys[n - 1 - i]!] = values[i];
  return value;
}
