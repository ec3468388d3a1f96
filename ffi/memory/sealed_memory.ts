// Memory that cannot change its size: unnamed memory files with seals.
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../file/fd.ts";
import { check, cString, libc } from "../libc/libc.ts";
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_GETFL,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  O_RDWR,
  O_WRONLY,
} from "../libc/platform.ts";
import { fileSize } from "./storage.ts";

/** The seals that make a mapping safe: nobody can cut the file short under it (a SIGBUS) or add another seal. */
const SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;

/** The last label, as C takes it. */
let lastLabel: string | undefined, lastName: Uint8Array<ArrayBuffer> = new Uint8Array(1);

/**
 * A new unnamed memory file, empty and not sealed.
 *
 * @param label Shown in `/proc/PID/maps`.
 * @param what Begins the message of an error.
 */
export function newMemoryFile(label: string, what: string): IpcFd {
  const { c, errnoCell } = libc();
  const name = label === lastLabel ? lastName : lastName = cString(lastLabel = label);
  return new IpcFd(
    check(c.memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), errnoCell[0]!, "memfd_create", what),
  );
}

/**
 * A new unnamed memory file of the given size, sealed so that nobody can change its size.
 *
 * @param label Shown in `/proc/PID/maps`.
 * @param length Bytes.
 */
export function sealedMemory(label: string, length: number): IpcFd {
  const { c, errnoCell } = libc();
  const what = `Cannot create a memory file of ${length} bytes`;
  const fd = newMemoryFile(label, what);
  try {
    check(c.ftruncate(fd.fd, BigInt(length)), errnoCell[0]!, "ftruncate", what);
    check(c.fcntl(fd.fd, F_ADD_SEALS, SEALS), errnoCell[0]!, "fcntl", what);
  } catch (error) {
    fd.close();
    throw error;
  }
  return fd;
}

/**
 * Checks a memory file that came from another process and is to be mapped: it must carry the seals, or it could be cut
 * short under the mapping, and it must be one that may be written.
 *
 * @returns Its size in bytes.
 * @throws {IpcError} `Incompatible` if it is something else.
 */
export function checkSealed(fd: number): number {
  const size = checkSeals(fd, SEALS, F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
  if (accessOf(fd) === O_RDWR) return size;
  throw new IpcError("Incompatible", "Cannot use the memory that a peer sent: it is not open for reading and writing");
}

/** Tries to take all memory away from a file; `true` if the system lets it, which it must not for a sealed one. */
export function canCutShort(fd: number): boolean {
  return libc().c.ftruncate(fd, 0n) === 0;
}

/** `O_RDONLY`, `O_WRONLY` or `O_RDWR`. */
function accessOf(fd: number): number {
  return libc().c.fcntl(fd, F_GETFL, 0) & (O_WRONLY | O_RDWR);
}

/**
 * Checks the seals of a memory file that came from another process, before anything else is asked of it: only memory
 * files have seals, and a call on anything else may wait for as long as a peer likes.
 *
 * @param seals What it must carry.
 * @param without What it must not carry.
 * @returns Its size in bytes.
 * @throws {IpcError} `Incompatible` if it is not sealed so.
 */
export function checkSeals(fd: number, seals: number, without = 0): number {
  const found = libc().c.fcntl(fd, F_GET_SEALS, 0);
  if (found < 0 || (found & seals) !== seals || (found & without) !== 0) {
    throw new IpcError(
      "Incompatible",
      `Cannot use the memory that a peer sent: it ${
        found < 0 ? "is not a memory file" : `carries the seals ${found}`
      }, and must be a memory file with the seals ${seals}` + (without === 0 ? "" : `, without ${without}`),
    );
  }
  if (accessOf(fd) === O_WRONLY) {
    throw new IpcError("Incompatible", "Cannot use the memory that a peer sent: it is not open for reading");
  }
  return fileSize(fd);
}
