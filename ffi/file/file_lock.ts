// Advisory locks that belong to an open file description: the kernel drops them when its last descriptor is closed,
// also after SIGKILL, and two descriptions of one process count as two owners.
//
// A file as a whole is locked by `flock`. A place of a file, a number that stands for one holder, is a byte locked by
// `fcntl`: places can be counted, and the byte need not exist.
import { libc, systemError } from "../libc/libc.ts";
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
  SEEK_SET,
} from "../libc/platform.ts";
import { FLOCK } from "../libc/structs.ts";
import type { IpcFd } from "./fd.ts";
import { tryReopen } from "./open.ts";

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

/** Takes one place of a file alone, or says at once that somebody else has it. */
export function tryTakePlace(fd: number, place: number): boolean {
  const { c, errnoCell } = libc();
  setRequest(place, 1);
  if (c.fcntl_lock(fd, F_OFD_SETLK, requestBytes) === 0) return true;
  const errno = errnoCell[0]!;
  if (errno === EAGAIN || errno === EACCES) return false;
  throw systemError("Cannot lock a byte of a file", "fcntl", errno);
}

/** Gives a place back. */
export function leavePlace(fd: number, place: number): void {
  setRequest(place, 1, F_UNLCK);
  libc().c.fcntl_lock(fd, F_OFD_SETLK, requestBytes);
}

/** Whether another description than that of `fd` has taken a place. `true` if it cannot be told. */
export function isPlaceTaken(fd: number, place: number): boolean {
  setRequest(place, 1);
  if (libc().c.fcntl_lock(fd, F_OFD_GETLK, requestBytes) < 0) return true;
  return request.getInt16(FLOCK.l_type, true) !== F_UNLCK;
}

/** How many places of a range others have taken with {@linkcode tryTakePlace}, not counting `fd` itself. */
export function countPlacesTaken(fd: number, start: number, end: number): number {
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
  return 1 + countPlacesTaken(fd, start, found) + countPlacesTaken(fd, found + length, end);
}

/**
 * Opens a file once more, for places that belong to nobody else: see {@linkcode tryReopen}.
 *
 * @returns `undefined` where the system does not let it be opened anew.
 * @throws {IpcError} `System` if the descriptor table is full.
 */
export function ownDescription(fd: number): IpcFd | undefined {
  const own = tryReopen(fd, "read-write");
  if (typeof own !== "number") return own;
  if (own === -EMFILE || own === -ENFILE) throw systemError("Cannot open a file anew", "open", -own);
  return undefined;
}
