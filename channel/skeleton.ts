// Takes the byte strings out of an encoded message, so that the rest can be decoded in private memory while they stay
// where they are, or are copied just once.
//
// The message lies in a ring, where a peer may change it at any moment. What is left of it is copied before it is
// decoded; the byte strings need no decoding, so a change of theirs harms nobody but whoever reads them.
import { TAKEN_OUT } from "../ffi/cbor.ts";

/** A message without its byte strings, and where those are. */
export interface Skeleton {
  /** Encoded, with a tag in the place of each byte string, in the first {@linkcode length} bytes. Valid until the next. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of it. */
  readonly length: number;
  /** Beginning and length of each byte string in the source, alternately. */
  readonly places: readonly number[];
}

// Used again for every message.
let out = new Uint8Array(64 << 10);
/** Tag of one byte, then the number of the byte string in four. */
const PLACEHOLDER = 7;

/**
 * Walks over an encoded message. CBOR items follow one another, so no nesting needs to be kept; what is not well-formed
 * is copied as it is, for the decoder to complain about.
 *
 * @param source Where the message lies.
 * @param start Its first byte.
 * @param end Behind its last byte.
 */
export function takeByteStringsOut(source: Uint8Array, start: number, end: number): Skeleton {
  const places: number[] = [];
  let length = 0;
  /** From here on the source is still to be copied. */
  let from = start;
  const copyUntil = (until: number) => {
    const bytes = until - from;
    if (length + bytes + PLACEHOLDER > out.length) grow(length + bytes + PLACEHOLDER, length);
    if (bytes < 64) { for (let i = 0; i < bytes; i++) out[length + i] = source[from + i]!; }
    else out.set(source.subarray(from, until), length);
    length += bytes;
  };
  for (let at = start; at < end;) {
    const initial = source[at]!;
    const major = initial >> 5, info = initial & 31;
    let size = info < 24 ? info : 0, header = 1;
    if (info >= 24 && info <= 27) {
      const width = 1 << (info - 24);
      for (let i = 1; i <= width; i++) size = size * 256 + source[at + i]!;
      header = 1 + width;
    }
    if (major === 2 && info < 28) {
      const first = at + header;
      if (first + size > end) break; // cut short: the decoder says so
      copyUntil(at);
      const number = places.length >> 1;
      out[length] = 0xd8;
      out[length + 1] = TAKEN_OUT;
      out[length + 2] = 0x1a;
      out[length + 3] = number >>> 24;
      out[length + 4] = number >>> 16;
      out[length + 5] = number >>> 8;
      out[length + 6] = number;
      length += PLACEHOLDER;
      places.push(first, size);
      from = at = first + size;
    } else {
      at += header + (major === 3 && info < 28 ? size : 0);
    }
  }
  copyUntil(end);
  const skeleton = { bytes: out, length, places };
  if (out.length > KEEP) out = new Uint8Array(64 << 10);
  return skeleton;
}

/** A larger buffer is not kept. */
const KEEP = 1 << 20;

function grow(needed: number, used: number): void {
  const larger = new Uint8Array(Math.max(needed, out.length * 2));
  larger.set(out.subarray(0, used));
  out = larger;
}
