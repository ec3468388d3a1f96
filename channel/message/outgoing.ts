// An encoded message on its way into a ring.
import type { Insert, Written } from "../../cbor/mod.ts";

const NO_BYTES = new Uint8Array(0);
const NO_INSERTS: readonly Insert[] = [];

/** A part of an array of up to this many bytes is copied faster by a loop than by a call, which needs a view of it. */
const COPY_BY_LOOP = 80;
/**
 * The same, eight bytes at a time, for which the compiler makes no big integers: 80 bytes take 11 ns, four at a time 19.
 * Byte strings that are elsewhere are longer than this.
 */
const COPY_BY_LONGS = 512;

/** The first bytes of an array, with long byte strings among them that are still where the program has them. */
export class Message {
  #bytes: Uint8Array = NO_BYTES;
  /** The same eight at a time, if what follows them in the last of these is of no importance. */
  #longs: BigInt64Array | undefined;
  #end = 0;
  #inserts: readonly Insert[] = NO_INSERTS;
  #length = 0;
  /** Whether the next encoding overwrites the bytes. */
  #passing = false;

  /** A message that consists of bytes of the program's. */
  static of(bytes: Uint8Array): Message {
    const message = new Message();
    message.setBytes(bytes);
    return message;
  }

  /** Bytes of the message. */
  get length(): number {
    return this.#length;
  }

  /** The bytes of a {@linkcode snapshot}, which lie in one piece. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes as Uint8Array<ArrayBuffer>;
  }

  /** Makes this object stand for bytes of the program's. */
  setBytes(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#longs = undefined;
    this.#end = this.#length = bytes.length;
    this.#inserts = NO_INSERTS;
    this.#passing = false;
  }

  /** Makes this object stand for what an encoder has written, and will overwrite. */
  setWritten({ bytes, longs, end, inserts }: Written): void {
    this.#bytes = bytes;
    this.#longs = longs;
    this.#end = this.#length = end;
    this.#inserts = inserts;
    this.#passing = true;
    for (let i = 0; i < inserts.length; i++) this.#length += inserts[i]!.length;
  }

  /** Forgets byte strings of the program's, so that they do not live on because they were sent. */
  forget(): void {
    if (this.#inserts.length > 0) this.#inserts = NO_INSERTS;
  }

  /**
   * Copies the message.
   *
   * @param target Memory with room for a multiple of eight bytes.
   * @param targetLongs The same memory.
   * @param to The offset there in bytes, a multiple of 8.
   * @throws {TypeError} If memory that it lies in has another size by now.
   */
  copyTo(target: Uint8Array, targetLongs: BigInt64Array, to: number): void {
    const longs = this.#longs;
    if (longs !== undefined && this.#length <= COPY_BY_LONGS) {
      const count = (this.#length + 7) >>> 3, first = to >>> 3;
      for (let i = 0; i < count; i++) targetLongs[first + i] = longs[i]!;
      return;
    }
    let from = 0;
    for (let i = 0; i < this.#inserts.length; i++) {
      const { at, bytes, length } = this.#inserts[i]!;
      if (bytes.length !== length) {
        throw new TypeError(
          `Cannot send a byte string: it had ${length} bytes when it was encoded, now ${bytes.length}`,
        );
      }
      copyPart(this.#bytes, from, at, target, to);
      target.set(bytes, to + at - from);
      to += at - from + length;
      from = at;
    }
    copyPart(this.#bytes, from, this.#end, target, to);
  }

  /** The parts of the message, one after another. */
  *parts(): Iterable<Uint8Array> {
    let from = 0;
    for (const { at, bytes } of this.#inserts) {
      yield this.#bytes.subarray(from, at);
      yield bytes;
      from = at;
    }
    yield this.#bytes.subarray(from, this.#end);
  }

  /** The same message, whatever is encoded next; byte strings are where they were. */
  keep(): Message {
    const kept = new Message();
    kept.#bytes = this.#passing ? this.#bytes.slice(0, this.#end) : this.#bytes;
    kept.#end = this.#end;
    kept.#inserts = this.#inserts;
    kept.#length = this.#length;
    return kept;
  }

  /** The same message, in memory of its own: whatever the program does with what it has sent. */
  snapshot(): Message {
    const longs = new BigInt64Array((this.#length + 7) >>> 3);
    const bytes = new Uint8Array(longs.buffer, 0, this.#length);
    this.copyTo(bytes, longs, 0);
    return Message.of(bytes);
  }
}

function copyPart(source: Uint8Array, start: number, end: number, target: Uint8Array, to: number): void {
  const length = end - start;
  if (length === source.length) {
    target.set(source, to);
  } else if (length <= COPY_BY_LOOP) {
    for (let i = 0; i < length; i++) target[to + i] = source[start + i]!;
  } else {
    target.set(source.subarray(start, end), to);
  }
}

/** The message that a sender has just encoded. Valid until the next one. */
export const outgoing: Message = new Message();
