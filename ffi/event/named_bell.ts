// Doorbells that have a path: FIFOs, made by who needs them, whatever the umask says.
import type { Trusted } from "../file/trust.ts";
import type { IpcFd } from "../file/fd.ts";
import { fileStatus } from "../file/file_status.ts";
import { openIfThere, tryOpenFile } from "../file/open.ts";
import { setMode } from "../file/named_file.ts";
import { unlinkFile } from "../file/unlink.ts";
import { check, cString, libc } from "../libc/libc.ts";
import { EEXIST } from "../libc/platform.ts";
import { ringBell } from "./doorbell.ts";

/**
 * Makes a doorbell at a path, unless something is there already.
 *
 * @param mode Permission bits.
 * @param trusted Whose group it is given to.
 * @param what What was tried, for the message of an error.
 */
export function makeNamedBell(path: string, mode: number, trusted: Trusted, what: string): void {
  const { c, errnoCell } = libc();
  const name = cString(path);
  const made = c.mkfifo(name, 0o600);
  const errno = errnoCell[0]!;
  if (made < 0 && errno === EEXIST) return;
  check(made, errno, "mkfifo", what);
  const fd = openIfThere(path, { access: "read-write" }, () => what);
  try {
    if (fd === undefined) return; // removed by another, and looked for again
    trusted.give(fd.fd, what);
    setMode(fd.fd, mode, what);
  } finally {
    fd?.close();
  }
}

/**
 * Makes a doorbell at a path in the place of what a dead owner left there, and opens both its ends, so that who listens
 * sees no end of file when a ringer leaves.
 *
 * @param mode Permission bits. Where they cannot be set the bell is the owner's alone.
 * @param trusted Whose doorbell is used, if another user's cannot be removed.
 * @returns `undefined` where it cannot be had.
 */
export function createNamedBell(path: string, mode: number, trusted: Trusted): IpcFd | undefined {
  unlinkFile(path); // another user's stays
  const made = libc().c.mkfifo(cString(path), 0o600) === 0;
  const fd = tryOpenFile(path, { access: "read-write" });
  if (fd === undefined) {
    if (made) unlinkFile(path);
    return undefined;
  }
  const status = fileStatus(fd.fd);
  if (status?.pipe !== true || trusted.refusal(status, path) !== undefined) {
    fd.close();
    return undefined;
  }
  // Who may write to what the bell belongs to may ring. Without it they cannot, and who waits has to look by itself.
  if (made) libc().c.fchmod(fd.fd, mode), trusted.tryToGive(fd.fd);
  return fd;
}

/**
 * Rings the doorbell at a path.
 *
 * @returns The ringing end, for the next time; `undefined` if nobody listens.
 */
export function ringByName(path: string): IpcFd | undefined {
  const fd = tryOpenFile(path, { access: "write" });
  if (fd === undefined) return undefined;
  // Anybody may have put something else there, and it is about to be written to.
  if (fileStatus(fd.fd)?.pipe === true && ringBell(fd.fd)) return fd;
  fd.close();
  return undefined;
}

/**
 * Opens the pipe at a path for reading: it hangs up when those are gone who have it open for writing.
 *
 * @param trusted Whose it may be.
 * @returns `undefined` if there is none, or it cannot be opened.
 */
export function openNamedPipe(path: string, trusted: Trusted): IpcFd | undefined {
  const fd = tryOpenFile(path, { access: "read" });
  if (fd === undefined) return undefined;
  const status = fileStatus(fd.fd);
  if (status?.pipe === true && trusted.refusal(status, path) === undefined) return fd;
  fd.close();
  return undefined;
}
