// Files that get their names when they are whole, and finding them by name.
//
// A new file has no name while it is filled, so no other process sees half of it, and a process that dies meanwhile
// leaves nothing. What is found by name is not followed as a link, and opening it never waits.
import { IpcError } from "../../base/error.ts";
import { check, cString, libc, systemError } from "../libc/libc.ts";
import {
  AT_FDCWD,
  AT_SYMLINK_FOLLOW,
  EEXIST,
  EISDIR,
  ELOOP,
  ENOENT,
  ENXIO,
  O_CLOEXEC,
  O_RDWR,
} from "../libc/platform.ts";
import { allocate } from "../memory/storage.ts";
import { isOutOfRoom, outOfRoom } from "../memory/shortage.ts";
import { IpcFd } from "./fd.ts";
import { type FileStatus, fileStatus } from "./file_status.ts";
import { type Access, openIfThere } from "./open.ts";
import { userText } from "./trust.ts";

/** The folder of shared memory that has names. */
export const SHARED_FOLDER = "/dev/shm";

/**
 * A new file in a folder, without a name, for this user alone.
 *
 * @param what Begins the messages of errors.
 * @param needed The same where the folder is there: with what it must be able to do.
 * @throws {IpcError} `NotFound` if there is no such folder, `Permission`, or `System`.
 */
export function createUnnamed(folder: string, what: string, needed = what): IpcFd {
  const { c, errnoCell, platform } = libc();
  const name = cString(folder);
  const fd = c.open(name, platform.O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600);
  const errno = errnoCell[0]!;
  if (fd >= 0) return new IpcFd(fd);
  if (errno !== ENOENT) throw systemError(needed, "open", errno);
  throw new IpcError("NotFound", `${what}: its folder does not exist; make it first, or use another`, {
    errno,
    syscall: "open",
  });
}

/** Sets the length of an open file: what is new reads as zeros, and takes no memory yet. */
export function setLength(fd: number, length: number, what: string): void {
  const { c, errnoCell } = libc();
  const size = BigInt(length);
  check(c.ftruncate(fd, size), errnoCell[0]!, "ftruncate", what);
}

/** Sets the permission bits of an open file, whatever the umask says. */
export function setMode(fd: number, mode: number, what: string): void {
  const { c, errnoCell } = libc();
  check(c.fchmod(fd, mode), errnoCell[0]!, "fchmod", what);
}

/**
 * Gives a file without a name one.
 *
 * @returns `false` if something has the name.
 */
export function publish(fd: number, path: string, what: string): boolean {
  const { c, errnoCell } = libc();
  const source = cString(`/proc/self/fd/${fd}`), target = cString(path);
  const linked = c.linkat(AT_FDCWD, source, AT_FDCWD, target, AT_SYMLINK_FOLLOW);
  const errno = errnoCell[0]!;
  if (linked >= 0) return true;
  if (errno === EEXIST) return false;
  throw systemError(what, "linkat", errno);
}

/**
 * Opens the regular file at a path.
 *
 * @returns What was found instead: nothing, or something that is not a regular file.
 * @throws {IpcError} If it is there and cannot be opened; the message names its owner.
 */
export function openRegularFile(
  path: string,
  access: Access,
  what: string,
): { readonly fd: IpcFd; readonly status: FileStatus } | "nothing" | "another kind" {
  let fd;
  try {
    fd = openIfThere(path, { access }, () => {
      const uid = fileStatus(path)?.uid;
      return uid === undefined ? what : `${what}, which belongs to ${userText(uid)}`;
    });
  } catch (error) {
    // A link, a folder, a socket.
    if (error instanceof IpcError && [ELOOP, EISDIR, ENXIO].includes(error.errno ?? 0)) return "another kind";
    throw error;
  }
  if (fd === undefined) return "nothing";
  const status = fileStatus(fd.fd);
  if (status?.regular === true) return { fd, status };
  fd.close();
  return "another kind";
}

/**
 * Allocates the memory of a file in {@linkcode SHARED_FOLDER} now: a page that cannot be had later is a fault.
 *
 * @throws {IpcError} `System` if there is no room; the message says what to do.
 */
export function allocateShared(fd: number, size: number, what: string): void {
  try {
    allocate(fd, 0, size, what);
  } catch (error) {
    if (!isOutOfRoom(error)) throw error;
    throw outOfRoom(`${what}: ${SHARED_FOLDER} has no room for ${size} bytes`, "free some, or enlarge it", error);
  }
}
