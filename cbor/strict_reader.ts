// Reads any message, strictly: one whole, well-formed item (RFC 8949), of the tags that this package writes and of those
// that are no more than another spelling of what it writes. It is the reader for everything that is not plain.
//
// Nobody who sends needs to be trusted. The memory may change at any moment, so each byte is looked at once; what an item
// claims to have is compared with the bytes that are left before anything is made of it; the depth is kept in a list, not on
// the stack; and nothing takes more time or memory than in proportion to the length of the message. A message leaves
// nothing behind: all state belongs to one call.
import {
  ANY_MAP,
  dateOfSeconds,
  GENERIC_OBJECT,
  REFERENCE,
  SET,
  SHARED,
  TYPED_ARRAYS,
  type TypedArrayClass,
  WTF8,
} from "./kinds.ts";
import {
  ArrayFrame,
  type Frame,
  GenericFrame,
  MapFrame,
  ObjectFrame,
  type Revive,
  SetFrame,
  UNMADE,
} from "./frames.ts";
import { MAX_ITEM_DEPTH } from "./limits.ts";
import type { Budget } from "./class_objects.ts";
import { decodeWtf8, textAt } from "./text.ts";
import type { BytesOf } from "./input.ts";

/**
 * Reads one item that fills the bytes from `start` to `end`.
 *
 * @throws {Error} With what is wrong with it.
 */
export function decode(
  source: Uint8Array<ArrayBuffer>,
  start: number,
  end: number,
  bytesOf: BytesOf,
  revive: Revive | undefined,
): unknown {
  return new Decoder(source, start, end, bytesOf, revive).message();
}

/** What is not a value but the end of an indefinite one. */
const BREAK = Symbol("break");
/** Returned where the parts of an item are still to be read. */
const OPENED = Symbol("opened");
/** Tags that change nothing: to be shown in base64url, base64 or base16, and that all of it is CBOR. */
const HINTS: ReadonlySet<number | bigint> = new Set([21, 22, 23, 55799]);

class Decoder {
  readonly #source: Uint8Array<ArrayBuffer>;
  readonly #end: number;
  readonly #bytesOf: BytesOf;
  readonly #revive: Revive | undefined;
  readonly #view: DataView<ArrayBuffer>;
  readonly #frames: Frame[] = [];
  /** What was tagged as shared, in the order of the tags. */
  readonly #shared: unknown[] = [];
  /** The number of the shared item that comes next, or -1. */
  #sharing = -1;
  #at: number;
  /** How many parts the items that are open may still claim: each takes a byte at least. */
  #claims: number;
  readonly #budget: Budget;

  constructor(
    source: Uint8Array<ArrayBuffer>,
    start: number,
    end: number,
    bytesOf: BytesOf,
    revive: Revive | undefined,
  ) {
    this.#source = source;
    this.#view = new DataView(source.buffer, source.byteOffset, source.byteLength);
    this.#at = start;
    this.#end = end;
    this.#bytesOf = bytesOf;
    this.#revive = revive;
    this.#claims = end - start;
    this.#budget = { length: end - start, reserved: 0, slow: 0 };
  }

  message(): unknown {
    const frames = this.#frames;
    for (;;) {
      let item = this.#item();
      while (item !== OPENED) {
        if (frames.length === 0) {
          if (this.#at < this.#end) throw new Error(`it goes on for ${this.#end - this.#at} bytes behind its end`);
          return item;
        }
        const frame = frames[frames.length - 1]!;
        if (item === BREAK) {
          frame.left = 0;
        } else {
          frame.add(item);
          if (frame.left > 0) frame.left--;
          if (frame.share >= 0) this.#shared[frame.share] = frame.early;
        }
        if (frame.left !== 0) break;
        frames.pop();
        item = frame.end();
        if (frame.share >= 0) this.#shared[frame.share] = item;
      }
    }
  }

  /** Reads an item without parts, or the head of one with parts, which is {@linkcode OPENED} then. */
  #item(): unknown {
    for (let bare = true;; bare = false) {
      const initial = this.#byte(), info = initial & 31;
      switch (initial >> 5) {
        case 0:
          return this.#made(info < 24 ? info : this.#integer(info, false));
        case 1:
          return this.#made(this.#integer(info, true));
        case 2:
          return this.#made(this.#byteString(info));
        case 3:
          return this.#made(this.#text(info));
        case 4:
          return this.#open(new ArrayFrame(this.#parts(info, 1)));
        case 5:
          return this.#open(new ObjectFrame(this.#parts(info, 2), this.#budget));
        case 7:
          if (info === 31) return this.#break(bare);
          return this.#made(this.#simple(info));
      }
      const tag = this.#argument(info);
      if (tag === SHARED) {
        if (this.#sharing >= 0) throw new Error("a value that is shared twice");
        this.#sharing = this.#shared.push(UNMADE) - 1;
      } else if (!HINTS.has(tag)) {
        return this.#tagged(tag);
      }
    }
  }

  /** @param bare Whether no tag stands before it. */
  #break(bare: boolean): typeof BREAK {
    if (!bare || this.#frames.at(-1)?.left !== -1) throw new Error("a break where nothing can end");
    return BREAK;
  }

  /** An item that is whole at once. */
  #made(item: unknown): unknown {
    if (this.#sharing >= 0) {
      this.#shared[this.#sharing] = item;
      this.#sharing = -1;
    }
    return item;
  }

  #open(frame: Frame): unknown {
    if (this.#frames.length >= MAX_ITEM_DEPTH) throw new Error(`it is nested more than ${MAX_ITEM_DEPTH} levels deep`);
    if (this.#sharing >= 0) {
      this.#shared[frame.share = this.#sharing] = frame.early;
      this.#sharing = -1;
    }
    if (frame.left === 0) {
      const item = frame.end();
      if (frame.share >= 0) this.#shared[frame.share] = item;
      return item;
    }
    this.#frames.push(frame);
    return OPENED;
  }

  // --- Heads ---

  #cutShort(): never {
    throw new Error("it is cut short");
  }

  #byte(): number {
    if (this.#at >= this.#end) this.#cutShort();
    return this.#source[this.#at++]!;
  }

  /** Moves on by so many bytes; returns where they begin. */
  #skip(bytes: number): number {
    const from = this.#at;
    if (bytes > this.#end - from) this.#cutShort();
    this.#at = from + bytes;
    return from;
  }

  /** The number that follows a head, as a number if it is safe. */
  #argument(info: number): number | bigint {
    if (info < 24) return info;
    switch (info) {
      case 24:
        return this.#byte();
      case 25:
        return this.#view.getUint16(this.#skip(2));
      case 26:
        return this.#view.getUint32(this.#skip(4));
      case 27: {
        const n = this.#view.getBigUint64(this.#skip(8));
        return n <= Number.MAX_SAFE_INTEGER ? Number(n) : n;
      }
      default:
        throw new Error(`a head of the reserved kind ${info}`);
    }
  }

  /** A length, which is at most what is left of the message. */
  #length(info: number): number {
    const length = this.#argument(info);
    if (typeof length === "bigint" || length > this.#end - this.#at) this.#cutShort();
    return length;
  }

  /** How many parts an item says it has, or -1 if a break ends them. */
  #parts(info: number, each: number): number {
    if (info === 31) return -1;
    const count = this.#argument(info);
    if (typeof count === "bigint" || count * each > this.#end - this.#at || (this.#claims -= count * each) < 0) {
      this.#cutShort();
    }
    return count * each;
  }

  // --- Items without parts ---

  #integer(info: number, negative: boolean): number | bigint {
    const n = this.#argument(info);
    if (!negative) return n;
    if (typeof n === "bigint") return -1n - n;
    return n === Number.MAX_SAFE_INTEGER ? -1n - BigInt(n) : -1 - n;
  }

  #simple(info: number): unknown {
    switch (info) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
        return null;
      case 24:
        if (this.#byte() < 32) throw new Error("a simple value in a longer form than it has");
        return undefined;
      case 25:
        return this.#view.getFloat16(this.#skip(2));
      case 26:
        return this.#view.getFloat32(this.#skip(4));
      case 27:
        return this.#view.getFloat64(this.#skip(8));
    }
    if (info > 27) throw new Error(`a head of the reserved kind ${info}`);
    return undefined; // what it is, and what those are that mean nothing yet
  }

  #byteString(info: number): Uint8Array<ArrayBuffer> {
    if (info !== 31) {
      const length = this.#length(info);
      return this.#bytesOf(this.#source, this.#skip(length), length);
    }
    return this.#joined();
  }

  #text(info: number): string {
    if (info === 31) {
      let text = "";
      this.#chunks(3, (from, length) => text += textAt(this.#source, from, length));
      return text;
    }
    const length = this.#length(info);
    return textAt(this.#source, this.#skip(length), length);
  }

  /** Looks at the parts of a string of indefinite length, each of which is one by itself. */
  #chunks(major: number, look: (from: number, length: number) => void): void {
    for (;;) {
      const initial = this.#byte();
      if (initial === 0xff) return;
      if (initial >> 5 !== major || (initial & 31) === 31) throw new Error("a string with something else in it");
      const length = this.#length(initial & 31);
      if (length > 0) look(this.#skip(length), length);
    }
  }

  /** A byte string of indefinite length. */
  #joined(): Uint8Array<ArrayBuffer> {
    const places: number[] = [];
    let total = 0;
    this.#chunks(2, (from, length) => {
      places.push(from, length);
      total += length;
    });
    const bytes = new Uint8Array(total);
    for (let i = 0, to = 0; i < places.length; i += 2) {
      const from = places[i]!, length = places[i + 1]!;
      bytes.set(this.#source.subarray(from, from + length), to);
      to += length;
    }
    return bytes;
  }

  // --- Tags ---

  #tagged(tag: number | bigint): unknown {
    const typed = TYPED_ARRAYS.get(tag as number);
    if (typed !== undefined) return this.#made(this.#typedArray(typed));
    switch (tag) {
      case 0:
        return this.#made(this.#dateOfText());
      case 1:
        return this.#made(this.#date());
      case 2:
        return this.#made(this.#bigInteger());
      case 3:
        return this.#made(-1n - this.#bigInteger());
      case 24: // CBOR, still encoded
        return this.#made(this.#taggedBytes(tag));
      case 32: // a URI
      case 33: // base64url
      case 34: // base64
      case 36: // MIME
        return this.#made(this.#taggedText(tag));
      case GENERIC_OBJECT:
        return this.#open(new GenericFrame(this.#taggedHead(4, tag), this.#revive, this.#budget));
      case REFERENCE:
        return this.#made(this.#reference());
      case SET:
        return this.#open(new SetFrame(this.#taggedHead(4, tag), this.#budget));
      case ANY_MAP:
        return this.#open(new MapFrame(this.#taggedHead(5, tag), this.#budget));
      case WTF8:
        return this.#made(decodeWtf8(this.#taggedBytes(tag)));
    }
    throw new Error(`tag ${tag}, which means nothing here`);
  }

  #misplaced(tag: number): never {
    throw new Error(`tag ${tag} before something that it does not go with`);
  }

  /** How many parts the array or map behind a tag has. */
  #taggedHead(major: number, tag: number): number {
    const initial = this.#byte();
    if (initial >> 5 !== major) this.#misplaced(tag);
    return this.#parts(initial & 31, major === 5 ? 2 : 1);
  }

  /** The byte string behind a tag, as a copy in memory of its own. */
  #taggedBytes(tag: number): Uint8Array<ArrayBuffer> {
    const initial = this.#byte(), info = initial & 31;
    if (initial >> 5 !== 2) this.#misplaced(tag);
    if (info === 31) return this.#joined();
    const length = this.#length(info), from = this.#skip(length);
    return this.#source.slice(from, from + length);
  }

  #taggedText(tag: number): string {
    const initial = this.#byte();
    if (initial >> 5 !== 3) this.#misplaced(tag);
    return this.#text(initial & 31);
  }

  #bigInteger(): bigint {
    const bytes = this.#taggedBytes(2);
    // By way of hexadecimal digits: adding byte by byte takes time by the square of the length.
    return bytes.length === 0 ? 0n : BigInt("0x" + bytes.toHex());
  }

  #typedArray(made: TypedArrayClass): ArrayBufferView {
    const initial = this.#byte(), info = initial & 31;
    if (initial >> 5 !== 2) this.#misplaced(64);
    const size = made.BYTES_PER_ELEMENT;
    let bytes: Uint8Array<ArrayBuffer>;
    if (info === 31) {
      bytes = this.#joined();
    } else {
      const length = this.#length(info), from = this.#skip(length);
      bytes = this.#bytesOf(this.#source, from, length);
      // In memory of its own, unless it is to be a view on the ring, and can be one there.
      if (bytes.buffer !== this.#source.buffer || bytes.byteOffset % size !== 0) {
        bytes = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
      }
    }
    if (bytes.length % size !== 0) throw new Error(`${made.name} of ${bytes.length} bytes`);
    return new made(bytes.buffer, bytes.byteOffset, bytes.length / size);
  }

  /** Seconds since 1970. */
  #date(): Date {
    const initial = this.#byte(), info = initial & 31;
    let seconds: unknown;
    if (initial >> 5 < 2) seconds = this.#integer(info, initial >> 5 === 1);
    else if (initial >> 5 === 7 && info >= 25 && info <= 27) seconds = this.#simple(info);
    else this.#misplaced(1);
    const date = dateOfSeconds(Number(seconds));
    if (date === undefined) throw new Error("a date that is out of range");
    return date;
  }

  #dateOfText(): Date {
    const text = this.#taggedText(0);
    const date = new Date(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/i.test(text) ? text : NaN);
    if (Number.isNaN(date.getTime())) throw new Error("a date that is out of range");
    return date;
  }

  #reference(): unknown {
    const initial = this.#byte();
    if (initial >> 5 !== 0) this.#misplaced(REFERENCE);
    const number = this.#argument(initial & 31);
    const value = typeof number === "number" && number < this.#shared.length ? this.#shared[number] : UNMADE;
    if (value === UNMADE) throw new Error(`a reference to shared value ${number}, which is not there`);
    return value;
  }
}
