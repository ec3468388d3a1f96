// Text: strict UTF-8 out of memory that may change meanwhile, of any length, and WTF-8 for what UTF-8 cannot say.
import { Buffer } from "node:buffer";

const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** Text of up to so many bytes is made from a buffer that is used again. */
const SCRATCH = 4096;
const scratch = Buffer.alloc(SCRATCH);
/** Longer text is converted in pieces: the engine refuses more than 512 MiB at a time. */
const PIECE = 64 << 20;

/** Says that text is no UTF-8. */
export class NotText extends Error {}

/**
 * Text out of memory that may change meanwhile: copied before it is converted, as what converts text is not made for that.
 *
 * @throws {NotText} If it is no UTF-8.
 * @throws {RangeError} If it is longer than a string can be.
 */
export function textAt(source: Uint8Array<ArrayBuffer>, from: number, length: number): string {
  if (length > SCRATCH) return longText(source, from, length);
  const copy = scratch;
  let all = 0;
  for (let i = 0; i < length; i++) all |= copy[i] = source[from + i]!;
  if (all < 0x80) return copy.toString("latin1", 0, length);
  // What is not UTF-8 becomes U+FFFD, which is seldom in a text: only then it is looked at strictly.
  const text = copy.toString("utf8", 0, length);
  return text.includes("\ufffd") ? decoded(copy.subarray(0, length)) : text;
}

function decoded(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    return strict.decode(bytes);
  } catch (cause) {
    throw new NotText("text that is not UTF-8", { cause });
  }
}

function longText(source: Uint8Array<ArrayBuffer>, from: number, length: number): string {
  let text = "";
  for (let at = from, end = from + length; at < end;) {
    const copy = source.slice(at, Math.min(at + PIECE, end));
    // Not within a character: its other bytes begin with the bits 10, and there are three at most.
    let size = copy.length;
    if (at + size < end) {
      let back = 1;
      while (back < 4 && (copy[size - back]! & 0xc0) === 0x80) back++;
      if (copy[size - back]! >= 0xc0) size -= back;
    }
    text += decoded(size === copy.length ? copy : copy.subarray(0, size));
    at += size;
  }
  return text;
}

/** Text with halves of surrogate pairs as bytes: as UTF-8, with three bytes for each half that stands alone. */
export function encodeWtf8(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(3 * text.length);
  let to = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i)!;
    if (code < 0x80) {
      bytes[to++] = code;
    } else if (code < 0x800) {
      bytes[to++] = 0xc0 | code >> 6;
      bytes[to++] = 0x80 | code & 63;
    } else if (code < 0x10000) {
      bytes[to++] = 0xe0 | code >> 12;
      bytes[to++] = 0x80 | code >> 6 & 63;
      bytes[to++] = 0x80 | code & 63;
    } else {
      bytes[to++] = 0xf0 | code >> 18;
      bytes[to++] = 0x80 | code >> 12 & 63;
      bytes[to++] = 0x80 | code >> 6 & 63;
      bytes[to++] = 0x80 | code & 63;
      i++; // it is two units of the string
    }
  }
  return bytes.subarray(0, to);
}

/**
 * The text that {@linkcode encodeWtf8} made bytes of.
 *
 * @param bytes Private memory.
 * @throws {NotText} If it is no WTF-8, or two halves follow one another that are one character.
 */
export function decodeWtf8(bytes: Uint8Array<ArrayBuffer>): string {
  let text = "", from = 0, before = 0;
  for (let i = 0; i + 2 < bytes.length;) {
    // U+D800 to U+DFFF are ED A0 80 to ED BF BF.
    if (bytes[i] !== 0xed || bytes[i + 1]! < 0xa0 || bytes[i + 1]! > 0xbf || (bytes[i + 2]! & 0xc0) !== 0x80) {
      i++;
      continue;
    }
    const half = 0xd000 | (bytes[i + 1]! & 63) << 6 | bytes[i + 2]! & 63;
    const between = i > from ? decoded(bytes.subarray(from, i)) : "";
    if (between.length > 0) before = 0;
    if (half >= 0xdc00 && before >= 0xd800 && before < 0xdc00) throw new NotText("a character in two halves");
    text += between + String.fromCharCode(half);
    before = half;
    from = i += 3;
  }
  return text + decoded(bytes.subarray(from));
}
