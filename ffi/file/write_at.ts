// Writes into a file that others have mapped: for who has no business with mapping it.
import { interrupted, libc, systemError } from "../libc/libc.ts";
import { ENOSPC } from "../libc/platform.ts";

const word = new Int32Array(1), wordBytes = new Uint8Array(word.buffer);

/**
 * Writes a few bytes, all of one page, which others see as soon as this returns.
 *
 * @param offset In bytes.
 * @param what Begins the message of an error.
 * @throws {IpcError} `System` if they were not written.
 */
export function writeAt(fd: number, offset: number, bytes: Uint8Array<ArrayBuffer>, what: string): void {
  const { c, errnoCell } = libc();
  for (;;) {
    const written = c.pwrite(fd, bytes, BigInt(bytes.length), BigInt(offset));
    const errno = errnoCell[0]!;
    if (written === bytes.length) return;
    if (!interrupted(written, errno)) throw systemError(what, "pwrite", written < 0 ? errno : ENOSPC);
  }
}

/**
 * Writes one word, likewise.
 *
 * @param offset In bytes, a multiple of 4.
 * @param what Begins the message of an error.
 */
export function writeWordAt(fd: number, offset: number, value: number, what: string): void {
  word[0] = value;
  writeAt(fd, offset, wordBytes, what);
}
