// Bytes in an unnamed memory file, by plain writes and reads: running out of memory is an error here, not a fault.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../file/fd.ts";
import { check, interrupted, libc } from "../libc/libc.ts";
import { checkSeals, newMemoryFile } from "./sealed_memory.ts";
import { memoryOf } from "./storage.ts";
import { F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE } from "../libc/platform.ts";

/** Most bytes that one `write` takes. */
const CHUNK = 1 << 30;

/** Bytes between two looks at the clock, about a millisecond. */
const PIECE = 4 << 20;

/** A smaller file need not be backed by memory: a peer gains nothing by it. */
const SMALL = 1 << 20;

/** Nobody can change the bytes any more, nor their number. */
const FINAL = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

/** A new memory file that holds `parts`, one after another, of `length` bytes together, and that nobody can change. */
export function writeMemoryFile(label: string, parts: Iterable<Uint8Array>, length: number): IpcFd {
  const { c, errnoCell } = libc();
  const what = `Cannot put a message of ${length} bytes into a memory file`;
  const fd = newMemoryFile(label, what);
  try {
    for (const part of parts) {
      for (let at = 0; at < part.length;) {
        const chunk = part.subarray(at, Math.min(part.length, at + CHUNK)) as Uint8Array<ArrayBuffer>;
        const written = c.write(fd.fd, chunk, BigInt(chunk.length));
        const errno = errnoCell[0]!;
        if (interrupted(written, errno)) continue;
        at += check(written, errno, "write", what);
      }
    }
    check(c.fcntl(fd.fd, F_ADD_SEALS, FINAL), errnoCell[0]!, "fcntl", what);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** A memory file that a peer sent, read in pieces, so that a wait for it can keep its time limit. */
export class MemoryFileReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  /**
   * Checks the file before anything is read of it: what is not a memory file may make a read wait without end, and what is not
   * sealed may change its size under it.
   *
   * @param fd The file; stays the caller's.
   * @param length Bytes that it must hold, neither more nor less.
   * @param admit Throws if so many are too many. Asked about a length that the file has: one that it does not have is damage.
   * @throws {IpcError} `Incompatible` if it is not a sealed memory file; `Corrupt` if it has another length, or claims bytes
   * that nobody ever wrote.
   * @throws {RangeError} If there is no memory for as many.
   */
  constructor(fd: number, length: number, admit: (length: number) => void) {
    const size = checkSeals(fd, FINAL);
    if (size !== length) {
      throw new IpcError("Corrupt", `Cannot receive a message of ${length} bytes: its memory holds ${size}`);
    }
    admit(length);
    // What was written takes memory at the peer's side. A sparse file would take it here alone.
    if (length > SMALL && memoryOf(fd) < length) {
      throw new IpcError(
        "Corrupt",
        `Cannot receive a message of ${length} bytes: only ${memoryOf(fd)} of them were ever written`,
      );
    }
    this.#bytes = new Uint8Array(length);
  }

  /**
   * Goes on reading.
   *
   * @param fd The same file, by this descriptor or another; its position is not counted on.
   * @param until When to stop, on the clock of `performance.now()`.
   * @returns All bytes; `undefined` if the time was over before: call it again.
   */
  read(fd: number, until: number): Uint8Array<ArrayBuffer> | undefined {
    const { c, errnoCell } = libc();
    const bytes = this.#bytes, what = `Cannot receive a message of ${bytes.length} bytes`;
    while (this.#at < bytes.length) {
      const part = bytes.subarray(this.#at, Math.min(bytes.length, this.#at + PIECE));
      // Not by the position: who sent the file shares it.
      const read = c.pread(fd, part, BigInt(part.length), BigInt(this.#at));
      const errno = errnoCell[0]!;
      if (interrupted(read, errno)) continue;
      if (check(read, errno, "pread", what) === 0) throw new IpcError("Corrupt", `${what}: its memory was cut short`);
      this.#at += read;
      if (until !== Infinity && this.#at < bytes.length && performance.now() >= until) return undefined;
    }
    return bytes;
  }
}
