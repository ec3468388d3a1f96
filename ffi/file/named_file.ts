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
  ENOSPC,
  ENXIO,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
} from "../libc/platform.ts";
import { allocate } from "../memory/mapping.ts";
import { IpcFd } from "./fd.ts";
import { type FileStatus, fileStatus } from "./file_status.ts";
import { userText } from "./trust.ts";

/** The folder of shared memory that has names. */
export const SHARED_FOLDER = "/dev/shm";

/** What a file is opened for. */
export type Access = "read" | "read-write";

/**
 * A new file in a folder, without a name, for this user alone.
 *
 * @param what Begins the messages of errors.
 */
export function createUnnamed(folder: string, what: string): IpcFd {
  const { c, errnoCell, platform } = libc();
  const number = c.open(cString(folder), platform.O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600);
  return new IpcFd(check(number, errnoCell[0]!, "open", what));
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
  const result = c.linkat(AT_FDCWD, source, AT_FDCWD, target, AT_SYMLINK_FOLLOW);
  const errno = errnoCell[0]!;
  if (result === 0) return true;
  if (errno === EEXIST) return false;
  throw systemError(what, "linkat", errno);
}

/** Another open file description of the same file, even if it has no name. */
export function reopen(fd: number, what: string): IpcFd {
  const { c, errnoCell } = libc();
  const path = cString(`/proc/self/fd/${fd}`);
  return new IpcFd(check(c.open(path, O_RDWR | O_CLOEXEC, 0), errnoCell[0]!, "open", what));
}

/**
 * Opens the regular file at a path.
 *
 * @returns What was found instead: nothing, or something that is no regular file.
 * @throws {IpcError} If it is there and cannot be opened; the message names its owner.
 */
export function openRegularFile(
  path: string,
  access: Access,
  what: string,
): { readonly fd: IpcFd; readonly status: FileStatus } | "nothing" | "another kind" {
  const { c, errnoCell, platform } = libc();
  const flags = (access === "read" ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | platform.O_NOFOLLOW;
  const number = c.open(cString(path), flags, 0);
  const errno = errnoCell[0]!;
  if (number < 0) {
    if (errno === ENOENT) return "nothing";
    if (errno === ELOOP || errno === EISDIR || errno === ENXIO) return "another kind";
    const uid = fileStatus(path)?.uid;
    throw systemError(uid === undefined ? what : `${what}, which belongs to ${userText(uid)}`, "open", errno);
  }
  const fd = new IpcFd(number);
  const status = fileStatus(number);
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
    if (!(error instanceof IpcError) || error.errno !== ENOSPC) throw error;
    throw new IpcError(
      "System",
      `${what}: ${SHARED_FOLDER} has no room for ${size} bytes (ENOSPC); free some, or enlarge it`,
      { errno: ENOSPC, syscall: "fallocate" },
    );
  }
}
