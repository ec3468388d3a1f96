// A doorbell with a name, for those who share no descriptor: a FIFO that its listener makes, and that ringers open.
import { cString, libc } from "../libc/libc.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDWR, O_WRONLY } from "../libc/platform.ts";
import { IpcFd } from "../file/fd.ts";
import { fileStatus } from "../file/file_status.ts";
import type { Trusted } from "../file/trust.ts";
import { unlinkFile } from "../file/unlink.ts";
import { ringBell } from "./doorbell.ts";

/**
 * Makes a doorbell at a path, in the place of one that a dead listener left. Another user's cannot be removed, and is used
 * again if that user is trusted.
 *
 * @param mode Permission bits: who may write to it may ring.
 * @returns The listening end; `undefined` if there can be none.
 */
export function createNamedBell(path: string, mode: number, trusted: Trusted): IpcFd | undefined {
  const { c, platform } = libc();
  const name = cString(path);
  unlinkFile(path); // left by a dead owner; another user's stays
  const made = c.mkfifo(name, 0o600) === 0;
  // For writing, too: with an end of its own open, the reader sees no end of file when a ringer leaves.
  const number = c.open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC | platform.O_NOFOLLOW, 0);
  if (number < 0) {
    if (made) unlinkFile(path);
    return undefined;
  }
  const fd = new IpcFd(number);
  const status = fileStatus(number);
  if (status?.pipe !== true || trusted.refusal(status, path) !== undefined) {
    fd.close();
    return undefined;
  }
  // Without it others cannot ring, and the listener looks by itself.
  if (made) c.fchmod(number, mode), trusted.tryToGive(number);
  return fd;
}

/**
 * Rings the doorbell at a path.
 *
 * @returns The ringing end, for the next time; `undefined` if nobody listens.
 */
export function ringByName(path: string): IpcFd | undefined {
  const { c, platform } = libc();
  const number = c.open(cString(path), O_WRONLY | O_NONBLOCK | O_CLOEXEC | platform.O_NOFOLLOW, 0);
  if (number < 0) return undefined; // nobody reads: ENXIO
  const fd = new IpcFd(number);
  // Anybody may have put something else there, and it is about to be written to.
  if (fileStatus(number)?.pipe === true && ringBell(number)) return fd;
  fd.close();
  return undefined;
}
