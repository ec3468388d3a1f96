// Looks at a file by reading it. Memory that is mapped can be cut short under its reader, which no handler survives; and
// a look at a page that was never written would allocate it. Reading does neither.
import { check, interrupted, libc } from "../libc/libc.ts";
import { SEEK_SET } from "../libc/platform.ts";

/** Most bytes that one `read` takes. */
const CHUNK = 1 << 30;

/** A copy of part of a file; zeros where the file ends before. The position of the descriptor moves. */
export function readAt(fd: number, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const { c, errnoCell } = libc();
  const bytes = new Uint8Array(length);
  check(Number(c.lseek(fd, BigInt(offset), SEEK_SET)), errnoCell[0]!, "lseek", "Cannot read a file");
  for (let at = 0; at < length;) {
    const part = bytes.subarray(at, Math.min(length, at + CHUNK));
    const read = c.read(fd, part, BigInt(part.length));
    const errno = errnoCell[0]!;
    if (interrupted(read, errno)) continue;
    if (check(read, errno, "read", "Cannot read a file") === 0) break;
    at += read;
  }
  return bytes;
}

/** The same as words. */
export function readWordsAt(fd: number, offset: number, words: number): Int32Array<ArrayBuffer> {
  return new Int32Array(readAt(fd, offset, words * 4).buffer);
}
