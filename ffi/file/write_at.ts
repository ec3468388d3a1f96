// Writes words of a file that others have mapped: for who has no business with writing to the rest of it.
import { interrupted, libc, systemError } from "../libc/libc.ts";

const word = new Int32Array(1), bytes = new Uint8Array(word.buffer);

/**
 * Writes one word, which others see as soon as this returns.
 *
 * @param offset In bytes, a multiple of 4.
 * @param what Begins the message of an error.
 */
export function writeWordAt(fd: number, offset: number, value: number, what: string): void {
  const { c, errnoCell } = libc();
  word[0] = value;
  for (;;) {
    const written = c.pwrite(fd, bytes, 4n, BigInt(offset));
    const errno = errnoCell[0]!;
    if (written === 4) return;
    if (!interrupted(written, errno)) throw systemError(what, "pwrite", errno);
  }
}
