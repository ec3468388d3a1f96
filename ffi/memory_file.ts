// Bytes in an unnamed memory file, by plain writes and reads: running out of memory is an error here, not a fault.
import { IpcError } from "./error.ts";
import { IpcFd } from "./fd.ts";
import { check, cString, libc } from "./libc.ts";
import { fileSize } from "./mapping.ts";
import { MFD_CLOEXEC, SEEK_SET } from "./platform.ts";

/** Most bytes that one `write` takes. */
const CHUNK = 1 << 30;

/** A new memory file that holds `parts`, one after another, of `length` bytes together. */
export function writeMemoryFile(label: string, parts: Iterable<Uint8Array>, length: number): IpcFd {
  const { c, errnoCell } = libc();
  const what = `Cannot put a message of ${length} bytes into a memory file`;
  const name = cString(label);
  const fd = new IpcFd(check(c.memfd_create(name, MFD_CLOEXEC), errnoCell[0]!, "memfd_create", what));
  try {
    for (const part of parts) {
      for (let at = 0; at < part.length;) {
        const chunk = part.subarray(at, Math.min(part.length, at + CHUNK)) as Uint8Array<ArrayBuffer>;
        at += check(c.write(fd.fd, chunk, BigInt(chunk.length)), errnoCell[0]!, "write", what);
      }
    }
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * The first `length` bytes of a memory file that a peer sent.
 *
 * @throws {IpcError} `Corrupt` if the file is shorter.
 */
export function readMemoryFile(fd: number, length: number): Uint8Array<ArrayBuffer> {
  const { c, errnoCell } = libc();
  const size = fileSize(fd);
  if (size < length) {
    throw new IpcError("Corrupt", `Cannot receive a message of ${length} bytes: its memory holds ${size}`);
  }
  const bytes = new Uint8Array(length);
  const what = `Cannot receive a message of ${length} bytes`;
  check(Number(c.lseek(fd, 0n, SEEK_SET)), errnoCell[0]!, "lseek", what);
  for (let at = 0; at < length;) {
    const part = bytes.subarray(at, Math.min(length, at + CHUNK));
    const read = check(c.read(fd, part, BigInt(part.length)), errnoCell[0]!, "read", what);
    if (read === 0) throw new IpcError("Corrupt", `${what}: its memory was cut short`);
    at += read;
  }
  return bytes;
}
