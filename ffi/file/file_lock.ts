// Advisory locks that belong to an open file description: the kernel drops them when its last descriptor is closed,
// also after SIGKILL, and two descriptions of one process count as two owners.
import { IpcFd } from "./fd.ts";
import { cString, libc, systemError } from "../libc/libc.ts";
import {
  EACCES,
  EAGAIN,
  EINTR,
  EMFILE,
  ENFILE,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_UNLCK,
  F_WRLCK,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  O_CLOEXEC,
  O_RDWR,
  SEEK_SET,
} from "../libc/platform.ts";
import { FLOCK } from "../libc/structs.ts";

/** Takes the whole file, shared or alone, or says at once that it cannot. A lock held before is given up either way. */
export function tryLockFile(fd: number, mode: "shared" | "alone"): boolean {
  const { c, errnoCell } = libc();
  for (;;) {
    if (c.flock(fd, (mode === "shared" ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return true;
    const errno = errnoCell[0]!;
    if (errno === EAGAIN) return false;
    if (errno !== EINTR) throw systemError("Cannot lock a file", "flock", errno);
  }
}

const request = new DataView(new ArrayBuffer(FLOCK.size));
const requestBytes = new Uint8Array(request.buffer);

function setRequest(start: number, length: number, type: number = F_WRLCK): void {
  request.setInt16(FLOCK.l_type, type, true);
  request.setInt16(FLOCK.l_whence, SEEK_SET, true);
  request.setBigInt64(FLOCK.l_start, BigInt(start), true);
  request.setBigInt64(FLOCK.l_len, BigInt(length), true);
  request.setInt32(FLOCK.l_pid, 0, true); // must be 0 for this kind of lock
}

/** Takes one byte of a file alone, or says at once that somebody else has it. The byte need not exist. */
export function tryLockByte(fd: number, position: number): boolean {
  const { c, errnoCell } = libc();
  setRequest(position, 1);
  if (c.fcntl_lock(fd, F_OFD_SETLK, requestBytes) === 0) return true;
  const errno = errnoCell[0]!;
  if (errno === EAGAIN || errno === EACCES) return false;
  throw systemError("Cannot lock a byte of a file", "fcntl", errno);
}

/** Gives a byte back. */
export function unlockByte(fd: number, position: number): void {
  setRequest(position, 1, F_UNLCK);
  libc().c.fcntl_lock(fd, F_OFD_SETLK, requestBytes);
}

/** Whether another description than that of `fd` has taken a byte. `true` if it cannot be told. */
export function isByteLocked(fd: number, position: number): boolean {
  setRequest(position, 1);
  if (libc().c.fcntl_lock(fd, F_OFD_GETLK, requestBytes) < 0) return true;
  return request.getInt16(FLOCK.l_type, true) !== F_UNLCK;
}

/**
 * Opens a file once more, for locks that belong to nobody else: a descriptor that came from a process, or went to one,
 * stands for the same description there.
 *
 * @returns `undefined` where the system does not let it be opened anew.
 * @throws {IpcError} `System` if the descriptor table is full.
 */
export function ownDescription(fd: number): IpcFd | undefined {
  const { c, errnoCell } = libc();
  const own = c.open(cString(`/proc/self/fd/${fd}`), O_RDWR | O_CLOEXEC, 0);
  const errno = errnoCell[0]!;
  if (own >= 0) return new IpcFd(own);
  if (errno === EMFILE || errno === ENFILE) throw systemError("Cannot open a file anew", "open", errno);
  return undefined;
}

/** How many bytes of a range others have taken with {@linkcode tryLockByte}, not counting `fd` itself. */
export function countLockedBytes(fd: number, start: number, end: number): number {
  if (start >= end) return 0;
  const { c, errnoCell } = libc();
  setRequest(start, end - start);
  if (c.fcntl_lock(fd, F_OFD_GETLK, requestBytes) < 0) {
    throw systemError("Cannot count the locks on a file", "fcntl", errnoCell[0]!);
  }
  if (request.getInt16(FLOCK.l_type, true) === F_UNLCK) return 0;
  // The kernel names one lock of the range, not the first: the rest lies on both sides of it.
  const found = Number(request.getBigInt64(FLOCK.l_start, true));
  const length = Number(request.getBigInt64(FLOCK.l_len, true)) || end - found;
  return 1 + countLockedBytes(fd, start, found) + countLockedBytes(fd, found + length, end);
}
